//! Mail with octets above 127, made fit for a next hop that takes none (RFC 6152
//! section 3): its parts are written in quoted-printable or base64 (RFC 2045
//! section 6), and nothing else is touched.
//!
//! What is signed stays as it is, for the signature would not fit any more; so does
//! what is not certain to say the same afterwards. Such mail is not converted at all.
//! Only what comes back with a report is: nobody judges its signature any more, and
//! the report must not be lost.

mod encodings;
mod headers;
mod kind;

use slimta_core::message::{Content, NewField};

use encodings::{base64, quoted_printable};
pub(super) use headers::has_utf8_header;
use kind::Kind;

/// How deep parts may lie in each other.
const DEPTH_MAX: usize = 20;
/// Fields that sign what stands below them.
const SIGNATURES: [&str; 4] = [
    "DKIM-Signature",
    "ARC-Message-Signature",
    "DomainKey-Signature",
    "X-Google-DKIM-Signature",
];
const TYPE: &str = "Content-Type";
const ENCODING: &str = "Content-Transfer-Encoding";
const VERSION: &str = "MIME-Version";

/// The same message without octets above 127; none if it cannot be said so.
pub fn to_seven_bit(content: &Content) -> Option<Content> {
    convert_message(content.clone(), Within::default())
}

/// Where a part lies.
#[derive(Clone, Copy, Default)]
struct Within {
    depth: usize,
    is_report: bool,
}

impl Within {
    /// A part of a part here.
    fn deeper(self, is_report: bool) -> Self {
        Within {
            depth: self.depth + 1,
            is_report: self.is_report || is_report,
        }
    }
}

/// A whole message, also one within another.
fn convert_message(mut message: Content, within: Within) -> Option<Content> {
    if is_ascii(&message) {
        return Some(message);
    }
    let is_signed = SIGNATURES.iter().any(|name| message.field(name).is_some());
    if is_signed && !within.is_report {
        return None;
    }
    if message.field(VERSION).is_none() {
        // Written before there was MIME, or as if (RFC 1428 section 3).
        message.append(&NewField::new(VERSION, "1.0").ok()?);
        if message.field(TYPE).is_none() {
            let unknown = "text/plain; charset=unknown-8bit";
            message.append(&NewField::new(TYPE, unknown).ok()?);
        }
    }
    convert(message, within)
}

fn is_ascii(part: &Content) -> bool {
    part.chunks().iter().all(|chunk| chunk.is_ascii())
}

/// A message or a part, header and body.
fn convert(part: Content, within: Within) -> Option<Content> {
    if is_ascii(&part) {
        return Some(part);
    }
    if within.depth > DEPTH_MAX
        || !part.header_bytes().is_ascii()
        || !ends_header(part.header_bytes())
    {
        return None;
    }
    let encoding = only(&part, ENCODING)?;
    let is_plain = |said: &String| {
        ["7bit", "8bit"]
            .iter()
            .any(|e| said.eq_ignore_ascii_case(e))
    };
    if !encoding.as_ref().is_none_or(is_plain) {
        // In any other encoding such octets are a mistake.
        return None;
    }
    // What holds parts is named for them (RFC 2045 section 6.4).
    let of_parts = encoding.is_some().then_some("7bit");
    let kind = Kind::read(only(&part, TYPE)?.as_deref())?;
    match (kind.main.as_str(), kind.sub.as_str()) {
        ("multipart", "signed" | "encrypted") if !within.is_report => None,
        // Its parts that name no kind are messages.
        ("multipart", "digest") => None,
        ("multipart", sub) => {
            let deeper = within.deeper(sub == "report");
            let body = multipart(part.body_bytes(), &kind.boundary?, deeper)?;
            with_encoding(&part, body, of_parts)
        }
        ("message", "rfc822") => {
            let inner = Content::new(part.body_bytes().clone());
            let inner = convert_message(inner, within.deeper(false))?;
            with_encoding(&part, inner.to_vec(), of_parts)
        }
        // Nothing else may be encoded there (RFC 2046 section 5.2).
        ("message", _) => None,
        (main, _) if main == "text" && is_mostly_ascii(part.body_bytes()) => {
            let body = quoted_printable(part.body_bytes());
            with_encoding(&part, body, Some("quoted-printable"))
        }
        _ => with_encoding(&part, base64(part.body_bytes()), Some("base64")),
    }
}

/// The value of a field that may stand there once, if it does; none at all if it
/// stands there twice.
fn only(part: &Content, name: &str) -> Option<Option<String>> {
    let mut fields = part.fields_named(name);
    let first = fields.next().map(|field| field.value().into_owned());
    fields.next().is_none().then_some(first)
}

fn with_encoding(part: &Content, body: Vec<u8>, encoding: Option<&str>) -> Option<Content> {
    let mut part = Content::from_parts(part.header_bytes().clone(), body);
    if let Some(encoding) = encoding {
        part.replace(&NewField::new(ENCODING, encoding).ok()?);
    }
    Some(part)
}

/// Whether a header has its empty line: else nobody knows where it ends.
fn ends_header(header: &[u8]) -> bool {
    let last = header.split_inclusive(|b| *b == b'\n').next_back();
    last.is_some_and(|line| line.ends_with(b"\n") && line.trim_ascii().is_empty())
}

fn is_mostly_ascii(body: &[u8]) -> bool {
    let others = body.iter().filter(|b| !b.is_ascii()).count();
    others.saturating_mul(3) <= body.len()
}

/// The parts of a body, each converted, and all between them as it was (RFC 2046
/// section 5.1.1).
fn multipart(body: &[u8], boundary: &str, within: Within) -> Option<Vec<u8>> {
    let delimiter = format!("--{boundary}");
    let (mut out, mut at, mut part_from) = (Vec::with_capacity(body.len() * 3 / 2), 0, None);
    for line in body.split_inclusive(|b| *b == b'\n') {
        let from = at;
        at += line.len();
        let Some(behind) = line.strip_prefix(delimiter.as_bytes()) else {
            continue;
        };
        let is_last = behind.starts_with(b"--");
        if !behind
            .get(if is_last { 2 } else { 0 }..)?
            .trim_ascii()
            .is_empty()
        {
            // Perhaps of a boundary that begins alike.
            return None;
        }
        match part_from {
            Some(start) => out.extend(converted(body.get(start..from)?, within)?),
            None => out.extend_from_slice(ascii(body.get(..from)?)?),
        }
        out.extend_from_slice(line);
        if is_last {
            out.extend_from_slice(ascii(body.get(at..)?)?);
            return part_from.map(|_| out);
        }
        part_from = Some(at);
    }
    None
}

/// A part, with the line end that belongs to the delimiter behind it.
fn converted(part: &[u8], within: Within) -> Option<Vec<u8>> {
    let rest = part.strip_suffix(b"\n").unwrap_or(part);
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    let line_end = part.get(rest.len()..)?;
    let empty_line = ["\r\n", "\n"]
        .into_iter()
        .find(|empty| rest.starts_with(empty.as_bytes()));
    let part = match empty_line {
        // It has no field, but the empty line behind its header.
        Some(empty) => Content::from_parts(empty, rest.get(empty.len()..)?.to_vec()),
        None => Content::new(rest.to_vec()),
    };
    let mut converted = convert(part, within)?.to_vec();
    converted.extend_from_slice(line_end);
    Some(converted)
}

fn ascii(bytes: &[u8]) -> Option<&[u8]> {
    bytes.is_ascii().then_some(bytes)
}

#[cfg(test)]
mod tests;
