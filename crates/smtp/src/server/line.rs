//! Command lines: they end with CR LF, and a bound on their length holds
//! whatever is sent (RFC 5321 sections 2.3.8 and 4.5.3.1.4).

use bytes::{Buf, BufMut, BytesMut};
use memchr::memchr;

/// Longest command line with its CR LF. RFC 5321 asks for 512 bytes and more
/// for extensions; ORCPT alone may take 500.
pub(super) const LINE_BYTES_MAX: usize = 2048;

/// Longest line of an authentication exchange with its CR LF (RFC 4954
/// section 4).
pub(super) const EXCHANGE_BYTES_MAX: usize = 12_288;

/// What is at the front of the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Line {
    /// A line of so many bytes, which are still there, with CR LF behind them.
    Whole(usize),
    /// A line over the limit, which is gone.
    TooLong,
    /// A line feed without a carriage return: what follows may be one command
    /// to one host and another to the next, so nothing more should be read.
    BareLf,
}

/// Finds the lines of an input that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Whether the line is over the limit and its end is looked for.
    is_discarding: bool,
}

impl Lines {
    /// What comes next, if a line may have so many bytes with its CR LF; none if
    /// more has to be read. Never leaves more than the limit in the input.
    pub(super) fn next(&mut self, input: &mut BytesMut, bytes_max: usize) -> Option<Line> {
        let Some(at) = memchr(b'\n', input) else {
            if self.is_discarding || input.len() >= bytes_max {
                self.discard(input);
            }
            return None;
        };
        let before = at.checked_sub(1);
        let Some(end) = before.filter(|end| input.get(*end) == Some(&b'\r')) else {
            return Some(Line::BareLf);
        };
        if self.is_discarding || at >= bytes_max {
            self.is_discarding = false;
            input.advance(at + 1);
            return Some(Line::TooLong);
        }
        Some(Line::Whole(end))
    }

    /// Drops what is there of a line that is too long, but for a carriage
    /// return that the next byte may make its end.
    fn discard(&mut self, input: &mut BytesMut) {
        self.is_discarding = true;
        let ends_with_cr = input.last() == Some(&b'\r');
        input.clear();
        if ends_with_cr {
            input.put_u8(b'\r');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of an input that comes in pieces of so many bytes.
    fn lines(text: &[u8], piece: usize) -> Vec<Line> {
        let (mut reader, mut input, mut found) =
            (Lines::default(), BytesMut::new(), Vec::<Line>::new());
        for piece in text.chunks(piece) {
            input.extend_from_slice(piece);
            while let Some(line) = reader.next(&mut input, LINE_BYTES_MAX) {
                found.push(line);
                match line {
                    Line::Whole(len) => input.advance(len + 2),
                    Line::TooLong => {}
                    Line::BareLf => return found,
                }
            }
            assert!(input.len() < LINE_BYTES_MAX);
        }
        found
    }

    #[test]
    fn the_cut_of_the_input_changes_no_line() {
        let longest = "x".repeat(LINE_BYTES_MAX - 2);
        let text = format!("a\r\n\r\n{longest}\r\n{longest}y\r\n{longest}\r\r\nb\rc\r\nd\ne\r\n");
        let expected = [
            Line::Whole(1),
            Line::Whole(0),
            Line::Whole(LINE_BYTES_MAX - 2),
            Line::TooLong,
            Line::TooLong,
            Line::Whole(3),
            Line::BareLf,
        ];
        for piece in (1..70).chain(2000..2100).chain([text.len()]) {
            assert_eq!(lines(text.as_bytes(), piece), expected, "{piece}");
        }
    }

    #[test]
    fn a_bare_line_feed_is_found_in_a_line_that_is_too_long() {
        let text = format!("{}\n", "x".repeat(5000));
        for piece in [1, 1000, 9000] {
            assert_eq!(lines(text.as_bytes(), piece), [Line::BareLf], "{piece}");
        }
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        assert_eq!(lines(&b"x\r".repeat(1 << 20), 4096), []);
    }
}
