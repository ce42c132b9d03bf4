//! The DKIM-Signature field (RFC 6376 section 3.5).

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::header::Covered;
use super::key::{CannotSign, DkimKey};
use crate::message::NewField;
use crate::world::Timestamp;

const NAME: &str = "DKIM-Signature";
/// How much of a list or of a signature stands on a line: with a tag before it
/// and a sign behind it, it fits into the 78 columns of RFC 5322.
const LINE_BYTES: usize = 70;
/// Times have twelve digits at most.
pub(super) const SECONDS_MAX: i64 = 999_999_999_999;

/// Signs a message and gives the field that says so.
///
/// It has one blank wherever its line may end, and none else, so that its
/// relaxed form is that text whatever folding makes of it.
pub(super) fn signature(
    domain: &str,
    key: &DkimKey,
    covered: &Covered,
    body_hash: &[u8],
    time: Timestamp,
) -> Result<NewField, CannotSign> {
    let mut value = format!(
        "v=1; a={}; c=relaxed/relaxed; d={domain}; s={}; t={}; h={}; bh={}; b=",
        key.algorithm(),
        key.selector(),
        time.as_secs().clamp(0, SECONDS_MAX),
        listed(&covered.names),
        BASE64_STANDARD.encode(body_hash),
    );
    let mut text = covered.canonical.clone();
    text.extend_from_slice(NAME.to_ascii_lowercase().as_bytes());
    text.push(b':');
    text.extend_from_slice(value.as_bytes());
    value += &wrapped(&BASE64_STANDARD.encode(key.sign(&text)?));
    NewField::new(NAME, &value).map_err(|_| CannotSign)
}

/// A signature with blanks where lines may end.
pub(super) fn wrapped(signature: &str) -> String {
    let mut text = String::with_capacity(signature.len() + signature.len() / LINE_BYTES);
    for (at, c) in signature.char_indices() {
        if at > 0 && at % LINE_BYTES == 0 {
            text.push(' ');
        }
        text.push(c);
    }
    text
}

/// Names of fields with colons between them, and blanks where lines may end.
pub(super) fn listed(names: &[&str]) -> String {
    let (mut list, mut column) = (String::new(), 0);
    for name in names {
        if !list.is_empty() {
            list.push(':');
            column += 1;
        }
        if column + name.len() > LINE_BYTES {
            list.push(' ');
            column = 0;
        }
        list.push_str(name);
        column += name.len();
    }
    list
}
