//! What of a failed message goes back to its sender.

use std::borrow::Cow;

use bytes::Bytes;

use super::bounce::Failure;
use super::header::LINE_BYTES_MAX;
use super::{BodyType, Content, Ret};

/// So much of a header comes back however little of a message shall: without
/// it nobody knows which message failed.
const HEADER_BYTES_MIN: usize = 64 * 1024;

/// The part of a failed message that a notice returns.
pub(super) struct Returned {
    /// Whether it is the whole message or its header.
    pub(super) extent: Ret,
    /// Lines that end with CRLF.
    pub(super) bytes: Bytes,
}

impl Returned {
    /// The whole message; its header if the sender asked for that (RET=HDRS) or for
    /// TLS on all of its way (RFC 8689 section 5),
    /// the message is longer than `bytes_max`, or its lines are not such as a
    /// part of a message can hold.
    pub(super) fn of(failure: &Failure<'_>, bytes_max: usize) -> Self {
        let content = failure.content;
        let whole = failure.envelope.ret != Some(Ret::Headers)
            && failure.envelope.body != BodyType::BinaryMime
            && !failure.envelope.require_tls
            && content.len() <= bytes_max;
        if whole && let Some(bytes) = whole_message(content) {
            return Returned {
                extent: Ret::Full,
                bytes: bytes.into(),
            };
        }
        Returned::header_of(failure, bytes_max)
    }

    /// The header, as notices have it that are of no failure (RFC 3461
    /// section 4.3).
    pub(super) fn header_of(failure: &Failure<'_>, bytes_max: usize) -> Self {
        Returned {
            extent: Ret::Headers,
            bytes: header(
                failure.content.header_bytes(),
                bytes_max.max(HEADER_BYTES_MIN),
            )
            .into(),
        }
    }
}

/// The whole message; none if a line is too long or it holds NUL.
fn whole_message(content: &Content) -> Option<Vec<u8>> {
    let bytes = content.to_vec();
    if memchr::memchr(0, &bytes).is_some() {
        return None;
    }
    let mut text = match with_crlf(&bytes) {
        Cow::Borrowed(_) => bytes,
        Cow::Owned(text) => text,
    };
    if content.header_bytes().is_empty() && !text.starts_with(b"\r\n") {
        // Contents without a header must not be taken for one.
        text.splice(..0, *b"\r\n");
    }
    let fits = text
        .split(|b| *b == b'\n')
        .all(|line| line.strip_suffix(b"\r").unwrap_or(line).len() <= LINE_BYTES_MAX);
    fits.then_some(text)
}

/// The lines of a header, as many as there is room for; a line that is too
/// long is cut. Without the empty line behind them.
fn header(bytes: &[u8], bytes_max: usize) -> Vec<u8> {
    let text = with_crlf(bytes);
    let mut header = Vec::with_capacity(text.len().min(bytes_max));
    for line in text.split(|b| *b == b'\n') {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            continue;
        }
        let line = line.get(..LINE_BYTES_MAX).unwrap_or(line);
        if header.len() + line.len() + 2 > bytes_max {
            break;
        }
        header.extend(line.iter().map(|b| if *b == 0 { b' ' } else { *b }));
        header.extend_from_slice(b"\r\n");
    }
    header
}

/// The same text with every line end a CRLF.
fn with_crlf(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_bare = |at: usize| match bytes[at] {
        b'\n' => at == 0 || bytes[at - 1] != b'\r',
        _ => bytes.get(at + 1) != Some(&b'\n'),
    };
    if !memchr::memchr2_iter(b'\r', b'\n', bytes).any(is_bare) {
        return Cow::Borrowed(bytes);
    }
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    let mut done = 0;
    for at in memchr::memchr2_iter(b'\r', b'\n', bytes).filter(|at| is_bare(*at)) {
        text.extend_from_slice(&bytes[done..at]);
        text.extend_from_slice(b"\r\n");
        done = at + 1;
    }
    text.extend_from_slice(&bytes[done..]);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_end_becomes_crlf() {
        for (text, expected) in [
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("a\nb\rc\r\n\r\r\n\n", "a\r\nb\r\nc\r\n\r\n\r\n\r\n"),
            ("\n", "\r\n"),
            ("", ""),
        ] {
            assert_eq!(
                &*with_crlf(text.as_bytes()),
                expected.as_bytes(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_returned_header_has_lines_that_a_message_may_have() {
        let long = format!("A: {}\r\nB: 1\0\nC: 2\r\n\r\n", "x".repeat(3000));
        let text = header(long.as_bytes(), 2000);
        assert_eq!(text.len(), 998 + 2 + 7 + 6);
        assert!(text.ends_with(b"\r\nB: 1 \r\nC: 2\r\n"));
        assert!(header(long.as_bytes(), 100).is_empty());
    }
}
