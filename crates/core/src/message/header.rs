//! Header fields: reading them, and edits that leave every other byte of the
//! message where it is (RFC 5322 section 2.2).
//!
//! What is not edited is written back as it came: folding, 8-bit octets, odd
//! spacing and lines that are no field at all survive, because a signature may
//! cover them. The body is not even copied.

use std::borrow::Cow;
use std::fmt;

use super::Content;
use super::content::{begins_field, header_len};

/// Lines of added fields are folded here if they can be (RFC 5322 section
/// 2.1.1).
const LINE_BYTES_PREFERRED: usize = 78;
/// No line of an added field is longer (RFC 5322 section 2.1.1).
pub(super) const LINE_BYTES_MAX: usize = 998;

/// One field of a header, as it stands there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    name: &'a str,
    value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Reads a field from its lines; none if they are no field.
    fn read(lines: &'a [u8]) -> Option<Self> {
        let colon = memchr::memchr(b':', lines).filter(|_| begins_field(lines))?;
        Some(Field {
            name: str::from_utf8(lines[..colon].trim_ascii_end()).ok()?,
            value: &lines[colon + 1..],
        })
    }

    /// Reads a field if it has this name. Most do not, and are told apart by
    /// how they begin.
    fn read_named(lines: &'a [u8], name: &str) -> Option<Self> {
        let front = lines.get(..name.len())?;
        if !front.eq_ignore_ascii_case(name.as_bytes()) {
            return None;
        }
        Field::read(lines).filter(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// The name as it is written.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Everything behind the colon, folded as it stands, with its line end.
    pub fn raw_value(&self) -> &'a [u8] {
        self.value
    }

    /// The value unfolded (RFC 5322 section 2.2.3), without the blanks around
    /// it. Octets that are not UTF-8 show as replacement characters.
    pub fn value(&self) -> Cow<'a, str> {
        match String::from_utf8_lossy(self.value.trim_ascii()) {
            Cow::Borrowed(text) if !text.contains(['\r', '\n']) => Cow::Borrowed(text),
            folded => Cow::Owned(folded.replace(['\r', '\n'], "")),
        }
    }
}

/// A field to be put into a header: nothing in it can end its line early.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewField {
    name: String,
    /// Folded, lines parted by CRLF, without the last line end.
    text: String,
}

/// Why something cannot be a header field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The name is empty, or not printable ASCII without colon.
    #[error("the name of a header field is printable ASCII without blanks and colon")]
    Name,
    /// CR, LF or NUL in the value: it could forge another field.
    #[error("the value of a header field holds no CR, LF or NUL")]
    Value,
    /// A line would be longer than 998 octets, and there is no blank to fold at.
    #[error("the value of the header field has no blank to fold it at")]
    TooLong,
}

impl NewField {
    /// A field of this name and value. It is folded at 78 columns, only where
    /// the value has blanks, so unfolding gives the value back.
    pub fn new(name: &str, value: &str) -> Result<Self, FieldError> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
            return Err(FieldError::Name);
        }
        if value.contains(['\r', '\n', '\0']) {
            return Err(FieldError::Value);
        }
        let text = fold(&format!("{name}: {}", value.trim_ascii()));
        if text.split("\r\n").any(|line| line.len() > LINE_BYTES_MAX) {
            return Err(FieldError::TooLong);
        }
        Ok(NewField {
            name: name.to_owned(),
            text,
        })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes the field with the line ends of the header that it goes into.
    fn write(&self, line_end: &str, out: &mut Vec<u8>) {
        for line in self.text.split("\r\n") {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(line_end.as_bytes());
        }
    }
}

/// As it is written, with the last line end.
impl fmt::Display for NewField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\r\n", self.text)
    }
}

