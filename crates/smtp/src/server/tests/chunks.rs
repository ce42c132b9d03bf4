//! BDAT (RFC 3030).

use super::*;

#[test]
fn chunks_are_counted_and_not_read() {
    let played = played(format!(
        "{UP_TO_BDAT}BDAT 7\r\nA: 1\r\n\rBDAT 4 LAST\r\n\n.\r\nBDAT 0 LAST\r\n"
    ));
    assert_eq!(played.codes(), [250, 250, 250, 250, 250, 503]);
    assert_eq!(played.contents(), [b"A: 1\r\n\r\n.\r\n"]);
}

#[test]
fn the_last_chunk_may_be_empty() {
    let end = "BDAT 3\r\na\r\nBDAT 0 LAST\r\n";
    let played = played(format!("{UP_TO_BDAT}{end}"));
    assert_eq!(played.contents(), [b"a\r\n"]);
    let nothing = super::played(format!("{UP_TO_BDAT}BDAT 0 last\r\n"));
    assert_eq!(nothing.contents(), [b""]);
}

#[test]
fn chunks_that_are_refused_are_read_all_the_same() {
    let evil = "MAIL FROM:<x@y>\r\nRCPT TO:<x@y>\r\nDATA\r\n.\r\n";
    let bdat = format!("BDAT {} LAST\r\n{evil}", evil.len());
    for (before, replies) in [
        ("", "503 5.5.1 Send MAIL first"),
        ("MAIL FROM:<a@b>\r\n", "503 5.5.1 Send RCPT first"),
        (
            "MAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\n",
            "503 5.5.1 Send RCPT first",
        ),
    ] {
        let replied = after_ehlo(&format!("{before}{bdat}NOOP\r\n"));
        let n = replied.len();
        assert_eq!(replied[n - 2..], [replies, "250 2.0.0 Ok"], "{before}");
    }
}

#[test]
fn a_message_does_not_go_on_without_a_chunk() {
    // The octets of the first chunk would be missing from the message.
    let early = "EHLO c\r\nMAIL FROM:<a@b>\r\nBDAT 3\r\na\r\nRCPT TO:<c@d>\r\nBDAT 3 LAST\r\nb\r\n";
    let played = played(early);
    assert_eq!(played.codes(), [250, 250, 503, 503, 503]);
    let odd = "BDAT 3 LOST\r\na\r\nBDAT 3 LAST\r\nb\r\nMAIL FROM:<a@b>\r\n";
    let played = super::played(format!("{UP_TO_BDAT}{odd}"));
    assert_eq!(played.codes()[3..], [501, 503, 250]);
    assert!(played.messages.is_empty());
}

#[test]
fn chunks_and_data_do_not_mix() {
    let played = played(format!(
        "{UP_TO_BDAT}BDAT 3\r\na\r\nDATA\r\nRCPT TO:<e@f>\r\nMAIL FROM:<>\r\nNOOP\r\nBDAT 3 LAST\r\nb\r\n"
    ));
    assert_eq!(played.codes()[3..], [250, 503, 503, 503, 250, 250]);
    assert_eq!(played.contents(), [b"a\r\nb\r\n"]);
}

#[test]
fn rset_between_chunks_drops_them() {
    let played = played(format!(
        "{UP_TO_BDAT}BDAT 3\r\na\r\nRSET\r\nBDAT 3 LAST\r\nb\r\n"
    ));
    assert_eq!(played.codes()[3..], [250, 250, 503]);
    assert!(played.messages.is_empty());
}

#[test]
fn a_size_that_cannot_be_read_closes() {
    for argument in ["", "x", "-1", "18446744073709551616", "LAST"] {
        let played = played(format!("{UP_TO_BDAT}BDAT {argument}\r\nNOOP\r\n"));
        assert_eq!(played.codes()[3..], [501], "{argument}");
        assert!(played.is_closed);
    }
}

#[test]
fn chunks_are_held_to_the_line_ends_of_data() {
    for (text, reply) in [
        ("BDAT 4 LAST\r\na\nb\n", 550),
        ("BDAT 2 LAST\r\na\r", 550),
        ("BDAT 1 LAST\r\n\r", 550),
        ("BDAT 3 LAST\r\na\0b", 550),
        ("BDAT 3\r\na\nb", 550),
        ("BDAT 2 LAST\r\nab", 250),
    ] {
        let played = played(format!("{UP_TO_BDAT}{text}"));
        assert_eq!(played.codes()[3..], [reply], "{text:?}");
        assert_eq!(played.messages.len(), usize::from(reply == 250));
    }
    // Between chunks a line end may be parted.
    let parted = "BDAT 2\r\na\rBDAT 2 LAST\r\nbc";
    let played = played(format!("{UP_TO_BDAT}{parted}"));
    assert_eq!(played.codes()[3..], [250, 550]);
}

#[test]
fn an_announcement_costs_nothing_and_overflows_nothing() {
    for size in [1_u64 << 63, u64::MAX, (50 << 20) + 1] {
        let settings = settings();
        let mut session = Session::new(Arc::new(settings.clone()));
        let mut played = Played::default();
        let text = format!("{UP_TO_BDAT}BDAT 5\r\nabc\r\nBDAT {size} LAST\r\nabc");
        let mut input = BytesMut::from(&*text);
        advance(&mut session, &mut input, &mut played);
        assert_eq!(settings.room.used(), 0, "{size}");
        assert!(input.is_empty());
    }
}
