//! Why a handshake failed, in words for the postmaster.

use std::io;

use rustls::{CertificateError, Error, InvalidMessage};

use super::opening::NoTls;

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
    let inner = error.get_ref();
    let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<Error>()) else {
        return NoTls::Handshake(match error.kind() {
            io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
            _ => error.to_string(),
        });
    };
    NoTls::Handshake(match tls {
        // No record of TLS begins as a reply does.
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => return NoTls::InClear,
        Error::InvalidCertificate(why) => certificate(why, name),
        Error::AlertReceived(alert) => format!("it ended the handshake ({alert:?})"),
        other => other.to_string(),
    })
}

fn certificate(error: &CertificateError, name: &str) -> String {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            format!("its certificate is not for {name}")
        }
        // The latter by another root of the same name.
        E::UnknownIssuer | E::BadSignature => {
            "its certificate is signed by nobody who is trusted here".to_owned()
        }
        // Ours, for those that are judged by DANE.
        E::ApplicationVerificationFailure => {
            "its certificate fits none of its TLSA records (DANE)".to_owned()
        }
        other => {
            let why = other.to_string();
            let known = PITFALLS.iter().find(|(name, _)| why.contains(name));
            let why = known.map_or(&*why, |(_, meaning)| meaning);
            format!("its certificate is not good: {why}")
        }
    }
}