/// Header access. Names are compared without regard to case.
impl Content {
    /// The fields of the header, from the top.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        pieces(self.header_bytes()).filter_map(Field::read)
    }

    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<Field<'_>> {
        pieces(self.header_bytes()).find_map(|piece| Field::read_named(piece, name))
    }

    /// All fields of this name, from the top.
    pub fn fields_named(&self, name: &str) -> impl Iterator<Item = Field<'_>> {
        pieces(self.header_bytes()).filter_map(move |piece| Field::read_named(piece, name))
    }

    /// Puts a field above all others, where trace fields belong.
    pub fn prepend(&mut self, field: &NewField) {
        let mut header = Vec::with_capacity(self.header_bytes().len() + field.text.len() + 4);
        field.write(self.line_end(), &mut header);
        header.extend_from_slice(self.header_bytes());
        self.part_from_body(&mut header);
        self.set_header(header);
    }

    /// Puts a field below all others.
    pub fn append(&mut self, field: &NewField) {
        let old = self.header_bytes();
        let mut header = Vec::with_capacity(old.len() + field.text.len() + 4);
        let mut empty_line: &[u8] = &[];
        for piece in pieces(old) {
            if is_empty_line(piece) {
                empty_line = piece;
            } else {
                header.extend_from_slice(piece);
            }
        }
        if !header.is_empty() && !header.ends_with(b"\n") {
            header.extend_from_slice(self.line_end().as_bytes());
        }
        field.write(self.line_end(), &mut header);
        header.extend_from_slice(empty_line);
        self.part_from_body(&mut header);
        self.set_header(header);
    }

    /// Removes all fields of this name and says how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        self.substitute(name, &[], |_| true)
    }

    /// Removes the fields of this name of which `is_removed` says so, and says how
    /// many there were.
    pub fn remove_where(&mut self, name: &str, is_removed: impl Fn(&Field<'_>) -> bool) -> usize {
        self.substitute(name, &[], is_removed)
    }

    /// Puts a field in the place of the first one of its name and removes the
    /// others; without one, it goes below all fields.
    pub fn replace(&mut self, field: &NewField) {
        let mut text = Vec::new();
        field.write(self.line_end(), &mut text);
        if self.substitute(&field.name, &text, |_| true) == 0 {
            self.append(field);
        }
    }

    /// Writes `text` in the place of the first field of this name that is meant, and
    /// nothing in the place of the others. Says how many there were.
    fn substitute(
        &mut self,
        name: &str,
        text: &[u8],
        is_meant: impl Fn(&Field<'_>) -> bool,
    ) -> usize {
        let mut header = Vec::with_capacity(self.header_bytes().len() + text.len());
        let mut found = 0;
        for piece in pieces(self.header_bytes()) {
            if !Field::read_named(piece, name).is_some_and(|field| is_meant(&field)) {
                header.extend_from_slice(piece);
                continue;
            }
            if found == 0 {
                header.extend_from_slice(text);
            }
            found += 1;
        }
        if found > 0 {
            // Without any field the empty line says nothing, unless the body
            // would be read as a header without it.
            if is_empty_line(&header) && header_len(self.body_bytes()) == 0 {
                header.clear();
            }
            self.set_header(header);
        }
        found
    }

    fn set_header(&mut self, header: Vec<u8>) {
        *self = Content::from_parts(header, self.body_bytes().clone());
    }

    /// The first field of contents that had none needs an empty line behind it.
    fn part_from_body(&self, header: &mut Vec<u8>) {
        if self.header_bytes().is_empty() && !begins_with_empty_line(self.body_bytes()) {
            header.extend_from_slice(self.line_end().as_bytes());
        }
    }

    /// How lines of this header end.
    fn line_end(&self) -> &'static str {
        let header = self.header_bytes();
        match memchr::memchr(b'\n', header) {
            Some(at) if !header[..at].ends_with(b"\r") => "\n",
            _ => "\r\n",
        }
    }
}

/// A header block in pieces: each a line with those that continue it.
fn pieces(mut header: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let mut end = 0;
        loop {
            end += memchr::memchr(b'\n', &header[end..]).map_or(header.len() - end, |i| i + 1);
            if !matches!(header.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (piece, rest) = header.split_at(end);
        header = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn is_empty_line(piece: &[u8]) -> bool {
    piece.trim_ascii_end().is_empty()
}

fn begins_with_empty_line(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\n") || bytes.starts_with(b"\r\n")
}

/// Folds a line at 78 columns by putting line ends before blanks that it
/// already has, but never right behind its first word.
pub(super) fn fold(line: &str) -> String {
    fold_at(line, LINE_BYTES_PREFERRED)
}

/// The same at another column.
pub(super) fn fold_at(line: &str, bytes_preferred: usize) -> String {
    const BLANKS: [char; 2] = [' ', '\t'];
    let mut folded = String::with_capacity(line.len() + 16);
    let (mut column, mut words, mut rest) = (0, 0, line);
    while !rest.is_empty() {
        let blanks = rest.len() - rest.trim_start_matches(BLANKS).len();
        let word_len = rest[blanks..].find(BLANKS).unwrap_or(rest.len() - blanks);
        let (piece, tail) = rest.split_at(blanks + word_len);
        let may_break = words > 1 && blanks > 0 && word_len > 0;
        if may_break && column + piece.len() > bytes_preferred {
            folded.push_str("\r\n");
            column = 0;
        }
        folded.push_str(piece);
        column += piece.len();
        words += 1;
        rest = tail;
    }
    folded
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
