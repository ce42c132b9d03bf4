//! The roots that certificates of next hops are judged by.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The certificates of those whose signatures are trusted.
#[derive(Clone, Debug)]
pub struct Roots(pub(super) Arc<RootCertStore>);

/// A file holds no roots.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file} {why}: name a file with one or more certificates in PEM")]
pub struct RootsError {
    file: String,
    why: String,
}

impl Roots {
    /// All certificates of a file in PEM; one at least must be there, and all
    /// must be certificates.
    pub fn read(file: impl AsRef<Path>) -> Result<Self, RootsError> {
        let file = file.as_ref();
        let failed = |why: String| RootsError {
            file: file.display().to_string(),
            why,
        };
        let pem = std::fs::read(file);
        let pem = pem.map_err(|error| failed(format!("cannot be read: {error}")))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let broken = |why: String| failed(format!("has a certificate that is none: {why}"));
            let certificate = certificate.map_err(|error| broken(error.to_string()))?;
            let added = roots.add(certificate);
            added.map_err(|error| broken(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(failed("has no certificate in it".to_owned()));
        }
        Ok(Roots(Arc::new(roots)))
    }

    /// Those that the system trusts; the error is the answer for a message.
    pub(super) async fn of_system() -> Result<Self, String> {
        // Some hundred files.
        let loading = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
        let mut roots = RootCertStore::empty();
        if let Ok(loaded) = loading {
            roots.add_parsable_certificates(loaded.certs);
        }
        if roots.is_empty() {
            let why = "This host has no root certificates to verify others by: install them \
                       (Debian's are in ca-certificates), or name a file as tls-roots";
            return Err(why.to_owned());
        }
        Ok(Roots(Arc::new(roots)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_roots_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("roots.pem");
        let error = || Roots::read(&file).unwrap_err().to_string();
        let named = file.display().to_string();
        assert!(error().contains(&named) && error().contains("No such file"));
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, why) in [
            ("", "no certificate in it"),
            ("hello\n", "no certificate in it"),
            (garbage, "that is none"),
            ("-----BEGIN CERTIFICATE-----\n", "that is none"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert!(error().contains(&named), "{text:?}");
            assert!(error().contains(why), "{text:?}: {}", error());
        }
    }
}
