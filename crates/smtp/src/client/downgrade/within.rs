//! Where a part lies, and what may stand there.

use slimta_core::message::{BodyType, Content};

use super::ENCODING;

/// Longest line without its end where only lines are taken (RFC 5322 section 2.1.1).
const LINE_BYTES_MAX: usize = 998;

/// Where a part lies, in what kind of message, for what kind of next hop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Within {
    pub(super) depth: usize,
    /// Whether it comes back with a report.
    pub(super) is_report: bool,
    /// Whether the message was declared to hold any octets.
    is_binary: bool,
    /// Whether the next hop takes octets above 127.
    is_eight_bit: bool,
}

impl Within {
    /// A whole message that was declared so, for a next hop that takes so much.
    pub(super) fn message(declared: BodyType, taken: BodyType) -> Self {
        Within {
            depth: 0,
            is_report: false,
            is_binary: declared == BodyType::BinaryMime,
            is_eight_bit: taken != BodyType::SevenBit,
        }
    }

    /// A part of a part here.
    pub(super) fn deeper(self, is_report: bool) -> Self {
        Within {
            depth: self.depth + 1,
            is_report: self.is_report || is_report,
            ..self
        }
    }

    /// Whether a part fits as it is, and says of no part of its own that it would
    /// not.
    pub(super) fn may_stay(self, part: &Content) -> bool {
        let says_binary = || part.chunks().into_iter().any(|bytes| says_binary(bytes));
        self.fits(part) && !(self.is_binary && says_binary())
    }

    /// Whether the next hop takes these octets.
    pub(super) fn fits(self, part: &Content) -> bool {
        let mut chunks = part.chunks().into_iter();
        (self.is_eight_bit || chunks.all(|chunk| chunk.is_ascii()))
            && (!self.is_binary || (part.is_text() && has_short_lines(part)))
    }

    /// Those octets, if the next hop takes them.
    pub(super) fn fitting(self, bytes: &[u8]) -> Option<&[u8]> {
        let content = Content::from_parts(bytes.to_vec(), "");
        self.fits(&content).then_some(bytes)
    }

    /// The same for a header, which has its empty line: else nobody knows where it
    /// ends.
    pub(super) fn fits_header(self, header: &[u8]) -> bool {
        let last = header.split_inclusive(|b| *b == b'\n').next_back();
        let is_whole = last.is_some_and(|line| match self.is_binary {
            // What looks empty to some continues a field for others.
            true => line == b"\r\n",
            false => line.ends_with(b"\n") && line.trim_ascii().is_empty(),
        });
        is_whole && self.fitting(header).is_some()
    }

    /// Whether a part of this encoding is not encoded at all.
    pub(super) fn is_plain(self, encoding: &str) -> bool {
        let is = |known: &str| encoding.eq_ignore_ascii_case(known);
        is("7bit") || is("8bit") || (self.is_binary && is("binary"))
    }

    /// Whether quoted-printable keeps a text, and leaves most of it to be read.
    pub(super) fn is_mostly_text(self, body: &[u8]) -> bool {
        let others = body.iter().filter(|b| !b.is_ascii()).count();
        let is_text = || Content::from_parts("", body.to_vec()).is_text();
        others.saturating_mul(3) <= body.len() && (!self.is_binary || is_text())
    }
}

fn has_short_lines(part: &Content) -> bool {
    let is_short = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).len() <= LINE_BYTES_MAX;
    part.chunks()
        .into_iter()
        .all(|chunk| chunk.split(|b| *b == b'\n').all(is_short))
}

/// Whether some line may be that of a field which says that a part is `binary`.
fn says_binary(bytes: &[u8]) -> bool {
    let mut is_field = false;
    bytes.split_inclusive(|b| *b == b'\n').any(|line| {
        let goes_on = is_field && matches!(line.first(), Some(b' ' | b'\t'));
        let name = line.get(..ENCODING.len()).unwrap_or_default();
        is_field = goes_on || name.eq_ignore_ascii_case(ENCODING.as_bytes());
        is_field
            && line
                .windows(6)
                .any(|word| word.eq_ignore_ascii_case(b"binary"))
    })
}
