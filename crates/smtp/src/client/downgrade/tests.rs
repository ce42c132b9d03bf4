//! What comes out, as a stranger's parser reads it.

use mail_parser::{MessageParser, MimeHeaders, PartType};
use proptest::prelude::*;

use super::*;

fn converted(text: impl AsRef<[u8]>) -> Option<String> {
    use BodyType::{EightBitMime, SevenBit};
    let content = Content::new(text.as_ref().to_vec());
    let content = downgraded(&content, EightBitMime, SevenBit)?;
    let text = content.to_vec();
    assert!(text.is_ascii());
    Some(String::from_utf8(text).unwrap())
}

#[test]
fn a_text_is_written_in_quoted_printable_below_the_same_header() {
    let header =
        "MIME-Version: 1.0\r\nX-Odd:  a\r\n\tb\r\nContent-Type: text/plain; charset=utf-8\r\n";
    let long = "x".repeat(75);
    let text = format!(
        "{header}Content-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e = \r\n{long}\u{fc}\r\n.\r\n"
    );
    let body = format!("Gr=C3=BC=C3=9Fe =3D=20\r\n{long}=\r\n=C3=BC\r\n.\r\n");
    let expected = format!("{header}Content-Transfer-Encoding: quoted-printable\r\n\r\n{body}");
    assert_eq!(converted(text).unwrap(), expected);
}

#[test]
fn parts_are_converted_each_and_all_else_stays() {
    let mixed = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=b\"\r\n\
        Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n--=b\r\n\r\nno field \u{fc}\r\n\
        --=b  \r\nContent-Type: image/gif\r\n\r\n\u{fc}\u{fc}\u{fc}\r\n\
        --=b\r\nContent-Type: message/rfc822\r\n\r\nMIME-Version: 1.0\r\nSubject: in\r\n\r\n\u{fc} inside\r\n\
        --=b\r\nContent-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n\r\nascii\r\n--c--\r\n\
        --=b--\r\nepilogue\r\n";
    let expected = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=b\"\r\n\
        Content-Transfer-Encoding: 7bit\r\n\r\npreamble\r\n\
        --=b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nno field =C3=BC\r\n\
        --=b  \r\nContent-Type: image/gif\r\nContent-Transfer-Encoding: base64\r\n\r\nw7zDvMO8\r\n\r\n\
        --=b\r\nContent-Type: message/rfc822\r\n\r\nMIME-Version: 1.0\r\nSubject: in\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC inside\r\n\
        --=b\r\nContent-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n\r\nascii\r\n--c--\r\n\
        --=b--\r\nepilogue\r\n";
    assert_eq!(converted(mixed).unwrap(), expected);
}

#[test]
fn a_text_from_before_mime_is_named_for_what_it_is() {
    let said = converted("Subject: x\r\n\r\n\u{fc} and more\r\n").unwrap();
    assert!(
        said.contains(
            "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        )
    );
    assert!(said.ends_with("\r\n\r\n=C3=BC and more\r\n"), "{said}");
}

#[test]
fn what_comes_back_with_a_report_is_converted_signed_or_not() {
    let report = "MIME-Version: 1.0\r\nContent-Type: multipart/report; boundary=b\r\n\r\n\
        --b\r\n\r\nIt failed.\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
        DKIM-Signature: v=1\r\nMIME-Version: 1.0\r\n\r\n\u{fc} and more\r\n--b--\r\n";
    assert!(
        converted(report)
            .unwrap()
            .contains("\r\n\r\n=C3=BC and more\r\n--b--")
    );
}

#[test]
fn what_is_signed_or_not_certain_is_not_converted() {
    let mime = |fields: &str, body: &str| format!("MIME-Version: 1.0\r\n{fields}\r\n{body}");
    let multipart = "Content-Type: multipart/mixed; boundary=b\r\n";
    for unsure in [
        mime("DKIM-Signature: v=1\r\n", "\u{fc}\r\n"),
        mime(
            "Content-Type: multipart/signed; boundary=b\r\n",
            "--b\r\n\r\n\u{fc}\r\n--b--\r\n",
        ),
        mime("Content-Type: message/partial; id=1\r\n", "\u{fc}\r\n"),
        mime(
            "Content-Type: message/rfc822\r\n",
            "DKIM-Signature: v=1\r\n\r\n\u{fc}\r\n",
        ),
        mime(
            "Content-Type: multipart/digest; boundary=b\r\n",
            "--b\r\n\r\n\u{fc}\r\n--b--\r\n",
        ),
        mime("Content-Transfer-Encoding: base64\r\n", "\u{fc}\r\n"),
        mime("Content-Transfer-Encoding: binary\r\n", "\u{fc}\r\n"),
        mime(
            "Content-Type: text/plain\r\nContent-Type: text/html\r\n",
            "\u{fc}\r\n",
        ),
        mime("Subject: \u{fc}\r\n", "\u{fc}\r\n"),
        mime(
            "Content-Type: multipart/mixed\r\n",
            "--b\r\n\r\n\u{fc}\r\n--b--\r\n",
        ),
        mime(multipart, "--b\r\n\r\n\u{fc}\r\n"),
        mime(multipart, "\u{fc}\r\n--b\r\n\r\nx\r\n--b--\r\n"),
        mime(multipart, "--b\r\n\r\nx\r\n--b--\r\n\u{fc}\r\n"),
        mime(multipart, "--bc\r\n\r\n\u{fc}\r\n--bc--\r\n--b--\r\n"),
        mime(multipart, "--b\r\nno header \u{fc}\r\n--b--\r\n"),
        "MIME-Version: 1.0\r\nno field \u{fc}\r\n".to_owned(),
    ] {
        assert_eq!(converted(&unsure), None, "{unsure}");
    }
}

/// A message of one part, read by a stranger.
fn body_of(message: &str) -> Vec<u8> {
    let read = MessageParser::default().parse(message).unwrap();
    let part = &read.parts[0];
    assert!(part.content_transfer_encoding().is_some());
    match &part.body {
        PartType::Text(text) => text.as_bytes().to_vec(),
        PartType::Binary(bytes) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn a_stranger_reads_the_same_text(
        lines in prop::collection::vec("[ -~\u{fc}\u{20ac}\t]{0,120}", 1..8),
    ) {
        let body = format!("\u{fc}{}\r\n", lines.join("\r\n"));
        let header = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";
        let said = converted(format!("{header}{body}")).unwrap();
        prop_assert!(said.split("\r\n").all(|line| line.len() <= 78), "{said}");
        prop_assert_eq!(String::from_utf8(body_of(&said)).unwrap(), body);
    }

    #[test]
    fn a_stranger_reads_the_same_octets(mut body in prop::collection::vec(any::<u8>(), 0..300)) {
        body.push(0xff);
        let mut text = b"MIME-Version: 1.0\r\nContent-Type: application/x-odd\r\n\r\n".to_vec();
        text.extend_from_slice(&body);
        prop_assert_eq!(body_of(&converted(text).unwrap()), body);
    }

    #[test]
    fn any_octets_are_converted_to_ascii_or_not_at_all(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "MIME-Version: 1.0\r\n", "Content-Type: multipart/mixed; boundary=b\r\n", "\r\n", "--b\r\n",
            "--b--\r\n", "\u{fc}", "Content-Type: message/rfc822\r\n", "x\r\n", "\n", "\r",
        ]), 0..20),
    ) {
        // That it is ASCII is checked there.
        let _ = converted(pieces.concat());
    }
}
