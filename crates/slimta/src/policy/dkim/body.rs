//! The hash of a body in its relaxed form (RFC 6376 section 3.4.4): blanks in a
//! row count as one, those at the end of a line and empty lines at the end of
//! the body as none.
//!
//! The body is read where it lies, in pieces of any size, and never copied.

use ring::digest::{Context, SHA256};

use crate::message::Content;

/// Short runs of text are put together to this much before they are hashed.
const BLOCK_BYTES: usize = 4 << 10;

/// How much of a body is hashed before others get their turn.
const TURN_BYTES: usize = 256 << 10;

/// Reads a body and hashes it.
pub(super) struct BodyHash(Relaxed<Hash>);

impl BodyHash {
    /// The hash of nothing so far.
    pub(super) fn new() -> Self {
        BodyHash(Relaxed::new(Hash {
            context: Context::new(&SHA256),
            block: Vec::with_capacity(BLOCK_BYTES),
        }))
    }

    /// The hash of the body of a message, read in turns.
    pub(super) async fn of(content: &Content) -> Self {
        let mut hash = BodyHash::new();
        for piece in content.body_bytes().chunks(TURN_BYTES) {
            hash.update(piece);
            if piece.len() == TURN_BYTES {
                tokio::task::yield_now().await;
            }
        }
        hash
    }

    /// Reads the next piece.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all that was read.
    pub(super) fn finish(self) -> impl AsRef<[u8]> {
        let mut hash = self.0.finish();
        hash.context.update(&hash.block);
        hash.context.finish()
    }
}

/// Where the relaxed form of a body goes.
trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

/// SHA-256, in blocks.
struct Hash {
    context: Context,
    block: Vec<u8>,
}

impl Sink for Hash {
    fn put(&mut self, bytes: &[u8]) {
        if self.block.len() + bytes.len() > BLOCK_BYTES {
            self.context.update(&self.block);
            self.block.clear();
        }
        if bytes.len() > BLOCK_BYTES {
            self.context.update(bytes);
        } else {
            self.block.extend_from_slice(bytes);
        }
    }
}

/// Writes the relaxed form of what it reads. What may turn out to count for
/// nothing is kept back as numbers.
///
/// A CR or an LF alone ends a line, as it will where the message is sent on.
struct Relaxed<S> {
    sink: S,
    /// Line ends that are read and not written.
    line_ends: u64,
    /// Whether blanks were read behind them.
    blank: bool,
    /// Whether the last octet was a CR, to whose line end an LF belongs.
    after_cr: bool,
    /// Whether anything was written.
    begun: bool,
}

impl<S: Sink> Relaxed<S> {
    fn new(sink: S) -> Self {
        Relaxed {
            sink,
            line_ends: 0,
            blank: false,
            after_cr: false,
            begun: false,
        }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while let Some(&first) = bytes.first() {
            let read = match first {
                b'\n' if self.after_cr => 1,
                b'\r' | b'\n' => {
                    self.line_ends += 1;
                    self.blank = false;
                    1
                }
                b' ' | b'\t' => {
                    self.blank = true;
                    1
                }
                _ => {
                    let end = bytes.iter().position(|byte| is_space(*byte));
                    let read = end.unwrap_or(bytes.len());
                    self.text(&bytes[..read]);
                    read
                }
            };
            self.after_cr = first == b'\r';
            bytes = &bytes[read..];
        }
    }

    /// Text proves that what was kept back before it counts.
    fn text(&mut self, text: &[u8]) {
        for _ in 0..self.line_ends {
            self.sink.put(b"\r\n");
        }
        if self.blank {
            self.sink.put(b" ");
        }
        self.sink.put(text);
        (self.line_ends, self.blank, self.begun) = (0, false, true);
    }

    /// The last line that counts has a line end, read or not.
    fn finish(mut self) -> S {
        if self.begun {
            self.sink.put(b"\r\n");
        }
        self.sink
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use proptest::prelude::*;

    use super::super::tests::relaxed_body;
    use super::*;

    impl Sink for Vec<u8> {
        fn put(&mut self, bytes: &[u8]) {
            self.extend_from_slice(bytes);
        }
    }

    fn relaxed(body: &[u8]) -> Vec<u8> {
        let mut form = Relaxed::new(Vec::new());
        form.update(body);
        form.finish()
    }

    fn hash(body: &[u8], piece: usize) -> String {
        let mut hash = BodyHash::new();
        body.chunks(piece).for_each(|piece| hash.update(piece));
        BASE64_STANDARD.encode(hash.finish())
    }

    #[test]
    fn blanks_and_empty_lines_count_for_little() {
        for (body, form) in [
            (" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"),
            ("", ""),
            ("\r\n\r\n\r\n", ""),
            (" \t\r\n \r\n", ""),
            ("a", "a\r\n"),
            ("a \t", "a\r\n"),
            ("a\r\n \r\n", "a\r\n"),
            ("\r\n \r\n\r\na", "\r\n\r\n\r\na\r\n"),
            (".\r\n..\r\n", ".\r\n..\r\n"),
            ("a\nb\rc", "a\r\nb\r\nc\r\n"),
            ("a\r\r\nb", "a\r\n\r\nb\r\n"),
        ] {
            assert_eq!(relaxed(body.as_bytes()), form.as_bytes(), "{body:?}");
        }
    }

    #[test]
    fn the_hashes_of_nothing_and_of_much_are_those_that_others_find() {
        // RFC 6376 section 3.4.4.
        let nothing = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(hash(b"", 1), nothing);
        assert_eq!(hash(b" \r\n\r\n", 1), nothing);
        let line = [&[b'x'; 9000][..], b"  y\r\n"].concat();
        let much = line.repeat(20);
        let whole = ring::digest::digest(&SHA256, &relaxed_body(&much));
        assert_eq!(hash(&much, 7001), BASE64_STANDARD.encode(whole));
    }

    proptest! {
        #[test]
        fn any_body_in_any_pieces_has_the_form_of_the_rfc(
            body in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '),
                Just(b'\t'), Just(b'.'), any::<u8>()], 0..80),
            pieces in 1..9_usize,
        ) {
            let mut form = Relaxed::new(Vec::new());
            body.chunks(pieces).for_each(|piece| form.update(piece));
            prop_assert_eq!(form.finish(), relaxed_body(&body));
        }
    }
}
