//! Header and body: immutable shared bytes.

use bytes::Bytes;

/// The contents of a message. Cloning shares the bytes; editing the header
/// leaves the body where it is.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The header block, with the empty line that ends it if there is one.
    header: Bytes,
    body: Bytes,
}

impl Content {
    /// Contents as they came in. If they do not begin with a header block, all
    /// of them are body.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let mut header = bytes.into();
        let body = header.split_off(header_len(&header));
        Content { header, body }
    }

    /// Puts together a header block and a body as they are.
    pub fn from_parts(header: impl Into<Bytes>, body: impl Into<Bytes>) -> Self {
        Content {
            header: header.into(),
            body: body.into(),
        }
    }

    /// The header block, with the empty line that ends it if there is one.
    pub fn header_bytes(&self) -> &Bytes {
        &self.header
    }

    /// The body.
    pub fn body_bytes(&self) -> &Bytes {
        &self.body
    }

    /// All of it, in order, without copying.
    pub fn chunks(&self) -> [&Bytes; 2] {
        [&self.header, &self.body]
    }

    /// All of it, copied into one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend_from_slice(&self.header);
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The size in bytes.
    pub fn len(&self) -> usize {
        self.header.len() + self.body.len()
    }

    /// Whether it is text as DATA carries it (RFC 5321 section 2.3.7): each CR and
    /// each LF is one of a line end, and there is no NUL.
    pub fn is_text(&self) -> bool {
        // Whether an LF is due, right behind a CR.
        let mut due = false;
        for chunk in self.chunks() {
            let mut next = 0;
            for at in memchr::memchr3_iter(b'\r', b'\n', 0, chunk) {
                due = match chunk.get(at) {
                    Some(b'\r') if !due => true,
                    Some(b'\n') if due && at == next => false,
                    _ => return false,
                };
                next = at + 1;
            }
            if due && next < chunk.len() {
                return false;
            }
        }
        !due
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Content({} + {} bytes)",
            self.header.len(),
            self.body.len()
        )
    }
}

/// How many bytes at the front are header block: lines of `name: value` and
/// their continuations, up to and with the first empty line.
pub(super) fn header_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |i| at + i + 1);
        let line = bytes[at..end].trim_ascii_end();
        if line.is_empty() {
            return if at == 0 { 0 } else { end };
        }
        let continues = at > 0 && matches!(bytes[at], b' ' | b'\t');
        if !continues && !begins_field(line) {
            // Not a header line. Mail whose header block lacks its empty line
            // exists; what was read as header so far stays header.
            return at;
        }
        at = end;
    }
    at
}

/// Whether a line begins `name:` (RFC 5322 section 2.2; blanks before the colon
/// are obsolete syntax that is still met).
pub(super) fn begins_field(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else {
        return false;
    };
    let name = line[..colon].trim_ascii_end();
    !name.is_empty() && name.iter().all(|b| (33..=126).contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &'static str) -> (&'static str, usize) {
        let content = Content::new(text);
        assert_eq!(content.to_vec(), text.as_bytes());
        (text, content.header_bytes().len())
    }

    #[test]
    fn the_header_block_ends_at_the_empty_line() {
        for (text, header) in [
            split("A: 1\r\nB: 2\r\n\r\nbody\r\n"),
            split("A: 1\r\n folded\r\n\r\nbody\r\n"),
            split("A: 1\r\n\r\n"),
            split("A: 1\nB: 2\n\nbody\n"),
        ] {
            assert!(text[..header].ends_with("\n\n") || text[..header].ends_with("\r\n\r\n"));
        }
    }

    #[test]
    fn text_has_whole_line_ends_and_no_nul() {
        for (header, body, is_text) in [
            ("", "", true),
            ("a", "b", true),
            ("A: 1\r\n\r\n", "b\r\n\r\n", true),
            ("a\r", "\nb", true),
            ("a\r", "", false),
            ("a\r", "b\n", false),
            ("a", "\nb", false),
            ("", "a\rb\n", false),
            ("", "\r\r\n", false),
            ("", "\r\n\n", false),
            ("", "a\0b", false),
        ] {
            let content = Content::from_parts(header, body);
            assert_eq!(content.is_text(), is_text, "{header:?} {body:?}");
        }
    }

    #[test]
    fn contents_without_a_header_block_are_all_body() {
        for (_, header) in [
            split(""),
            split("test contents"),
            split("\r\nbody"),
            split(" folded: but first\r\n\r\nbody"),
            split("no header here\r\n\r\nbody"),
        ] {
            assert_eq!(header, 0);
        }
    }
}
