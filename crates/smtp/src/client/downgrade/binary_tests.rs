//! Mail of any octets for next hops that take lines, as a stranger's parser reads it.

use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use proptest::prelude::*;

use super::*;

const MIXED: &str = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
    Content-Transfer-Encoding: binary\r\n\r\n";

/// What a next hop gets that takes so much, if it can be said so.
fn for_hop(text: impl AsRef<[u8]>, taken: BodyType) -> Option<Vec<u8>> {
    let content = Content::new(text.as_ref().to_vec());
    let content = downgraded(&content, BodyType::BinaryMime, taken)?;
    assert!(content.is_text());
    let written = content.to_vec();
    assert!(taken != BodyType::SevenBit || written.is_ascii());
    assert!(written.split(|b| *b == b'\n').all(|line| line.len() <= 999));
    Some(written)
}

fn seven_bit(text: impl AsRef<[u8]>) -> Option<String> {
    for_hop(text, BodyType::SevenBit).map(|text| String::from_utf8(text).unwrap())
}

fn octets<'a>(message: &'a Message<'_>, part: usize) -> &'a [u8] {
    match &message.parts[part].body {
        PartType::Text(text) => text.as_bytes(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_parts_that_do_not_fit_are_encoded() {
    let text = format!(
        "{MIXED}--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: BINARY\r\n\r\nGr\u{fc}\u{df}e aus Bonn\r\n\
         --b\r\nContent-Type: image/x-odd\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\n.\n\r\n\
         --b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAo=\r\n--b--\r\n"
    );
    let written = |body: &str, plain: &str, text: &str| {
        format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
             Content-Transfer-Encoding: {body}\r\n\r\n\
             --b\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: {plain}\r\n\r\n{text}\r\n\
             --b\r\nContent-Type: image/x-odd\r\nContent-Transfer-Encoding: base64\r\n\r\nAAouCg==\r\n\r\n\
             --b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAo=\r\n--b--\r\n"
        )
    };
    let ascii = written("7bit", "quoted-printable", "Gr=C3=BC=C3=9Fe aus Bonn");
    assert_eq!(seven_bit(&text), Some(ascii));
    let eight = written("8bit", "8bit", "Gr\u{fc}\u{df}e aus Bonn");
    let for_eight = for_hop(&text, BodyType::EightBitMime).unwrap();
    assert_eq!(String::from_utf8(for_eight).unwrap(), eight);
}

#[test]
fn what_only_says_that_it_is_binary_is_named_for_what_it_is() {
    let text = "MIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n\r\nHello.\r\n";
    let named = text.replace("binary", "7bit");
    assert_eq!(seven_bit(text), Some(named));
}

#[test]
fn text_stays_as_it_is_signed_or_not() {
    for text in [
        "A: 1\r\n\r\nHello.\r\n",
        "DKIM-Signature: v=1\r\nMIME-Version: 1.0\r\n\r\nHello, a binary file.\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b--\r\n",
    ] {
        assert_eq!(seven_bit(text).as_deref(), Some(text));
    }
}

#[test]
fn a_text_with_octets_of_its_own_line_ends_is_no_text() {
    let header = "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n";
    for body in ["a\nb\r\n", "a\rb", "a\0b", "a\r\n\r"] {
        let text = seven_bit(format!("{header}{body}")).unwrap();
        assert!(text.contains("Encoding: base64\r\n"), "{body:?}");
        let read = MessageParser::default().parse(&text).unwrap();
        assert_eq!(octets(&read, 0), body.as_bytes());
    }
    let long = "x".repeat(2000);
    let text = seven_bit(format!("{header}{long}\r\n")).unwrap();
    assert!(text.contains("Encoding: quoted-printable\r\n"), "{text}");
}

#[test]
fn what_is_signed_or_not_certain_is_not_converted() {
    for unsure in [
        "DKIM-Signature: v=1\r\nMIME-Version: 1.0\r\n\r\n\0",
        // The signature covers the name.
        "DKIM-Signature: v=1\r\nContent-Transfer-Encoding: binary\r\n\r\nx\r\n",
        "DKIM-Signature: v=1\r\nContent-Transfer-Encoding:\r\n\tbinary\r\n\r\nx\r\n",
        // Where the header ends.
        "MIME-Version: 1.0\r\n \r\n\0",
        "MIME-Version: 1.0\r\nno field\r\n\r\n\0",
        "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\n\0",
        "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\0\r\n--b--\r\n",
        "MIME-Version: 1.0\r\nContent-Type: message/partial\r\n\r\n\0",
    ] {
        assert_eq!(seven_bit(unsure), None, "{unsure:?}");
    }
    // Where a part ends.
    for body in [
        "--b\r\n\r\n\0\n--b--\r\n",
        "--b\n\r\n\0\r\n--b--\r\n",
        "--b\r\r\n\r\n\0\r\n--b--\r\n",
        "--b\r\n\r\n\0\r\n--b--\r\n\0",
        "\0\r\n--b\r\n\r\nx\r\n--b--\r\n",
        "--b\r\nA: 1\n\r\n\0\r\n--b--\r\n",
        "--b\r\n\r\n\0\r\n",
    ] {
        assert_eq!(seven_bit(format!("{MIXED}{body}")), None, "{body:?}");
    }
}

proptest! {
    #[test]
    fn a_stranger_reads_the_same_octets(
        parts in prop::collection::vec(
            prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(0), any::<u8>()], 0..80),
            1..4,
        ),
        takes_eight in any::<bool>(),
    ) {
        let mut text = MIXED.as_bytes().to_vec();
        for part in &parts {
            text.extend_from_slice(b"--b\r\nContent-Type: application/x-odd\r\n");
            text.extend_from_slice(b"Content-Transfer-Encoding: binary\r\n\r\n");
            text.extend_from_slice(part);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"--b--\r\n");
        let taken = if takes_eight { BodyType::EightBitMime } else { BodyType::SevenBit };
        let written = for_hop(text, taken).unwrap();
        let read = MessageParser::default().parse(&written).unwrap();
        for (number, part) in parts.iter().enumerate() {
            prop_assert!(read.parts[number + 1].content_transfer_encoding() != Some("binary"));
            // Bodies that are lines stay what they are, and the parser mends them.
            if read.parts[number + 1].content_transfer_encoding() == Some("base64") {
                prop_assert_eq!(octets(&read, number + 1), part);
            }
        }
    }

    #[test]
    fn any_octets_are_made_lines_or_not_at_all(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "MIME-Version: 1.0\r\n", "Content-Type: multipart/mixed; boundary=b\r\n", "\r\n",
            "--b\r\n", "--b--\r\n", "\u{fc}", "Content-Type: message/rfc822\r\n", "x\r\n", "\n",
            "\r", "\0", "Content-Transfer-Encoding: binary\r\n",
        ]), 0..20),
    ) {
        // That it is lines is checked there.
        let _ = seven_bit(pieces.concat());
        let _ = for_hop(pieces.concat(), BodyType::EightBitMime);
    }
}
