//! Contents as they are written to a next hop: dotted lines behind DATA, or one
//! chunk of so many octets by BDAT (RFC 3030 section 2).

use bytes::Bytes;
use slimta_core::message::Content;

use super::stuffing::Stuffing;

/// Writes contents, a block at a time.
///
/// What makes the message complete for the next hop is kept for
/// [`end`](Wire::end): what must be true before it is sent is not known here.
#[derive(Debug)]
pub enum Wire {
    /// Behind DATA.
    Data(Stuffing),
    /// By BDAT, with the command itself.
    Chunk(Chunk),
}

/// One chunk, the only and last one of its message.
#[derive(Debug)]
pub struct Chunk {
    /// Until it is written.
    command: Option<String>,
    parts: [Bytes; 2],
}

/// How contents go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Transfer {
    Data,
    Chunk,
}

impl Wire {
    /// At the beginning of `content`.
    pub(super) fn new(transfer: Transfer, content: &Content) -> Self {
        match transfer {
            Transfer::Data => Wire::Data(Stuffing::new(content)),
            Transfer::Chunk => Wire::Chunk(Chunk {
                command: Some(format!("BDAT {} LAST\r\n", content.len())),
                parts: content.chunks().map(Bytes::clone),
            }),
        }
    }

    /// Appends about `block` bytes to `out`; whether more is left before the end.
    pub fn fill(&mut self, out: &mut Vec<u8>, block: usize) -> bool {
        match self {
            Wire::Data(stuffing) => stuffing.fill(out, block),
            Wire::Chunk(chunk) => chunk.fill(out, block),
        }
    }

    /// Appends what ends the message: the final dot, or the last octets of the
    /// chunk.
    pub fn end(mut self, out: &mut Vec<u8>) {
        match &mut self {
            Wire::Data(_) => out.extend_from_slice(Stuffing::END),
            Wire::Chunk(chunk) => {
                let left = chunk.left();
                chunk.write(out, left);
            }
        }
    }
}

impl Chunk {
    /// Writes a block, but never the last octet: the message ends with that.
    fn fill(&mut self, out: &mut Vec<u8>, block: usize) -> bool {
        if self.left() <= block {
            return false;
        }
        self.write(out, block);
        true
    }

    fn left(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    fn write(&mut self, out: &mut Vec<u8>, mut len: usize) {
        if let Some(command) = self.command.take() {
            out.extend_from_slice(command.as_bytes());
        }
        for part in &mut self.parts {
            let piece = part.split_to(len.min(part.len()));
            len -= piece.len();
            out.extend_from_slice(&piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chunk_is_never_whole_before_its_end() {
        let content = Content::from_parts("A: 1\r\n\r\n", "\0\n.\n");
        for block in 1..20 {
            let (mut wire, mut out) = (Wire::new(Transfer::Chunk, &content), Vec::new());
            while wire.fill(&mut out, block) {}
            assert!(!out.ends_with(b"\0\n.\n"), "by {block}");
            wire.end(&mut out);
            assert_eq!(out, b"BDAT 12 LAST\r\nA: 1\r\n\r\n\0\n.\n", "by {block}");
        }
        let (mut wire, mut out) = (Wire::new(Transfer::Chunk, &Content::default()), Vec::new());
        assert!(!wire.fill(&mut out, 9) && out.is_empty());
        wire.end(&mut out);
        assert_eq!(out, b"BDAT 0 LAST\r\n");
    }

    proptest! {
        #[test]
        fn a_chunk_has_the_octets_that_it_says(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            block in 1..70_usize,
        ) {
            let content = Content::new(bytes.clone());
            let (mut wire, mut out) = (Wire::new(Transfer::Chunk, &content), Vec::new());
            while wire.fill(&mut out, block) {}
            wire.end(&mut out);
            let command = format!("BDAT {} LAST\r\n", bytes.len());
            prop_assert_eq!(out, [command.into_bytes(), bytes].concat());
        }
    }
}
