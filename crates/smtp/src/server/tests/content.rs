//! The data of messages: dots, ends, and what must not look like one.

use super::*;

/// What is handed on of data that is sent after 354, and the reply.
fn data(data: impl AsRef<[u8]>) -> (Vec<Vec<u8>>, String) {
    let played = played([UP_TO_DATA.as_bytes(), data.as_ref()].concat());
    (played.contents(), played.last().to_owned())
}

#[test]
fn dots_before_lines_are_taken_away_once() {
    for (sent, content) in [
        (".\r\n", ""),
        ("\r\n.\r\n", "\r\n"),
        ("..\r\n.\r\n", ".\r\n"),
        ("...\r\n..x\r\n.\r\n", "..\r\n.x\r\n"),
        (".x\r\n.\r\n", "x\r\n"),
        ("a.\r\nb . c\r\n.\r\n", "a.\r\nb . c\r\n"),
        ("..\r\n..\r\n\r\n..\r\n.\r\n", ".\r\n.\r\n\r\n.\r\n"),
    ] {
        assert_eq!(data(sent).0, [content.as_bytes()], "{sent:?}");
    }
}

#[test]
fn octets_above_ascii_pass_unchanged() {
    let octets: Vec<u8> = (1..=255).filter(|b| !b"\r\n".contains(b)).collect();
    let content = [&octets[..], b"\r\n"].concat();
    assert_eq!(data([&content[..], b".\r\n"].concat()).0, [content]);
}

/// What ends the data for one host and not for another (CVE-2023-51764 to
/// 51766, VU#302671).
const FALSE_ENDS: &[&[u8]] = &[
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\n\n.\r\n",
    b"\r\n.\n\r\n",
    b"\r\n..\n",
    b"\n\r.\r\n",
];

#[test]
fn nothing_but_the_true_end_ends_the_data() {
    for end in FALSE_ENDS {
        let smuggled = b"x\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<c@d>\r\nDATA\r\nevil\r\n.\r\nNOOP\r\n";
        let sent = [UP_TO_DATA.as_bytes(), b"a", end, smuggled].concat();
        let played = played(&sent);
        assert!(played.messages.is_empty(), "{end:?}");
        let codes = played.codes();
        assert_eq!(codes, [250, 250, 250, 354, 550, 250], "{end:?}");
        for at in 0..sent.len() {
            let (a, b) = sent.split_at(at);
            assert_eq!(
                play(&settings(), [a, b].into_iter()),
                played,
                "{end:?} at {at}"
            );
        }
    }
}

#[test]
fn what_two_hosts_may_read_differently_is_refused() {
    for (sent, reply) in [
        ("a\nb\r\n.\r\n", "550 5.5.2 Message has bare CR or LF"),
        ("a\rb\r\n.\r\n", "550 5.5.2 Message has bare CR or LF"),
        ("a\r\r\n.\r\n", "550 5.5.2 Message has bare CR or LF"),
        ("a\0b\r\n.\r\n", "550 5.6.0 Message has NUL characters"),
        ("a\0\nb\r\n.\r\n", "550 5.5.2 Message has bare CR or LF"),
    ] {
        assert_eq!(data(sent), (vec![], reply.to_owned()), "{sent:?}");
    }
}

#[test]
fn long_lines_are_kept_whole_up_to_the_limit() {
    let line = "x".repeat(64 << 10);
    let content = format!("a\r\n{line}\r\n");
    assert_eq!(data(format!("{content}.\r\n")).0, [content.as_bytes()]);
    let (contents, reply) = data(format!("a\r\n{line}x\r\n.\r\n"));
    assert!(contents.is_empty());
    assert_eq!(reply, "500 5.6.0 Message has a line that is too long");
}

#[test]
fn nothing_is_handed_on_before_the_end() {
    let message = format!("{UP_TO_DATA}A: 1\r\n\r\nQUIT\r\nRSET\r\nEHLO x\r\n.\r\n");
    for end in 0..message.len() {
        assert!(played(&message[..end]).messages.is_empty());
    }
    assert_eq!(played(message).messages.len(), 1);
}

#[test]
fn messages_that_are_pipelined_are_answered_in_order() {
    let mail = "MAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    let played = played(format!(
        "EHLO c\r\n{mail}1\r\n.\r\n{mail}2\n\r\n.\r\n{mail}3\r\n.\r\nQUIT\r\nNOOP\r\n"
    ));
    let codes = [250, 550, 250, 354];
    let expected: Vec<u16> = [
        &[250],
        &codes[..],
        &[250],
        &codes,
        &[550],
        &codes,
        &[250, 221],
    ]
    .concat();
    assert_eq!(played.codes(), expected);
    assert_eq!(played.contents(), [b"1\r\n", b"3\r\n"]);
    assert!(played.is_closed);
}
