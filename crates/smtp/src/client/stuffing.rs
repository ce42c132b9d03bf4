//! Contents as DATA carries them (RFC 5321 section 4.5.2): every line ends with
//! CRLF, and a dot at the front of a line is doubled.

use bytes::Bytes;
use slimta_core::message::Content;

/// Writes contents for DATA, a block at a time.
///
/// A lone CR or LF becomes CRLF: sent as it is, some servers would take it for
/// the end of a line and others not, and what one of them takes for the end of
/// the message the other passes on as text.
#[derive(Debug)]
pub struct Stuffing {
    parts: [Bytes; 2],
    part: usize,
    at: usize,
    place: Place,
}

/// Where in a line the next octet stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Start,
    Text,
    /// Behind a CR whose line end is written, if only an LF follows.
    AfterCr,
}

impl Stuffing {
    /// Behind the contents.
    pub const END: &'static [u8] = b".\r\n";

    /// At the beginning of `content`.
    pub fn new(content: &Content) -> Self {
        Stuffing {
            parts: content.chunks().map(Bytes::clone),
            part: 0,
            at: 0,
            place: Place::Start,
        }
    }

    /// Appends about `block` bytes to `out`, up to and with the end of a line
    /// where that is near; whether more is left. [`Stuffing::END`] is not
    /// written: what must be true before it is sent is not known here.
    pub fn fill(&mut self, out: &mut Vec<u8>, block: usize) -> bool {
        let full = out.len() + block;
        while let Some(part) = self.parts.get(self.part) {
            let rest = part.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                self.part += 1;
                self.at = 0;
                continue;
            }
            if out.len() >= full {
                return true;
            }
            let room = full - out.len();
            self.at += line(&mut self.place, &rest[..rest.len().min(room)], out);
        }
        if self.place == Place::Text {
            out.extend_from_slice(b"\r\n");
            self.place = Place::Start;
        }
        false
    }
}

/// Writes `text` up to and with its first line end; says how much of it that
/// was. `text` is not empty.
fn line(place: &mut Place, text: &[u8], out: &mut Vec<u8>) -> usize {
    let first = text.first().copied();
    if *place == Place::AfterCr {
        *place = Place::Start;
        if first == Some(b'\n') {
            return 1;
        }
    }
    if *place == Place::Start && first == Some(b'.') {
        out.push(b'.');
    }
    match memchr::memchr2(b'\r', b'\n', text) {
        None => {
            out.extend_from_slice(text);
            *place = Place::Text;
            text.len()
        }
        Some(end) => {
            out.extend_from_slice(text.get(..end).unwrap_or_default());
            out.extend_from_slice(b"\r\n");
            let is_cr = text.get(end) == Some(&b'\r');
            let crlf = is_cr && text.get(end + 1) == Some(&b'\n');
            *place = if is_cr && !crlf {
                Place::AfterCr
            } else {
                Place::Start
            };
            end + 1 + usize::from(crlf)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuffed(content: &Content, block: usize) -> Vec<u8> {
        let (mut stuffing, mut out) = (Stuffing::new(content), Vec::new());
        while stuffing.fill(&mut out, block) {}
        out
    }

    #[test]
    fn dots_are_doubled_and_lines_end() {
        for (text, expected) in [
            ("", ""),
            ("a", "a\r\n"),
            ("a\r\n", "a\r\n"),
            (".\r\n..a\r\n", "..\r\n...a\r\n"),
            ("A: 1\r\n\r\n.", "A: 1\r\n\r\n..\r\n"),
            ("a\n.\r\n", "a\r\n..\r\n"),
            ("a\r.\r\n", "a\r\n..\r\n"),
            ("a\r\r\n", "a\r\n\r\n"),
            ("\n\n", "\r\n\r\n"),
        ] {
            for block in 1..9 {
                let written = stuffed(&Content::new(text), block);
                assert_eq!(written, expected.as_bytes(), "{text:?} by {block}");
            }
        }
    }

    #[test]
    fn a_line_end_may_lie_across_header_and_body() {
        let content = Content::from_parts("a\r", "\n.b\r\n");
        assert_eq!(stuffed(&content, 100), b"a\r\n..b\r\n");
    }

    proptest! {
        #[test]
        fn nothing_in_it_ends_the_message_early(
            text in prop::collection::vec(prop::sample::select(b"\r\n.a".to_vec()), 0..40),
            cut in 0..40_usize,
            block in 1..50_usize,
        ) {
            let (header, body) = text.split_at(cut.min(text.len()));
            let content = Content::from_parts(header.to_vec(), body.to_vec());
            let written = stuffed(&content, block);
            prop_assert_eq!(&written, &stuffed(&content, usize::MAX / 2));
            let wire = [b"\r\n", written.as_slice(), Stuffing::END].concat();
            let end = memchr::memmem::find(&wire, b"\r\n.\r\n");
            prop_assert_eq!(end, Some(wire.len() - 5));
            let bare = wire.windows(2).any(|w| (w[0] == b'\r') != (w[1] == b'\n'));
            prop_assert!(!bare, "{:?}", wire);
        }
    }
}
