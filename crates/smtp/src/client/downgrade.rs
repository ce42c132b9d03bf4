//! Mail that holds more than a next hop takes, made fit for it: octets above 127
//! where those are not taken (RFC 6152 section 3), or octets that are no lines where
//! only lines are (RFC 3030 section 3). Its parts are written in quoted-printable or
//! base64 (RFC 2045 section 6), and nothing else is touched.
//!
//! What is signed stays as it is, for the signature would not fit any more; so does
//! what is not certain to say the same afterwards. Such mail is not converted at all.
//! Only what comes back with a report is: nobody judges its signature any more, and
//! the report must not be lost.

mod encodings;
mod headers;
mod kind;
mod within;

use slimta_core::message::{BodyType, Content, NewField};

use encodings::{base64, quoted_printable};
pub(super) use headers::has_utf8_header;
use kind::Kind;
use within::Within;

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

/// The same message for a next hop that takes `taken`; none if it cannot be said so.
///
/// In contents that were declared `BinaryMime` a line end is CRLF, and whatever else
/// there is are octets. In others a CR or an LF alone ends a line, too, as it will
/// where they are sent on.
pub fn downgraded(content: &Content, declared: BodyType, taken: BodyType) -> Option<Content> {
    let within = Within::message(declared, taken);
    let converted = convert_message(content.clone(), within)?;
    // Nor is it certain where parts end if a delimiter stands at a lone CR or LF, which
    // not all read: those that stand there are still there.
    within.fits(&converted).then_some(converted)
}

/// A whole message, also one within another.
fn convert_message(mut message: Content, within: Within) -> Option<Content> {
    if within.may_stay(&message) {
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

/// A message or a part, header and body.
fn convert(part: Content, within: Within) -> Option<Content> {
    if within.may_stay(&part) {
        return Some(part);
    }
    if within.depth > DEPTH_MAX || !within.fits_header(part.header_bytes()) {
        return None;
    }
    let encoding = only(&part, ENCODING)?;
    if !encoding.as_deref().is_none_or(|said| within.is_plain(said)) {
        // Octets that do not fit are a mistake in any other encoding.
        return within.fits(&part).then_some(part);
    }
    // What holds parts is named for them (RFC 2045 section 6.4).
    let is_named = encoding.is_some();
    let kind = Kind::read(only(&part, TYPE)?.as_deref())?;
    match (kind.main.as_str(), kind.sub.as_str()) {
        ("multipart", "signed" | "encrypted") if !within.is_report => None,
        // Its parts that name no kind are messages.
        ("multipart", "digest") => None,
        ("multipart", sub) => {
            let deeper = within.deeper(sub == "report");
            let body = multipart(part.body_bytes(), &kind.boundary?, deeper)?;
            with_parts(&part, body, is_named)
        }
        ("message", "rfc822") => {
            let inner = Content::new(part.body_bytes().clone());
            let inner = convert_message(inner, within.deeper(false))?;
            with_parts(&part, inner.to_vec(), is_named)
        }
        // Nothing else may be encoded there (RFC 2046 section 5.2).
        ("message", _) => None,
        _ if within.fits(&part) => {
            let body = part.body_bytes().to_vec();
            with_parts(&part, body, is_named)
        }
        (main, _) if main == "text" && within.is_mostly_text(part.body_bytes()) => {
            let body = quoted_printable(part.body_bytes());
            with_encoding(&part, body, "quoted-printable")
        }
        _ => with_encoding(&part, base64(part.body_bytes()), "base64"),
    }
}

/// The value of a field that may stand there once, if it does; none at all if it
/// stands there twice.
fn only(part: &Content, name: &str) -> Option<Option<String>> {
    let mut fields = part.fields_named(name);
    let first = fields.next().map(|field| field.value().into_owned());
    fields.next().is_none().then_some(first)
}

/// A part whose body is encoded nowhere but in its own parts.
fn with_parts(part: &Content, body: Vec<u8>, is_named: bool) -> Option<Content> {
    let plain = if body.is_ascii() { "7bit" } else { "8bit" };
    match is_named {
        true => with_encoding(part, body, plain),
        false => Some(Content::from_parts(part.header_bytes().clone(), body)),
    }
}

fn with_encoding(part: &Content, body: Vec<u8>, encoding: &str) -> Option<Content> {
    let mut part = Content::from_parts(part.header_bytes().clone(), body);
    part.replace(&NewField::new(ENCODING, encoding).ok()?);
    Some(part)
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
            None => out.extend_from_slice(within.fitting(body.get(..from)?)?),
        }
        out.extend_from_slice(line);
        if is_last {
            out.extend_from_slice(within.fitting(body.get(at..)?)?);
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

#[cfg(test)]
mod binary_tests;
#[cfg(test)]
mod tests;
