//! Mail whose sender would rather have it arrive than protected (RFC 8689 section
//! 5), such as a report that TLS fails.

use slimta_smtp::client::TlsLevel;

use crate::message::Content;

/// Whether the sender says so.
pub(in crate::relay) fn is_waived(content: &Content) -> bool {
    let field = content.field("TLS-Required");
    field.is_some_and(|field| field.value().eq_ignore_ascii_case("no"))
}

/// What is left of the level of a destination: what its hosts ask for themselves is
/// left out, what the operator asks for is not.
pub(super) fn waived(level: TlsLevel, content: &Content) -> TlsLevel {
    match level {
        TlsLevel::Dane if is_waived(content) => TlsLevel::Opportunistic,
        level => level,
    }
}
