//! Mail whose sender would rather have it arrive than protected (RFC 8689 section
//! 3), such as a report that TLS fails.

use slimta_smtp::client::TlsLevel;

use crate::relay::Delivery;

/// Whether the sender says so, and did not require TLS of the server that took it.
pub(in crate::relay) fn is_waived(delivery: &Delivery) -> bool {
    !delivery.message.envelope.require_tls && delivery.content.is_tls_optional()
}

/// What is left of the level of a destination: what its hosts ask for themselves is
/// left out, what the operator asks for is not.
pub(super) fn waived(level: TlsLevel, delivery: &Delivery) -> TlsLevel {
    match level {
        TlsLevel::Dane if is_waived(delivery) => TlsLevel::Opportunistic,
        level => level,
    }
}
