//! Which mail has UTF-8 in a header, be it that of a part (RFC 6532): it takes
//! SMTPUTF8, whatever its addresses are.

use bytes::Bytes;
use slimta_core::message::Content;

use super::kind::Kind;
use super::{DEPTH_MAX, TYPE};

/// Whether the header of a message has octets above 127, or that of a part or a message
/// within it (RFC 6531 section 3.2).
pub(in crate::client) fn has_utf8_header(content: &Content) -> bool {
    is_in(content, "text/plain", 0)
}

fn is_ascii(part: &Content) -> bool {
    part.chunks().iter().all(|chunk| chunk.is_ascii())
}

/// The same for what is of a kind where it names none itself.
fn is_in(part: &Content, unnamed: &str, depth: usize) -> bool {
    if is_ascii(part) {
        return false;
    }
    if !part.header_bytes().is_ascii() || depth > DEPTH_MAX {
        return true;
    }
    let named = part.field(TYPE).map(|field| field.value().into_owned());
    let Some(kind) = Kind::read(Some(named.as_deref().unwrap_or(unnamed))) else {
        // Nobody finds parts in it.
        return false;
    };
    let body = part.body_bytes();
    let deeper = |bytes: Bytes, unnamed| is_in(&read(bytes), unnamed, depth + 1);
    match (kind.main.as_str(), kind.sub.as_str(), &kind.boundary) {
        ("message", "rfc822" | "global", _) => deeper(body.clone(), "text/plain"),
        ("multipart", sub, Some(boundary)) => {
            let unnamed = match sub {
                // RFC 2046 section 5.1.5.
                "digest" => "message/rfc822",
                _ => "text/plain",
            };
            let mut parts = parts(body, boundary).into_iter();
            parts.any(|part| deeper(part, unnamed))
        }
        _ => false,
    }
}

/// A part, which may have no field but the empty line behind its header.
fn read(part: Bytes) -> Content {
    let mut empty_lines = [&b"\r\n"[..], b"\n"].into_iter();
    match empty_lines.find(|empty| part.starts_with(empty)) {
        Some(empty) => Content::from_parts(empty, part.slice(empty.len()..)),
        None => Content::new(part),
    }
}

/// What stands between the delimiters of a body, also behind the last if that does not
/// end it.
fn parts(body: &Bytes, boundary: &str) -> Vec<Bytes> {
    let delimiter = format!("--{boundary}");
    let (mut parts, mut at, mut part_from) = (Vec::new(), 0, None);
    for line in body.split_inclusive(|b| *b == b'\n') {
        let from = at;
        at += line.len();
        let Some(behind) = line.strip_prefix(delimiter.as_bytes()) else {
            continue;
        };
        let is_last = behind.starts_with(b"--");
        let rest = behind.strip_prefix(b"--").unwrap_or(behind);
        if !rest.trim_ascii().is_empty() {
            // Of a boundary that begins alike.
            continue;
        }
        parts.extend(part_from.map(|start| body.slice(start..from)));
        part_from = (!is_last).then_some(at);
    }
    parts.extend(part_from.map(|start| body.slice(start..)));
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Bytes of a stranger: what is found is there, and all parts lie within.
        #[test]
        fn nothing_is_found_in_ascii_and_no_part_is_more_than_its_body(
            text in "(--b|--b--|\r\n|\n|A: 1|gr\u{fc}n|Content-Type: |multipart/mixed; boundary=b|message/rfc822){0,30}",
        ) {
            let body = Bytes::from(text.clone());
            let all: usize = parts(&body, "b").iter().map(Bytes::len).sum();
            prop_assert!(all <= body.len());
            let is_found = has_utf8_header(&Content::new(text.clone()));
            prop_assert!(!is_found || !text.is_ascii());
        }
    }

    #[test]
    fn headers_of_all_parts_count_and_bodies_do_not() {
        let part = |header: &str, body: &str| format!("--b\r\n{header}\r\n\r\n{body}\r\n");
        let in_parts = |sub: &str, part: String| {
            format!(
                "A: 1\r\nContent-Type: multipart/{sub}; boundary=b\r\n\r\n\
                 --b\r\n\r\nHello\r\n--bc\r\n{part}--b--\r\n"
            )
        };
        let message = |header: &str| {
            format!("Content-Type: message/rfc822\r\n\r\n{header}\r\n\r\nGr\u{fc}\u{df}e\r\n")
        };
        let unnamed = || "--b\r\n\r\nSubject: gr\u{fc}n\r\n".to_owned();
        let name = "Content-Disposition: attachment; filename=\"gr\u{fc}n\"";
        for (text, is_so) in [
            ("Subject: x\r\n\r\nHello\r\n".to_owned(), false),
            ("Subject: x\r\n\r\nGr\u{fc}\u{df}e\r\n".to_owned(), false),
            ("Subject: gr\u{fc}n\r\n\r\n".to_owned(), true),
            (in_parts("mixed", part("X: 1", "gr\u{fc}n")), false),
            (in_parts("mixed", part(name, "green")), true),
            // What ends too early is read by some.
            (
                in_parts("mixed", part(name, "x")).replace("--b--", ""),
                true,
            ),
            (message("Subject: x"), false),
            (message("Subject: gr\u{fc}n"), true),
            (message(name).replace("rfc822", "global"), true),
            (in_parts("digest", unnamed()), true),
            (in_parts("mixed", unnamed()), false),
            (
                in_parts("mixed", part(name, "x")).replace("boundary", "x"),
                false,
            ),
        ] {
            let content = Content::new(text.clone());
            assert_eq!(has_utf8_header(&content), is_so, "{text}");
        }
    }

    #[test]
    fn what_nests_without_end_is_not_looked_into() {
        let mut text = "Subject: x\r\n\r\nGr\u{fc}\u{df}e\r\n".to_owned();
        for _ in 0..10_000 {
            text = format!("Content-Type: message/rfc822\r\n\r\n{text}");
        }
        assert!(has_utf8_header(&Content::new(text)));
    }
}
