//! BINARYMIME (RFC 3030 section 3).

use slimta_core::message::BodyType;

use super::*;

/// A session up to the first chunk of a message of any octets.
const UP_TO_BDAT: &str = "EHLO c\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\n";
const HEADER: &[u8] = b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n\r\n";

/// A client that is trusted, its input cut in some ways.
fn trusted_by(settings: &Settings, text: impl AsRef<[u8]>) -> Played {
    let text = text.as_ref();
    let play = |size| {
        let session = Session::new(Arc::new(settings.clone())).with_priorities(true);
        converse(session, text.chunks(size))
    };
    let whole = play(text.len());
    for size in [1, 2, 3, 7, 60, 4096] {
        assert_eq!(play(size), whole, "pieces of {size}");
    }
    whole
}

fn trusted(text: impl AsRef<[u8]>) -> Played {
    trusted_by(&settings(), text)
}

fn in_one_chunk(content: &[u8]) -> Played {
    let bdat = format!("{UP_TO_BDAT}BDAT {} LAST\r\n", content.len());
    trusted([bdat.as_bytes(), content, b"NOOP\r\n"].concat())
}

#[test]
fn it_is_for_clients_that_are_trusted() {
    let ehlo = "EHLO c\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nHELO c\r\n";
    let (trusted, stranger) = (trusted(ehlo), played(ehlo));
    assert!(
        trusted
            .replies
            .contains("\r\n250-BINARYMIME\r\n250 CHUNKING\r\n")
    );
    assert_eq!(
        trusted.replies.matches("BINARYMIME").count(),
        1,
        "not behind HELO"
    );
    assert_eq!(trusted.codes(), [250, 250, 250]);
    assert!(!stranger.replies.contains("BINARYMIME"));
    assert_eq!(stranger.codes(), [250, 504, 250]);
}

#[test]
fn any_octets_of_a_body_are_kept() {
    let all: Vec<u8> = (0..=255).rev().collect();
    let long = vec![b'x'; 70_000];
    for body in [&b"\0\r\n.\r\n\n.\n\r.\r"[..], &all, b"", b"\r\n", &long] {
        let content = [HEADER, body].concat();
        let played = in_one_chunk(&content);
        assert_eq!(played.codes(), [250, 250, 250, 250, 250]);
        assert_eq!(played.contents(), [content]);
        assert_eq!(played.messages[0].envelope.body, BodyType::BinaryMime);
    }
}

#[test]
fn without_data_there_is_only_bdat() {
    let played = trusted(format!("{UP_TO_BDAT}DATA\r\nBDAT 4 LAST\r\n\r\n\n\0"));
    assert_eq!(played.codes()[3..], [503, 250]);
    assert_eq!(played.contents(), [b"\r\n\n\0"]);
}

#[test]
fn a_header_is_lines_whatever_the_body_is() {
    for (content, reply) in [
        (&b"A: 1\nB: 2\r\n\r\nx"[..], "550 5.5.2 "),
        (b"A: 1\r\rB: 2\r\n\r\nx", "550 5.5.2 "),
        (b"A: 1\0\r\n\r\nx", "550 5.6.0 "),
        (b"A: 1\n\nx", "550 5.5.2 "),
        // Some would read the header on up to the empty line.
        (b"A: 1\r\nno field\nB: 2\r\n\r\nx", "550 5.5.2 "),
        (b"A: 1\r\n \nB: 2\r\n\r\nx", "550 5.5.2 "),
        // Without an empty line all of it may be header.
        (b"A: 1\r\n\0", "550 5.6.0 "),
        (b"A: 1\r", "550 5.5.2 "),
        (b"A: 1\r\n\r", "550 5.5.2 "),
    ] {
        let played = in_one_chunk(content);
        assert!(played.lines().iter().any(|line| line.starts_with(reply)));
        assert_eq!(played.codes().last(), Some(&250), "{content:?}");
        assert!(played.messages.is_empty(), "{content:?}");
    }
    let long = [b"A: ", &[b'x'; 70_000][..], b"\r\n\r\n"].concat();
    assert_eq!(in_one_chunk(&long).codes()[3..], [500, 250]);
}

#[test]
fn the_next_message_is_held_to_lines_again() {
    let first = "BDAT 5 LAST\r\n\r\n\n\0\r";
    let second = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5 LAST\r\n\r\n\n\0\r";
    let played = trusted(format!("{UP_TO_BDAT}{first}{second}"));
    assert_eq!(played.codes()[3..], [250, 250, 250, 550]);
    assert_eq!(played.messages.len(), 1);
}

#[test]
fn the_size_is_limited_as_ever() {
    let mut settings = settings();
    settings.message_bytes_max = 4;
    let played = trusted_by(&settings, format!("{UP_TO_BDAT}BDAT 5 LAST\r\n\r\n\0\0\0"));
    assert_eq!(played.codes()[3..], [552]);
}

#[test]
fn by_lmtp_each_recipient_has_its_answer() {
    let mut settings = settings();
    settings.role = Role::Lmtp;
    let played = trusted_by(
        &settings,
        "LHLO c\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\n\
         DATA\r\nBDAT 4 LAST\r\n\r\n\n\0",
    );
    assert_eq!(played.codes(), [250, 250, 250, 250, 503, 250, 250]);
    assert_eq!(played.contents(), [b"\r\n\n\0"]);
}
