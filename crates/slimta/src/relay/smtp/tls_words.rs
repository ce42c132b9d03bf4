//! Why a handshake failed, in words for the postmaster.

use std::io;

use rustls::{CertificateError, Error, InvalidMessage};

use super::opening::NoTls;
use super::tls_seen::{FaultKind, TlsFault};

/// What OpenSSL lets pass and makes by default, and what it is called here.
const PITFALLS: [(&str, &str); 2] = [
    (
        "CaUsedAsEndEntity",
        "it is that of a root (CA:TRUE), which may only sign others",
    ),
    (
        "UnsupportedCertVersion",
        "it has no version 3, and so no name that counts",
    ),
];

/// What a failed handshake with the host `name` means.
pub(super) fn reason(error: &io::Error, name: &str) -> NoTls {
    let failed = |why: String| NoTls::Handshake(TlsFault::new(FaultKind::ValidationFailure, why));
    let inner = error.get_ref();
    let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<Error>()) else {
        return failed(match error.kind() {
            io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
            _ => error.to_string(),
        });
    };
    match tls {
        // No record of TLS begins as a reply does.
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => NoTls::InClear,
        Error::InvalidCertificate(why) => NoTls::Certificate(certificate(why, name)),
        Error::AlertReceived(alert) => failed(format!("it ended the handshake ({alert:?})")),
        other => failed(other.to_string()),
    }
}

/// What is wrong with the certificate of the host `name`.
pub(super) fn certificate(error: &CertificateError, name: &str) -> TlsFault {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => {
            TlsFault::new(FaultKind::CertificateExpired, "its certificate has expired")
        }
        E::NotValidYet | E::NotValidYetContext { .. } => TlsFault::new(
            FaultKind::ValidationFailure,
            "its certificate is not valid yet",
        ),
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            let why = format!("its certificate is not for {name}");
            TlsFault::new(FaultKind::CertificateHostMismatch, why)
        }
        // The latter by another root of the same name.
        E::UnknownIssuer | E::BadSignature => {
            let why = "its certificate is signed by nobody who is trusted here";
            TlsFault::new(FaultKind::CertificateNotTrusted, why)
        }
        // Ours, for those that are judged by DANE.
        E::ApplicationVerificationFailure => {
            let why = "its certificate fits none of its TLSA records (DANE)";
            TlsFault::new(FaultKind::ValidationFailure, why)
        }
        other => {
            let why = other.to_string();
            let known = PITFALLS.iter().find(|(name, _)| why.contains(name));
            let why = known.map_or(&*why, |(_, meaning)| meaning);
            let why = format!("its certificate is not good: {why}");
            TlsFault::new(FaultKind::ValidationFailure, why)
        }
    }
}
