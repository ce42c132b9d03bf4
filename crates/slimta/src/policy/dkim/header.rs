//! What of a header is signed, and in which form (RFC 6376 sections 3.4.2 and
//! 5.4).

use crate::message::{Content, Field};

/// Fields that stand in a header once at most and that readers see or act on.
/// They are signed once more often than they stand there, so that whoever adds
/// another one breaks the signature (section 8.15): which of two is shown is
/// anybody's guess.
const SEALED: [&str; 12] = [
    "from",
    "reply-to",
    "subject",
    "date",
    "to",
    "cc",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
];
/// Fields that are signed as often as they stand there. Lists and whoever sends
/// a message again add some of them, which must not break the signature.
const SIGNED: [&str; 15] = [
    "sender",
    "resent-date",
    "resent-from",
    "resent-to",
    "resent-cc",
    "list-id",
    "list-help",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-subscribe",
    "list-post",
    "list-owner",
    "list-archive",
    // RFC 8460 section 5.3.
    "tls-report-domain",
    "tls-report-submitter",
];
/// No header of mail has more fields of these names. Each is named in the
/// signature, which would grow with them.
const FIELDS_MAX: usize = 1000;

/// The part of a header that a signature speaks of.
pub(super) struct Covered {
    /// The names of the fields in the order in which they are signed.
    pub(super) names: Vec<&'static str>,
    /// The fields in this order, in their relaxed form.
    pub(super) canonical: Vec<u8>,
}

impl Covered {
    /// What is signed of this header, and also of fields of other names, as often as
    /// they stand there; none if its fields are too many.
    pub(super) fn of(content: &Content, also: &[&'static str]) -> Option<Self> {
        let names = || SEALED.iter().chain(&SIGNED).chain(also);
        let mut found = vec![Vec::new(); names().count()];
        for field in content.fields() {
            let place = names().position(|name| name.eq_ignore_ascii_case(field.name()));
            if let Some(fields) = place.and_then(|place| found.get_mut(place)) {
                fields.push(field);
            }
        }
        if found.iter().map(Vec::len).sum::<usize>() > FIELDS_MAX {
            return None;
        }
        let mut covered = Covered {
            names: Vec::new(),
            canonical: Vec::new(),
        };
        for ((number, name), fields) in names().enumerate().zip(&found) {
            let seals = usize::from(number < SEALED.len());
            let times = fields.len() + seals;
            covered.names.extend(std::iter::repeat_n(*name, times));
            // Of several the lowest comes first (section 5.4.2).
            for field in fields.iter().rev() {
                relax(field, &mut covered.canonical);
                covered.canonical.extend_from_slice(b"\r\n");
            }
        }
        Some(covered)
    }
}

/// Writes a field in its relaxed form (section 3.4.2), without a line end: its
/// name in lower case, its value unfolded, blanks in a row as one, and none at
/// its ends.
pub(super) fn relax(field: &Field<'_>, out: &mut Vec<u8>) {
    out.extend(field.name().bytes().map(|byte| byte.to_ascii_lowercase()));
    out.push(b':');
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let words = field.raw_value().split(is_blank);
    for (number, word) in words.filter(|word| !word.is_empty()).enumerate() {
        if number > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// Whether header and body are parted as everybody parts them, by an empty line.
/// What a next hop would part elsewhere cannot be signed.
pub(super) fn is_whole(content: &Content) -> bool {
    let header = content.header_bytes();
    let ends = [&b"\n\r\n"[..], b"\n\n"];
    content.body_bytes().is_empty() || ends.iter().any(|end| header.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(header: &str) -> (String, String) {
        let content = Content::new(format!("{header}\r\nbody"));
        let covered = Covered::of(&content, &[]).unwrap();
        let canonical = String::from_utf8(covered.canonical).unwrap();
        (covered.names.join(":"), canonical)
    }

    #[test]
    fn fields_are_signed_from_below_and_sealed() {
        let (names, canonical) = covered(
            "Received: x\r\nList-Id: a\r\nSUBJECT : \t A\r\n\t B  \r\nFrom: a\r\nList-Id: b\r\n\
             Subject:second\r\nCc:\r\n",
        );
        assert_eq!(
            names,
            "from:from:reply-to:subject:subject:subject:date:to:cc:cc:message-id:in-reply-to:\
             references:mime-version:content-type:content-transfer-encoding:list-id:list-id"
        );
        assert_eq!(
            canonical,
            "from:a\r\nsubject:second\r\nsubject:A B\r\ncc:\r\nlist-id:b\r\nlist-id:a\r\n"
        );
    }

    #[test]
    fn endless_fields_are_not_signed() {
        let content = |count| Content::new("To: a\r\n".repeat(count));
        assert!(Covered::of(&content(FIELDS_MAX), &[]).is_some());
        assert!(Covered::of(&content(FIELDS_MAX + 1), &[]).is_none());
    }

    #[test]
    fn only_an_empty_line_parts_header_and_body() {
        for (text, whole) in [
            ("A: 1\r\n\r\nbody", true),
            ("A: 1\n\nbody", true),
            ("A: 1\r\n\r\n", true),
            ("A: 1\r\n", true),
            ("A: 1", true),
            ("A: 1\r\nno field\r\n\r\nbody", false),
            ("A: 1\r\n \r\nbody", false),
        ] {
            assert_eq!(is_whole(&Content::new(text)), whole, "{text:?}");
        }
    }
}
