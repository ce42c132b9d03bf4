//! What all encrypted connections share: files that a URL names, and words for
//! what goes wrong.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError};

/// What OpenSSL lets pass and makes by default, and what it is called here.
const PITFALLS: [(&str, &str); 2] = [
    (
        "CaUsedAsEndEntity",
        "it is that of a root (CA:TRUE): have that root sign another one for the server",
    ),
    (
        "UnsupportedCertVersion",
        "it has no version 3: make it anew, with the server's name as subjectAltName",
    ),
];

/// The cryptography of all connections.
pub(crate) fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// A value of a URL as it is meant: `%2F` is a slash.
pub(crate) fn decoded(value: &str) -> Result<String, String> {
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|_| format!("\"{value}\" is not UTF-8"))
}

/// What stands in a file of the operator's.
pub(crate) fn read(file: &str) -> Result<Vec<u8>, String> {
    std::fs::read(Path::new(file)).map_err(|error| format!("{file} cannot be read: {error}"))
}

/// The certificates in a file, one at least.
pub(crate) fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(file)?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{file} has no certificate in it")),
        Err(error) => Err(format!("{file} has no certificate in it: {error}")),
    }
}

/// The private key in a file. Keys under a password cannot be read.
pub(crate) fn private_key(file: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(file)?)
        .map_err(|error| format!("{file} has no private key in it that can be read: {error}"))
}

/// Why a connection has no encryption that can be trusted, in words for the
/// operator; none if that is not what went wrong.
pub(crate) fn refusal(error: &(dyn Error + 'static), root: &str) -> Option<String> {
    Some(match tls_error(error)? {
        // The latter by another root of the same name.
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => format!(
            "its certificate is not signed by a root that is trusted here: name the file of that \
             root as {root}"
        ),
        rustls::Error::InvalidCertificate(why) => {
            let why = why.to_string();
            let known = PITFALLS.iter().find(|(name, _)| why.contains(name));
            let why = known.map_or(&*why, |(_, meaning)| meaning);
            format!("its certificate is not good: {why}")
        }
        rustls::Error::InvalidMessage(_) => "what answers there does not speak TLS".to_owned(),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it asks for a client certificate, and the URL names none".to_owned()
        }
        other => format!("no TLS with it: {other}"),
    })
}

/// The error of TLS that is behind another.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // These two show what causes their content, not the content.
    if let Some(io) = error.downcast_ref::<io::Error>() {
        return io.get_ref().and_then(|inner| tls_error(inner));
    }
    if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        return tls_error(&**shared);
    }
    error.source().and_then(tls_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_good_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing.pem").display().to_string();
        let empty = directory.path().join("empty.pem").display().to_string();
        std::fs::write(&empty, "").unwrap();
        for file in [&missing, &empty] {
            assert!(certificates(file).unwrap_err().contains(file));
            assert!(private_key(file).unwrap_err().contains(file));
        }
        assert!(certificates(&missing).unwrap_err().contains("No such file"));
    }
}
