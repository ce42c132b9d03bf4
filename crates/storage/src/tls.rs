//! What all encrypted connections share: files that a URL names, and words for
//! what goes wrong.

use std::error::Error;
use std::io;
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
pub(crate) struct File<'n> {
    name: &'n str,
    pub(crate) pem: Vec<u8>,
}

impl<'n> File<'n> {
    pub(crate) fn read(name: &'n str) -> Result<Self, String> {
        let pem = std::fs::read(name);
        let pem = pem.map_err(|error| format!("{name} cannot be read: {error}"))?;
        Ok(File { name, pem })
    }

    /// The certificates in it, one at least.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let name = self.name;
        let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&self.pem).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(format!("{name} has no certificate in it")),
            Err(error) => Err(format!("{name} has no certificate in it: {error}")),
        }
    }

    /// The private key in it. Keys under a password cannot be read.
    pub(crate) fn private_key(&self) -> Result<PrivateKeyDer<'static>, String> {
        let name = self.name;
        PrivateKeyDer::from_pem_slice(&self.pem)
            .map_err(|error| format!("{name} has no private key in it that can be read: {error}"))
    }
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
            let certificates = File::read(file).and_then(|read| read.certificates());
            assert!(certificates.unwrap_err().contains(file));
            let key = File::read(file).and_then(|read| read.private_key());
            assert!(key.unwrap_err().contains(file));
        }
        let error = File::read(&missing).err().unwrap();
        assert!(error.contains("No such file"));
    }
}
