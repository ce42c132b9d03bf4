//! A certificate and its key, as two files hold them.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::edge::smtp::look::{Look, is_open_to_all};

/// The files of one certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The certificate, and behind it those that lead to its root; PEM.
    pub chain: PathBuf,
    /// Its private key; PEM, without a password.
    pub key: PathBuf,
}

/// Why certificates cannot be used.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// There is none.
    #[error("no certificate is named")]
    NoFiles,
    /// A file cannot be read.
    #[error("{} cannot be read: {error}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// A file holds no certificate.
    #[error("{} has no certificate in it that can be read: {reason}", file.display())]
    NoCertificate {
        /// Which.
        file: PathBuf,
        /// What is in it.
        reason: String,
    },
    /// A file holds no private key.
    #[error(
        "{} has no private key in it that can be read, in PEM and without a password: {reason}",
        file.display()
    )]
    NoKey {
        /// Which.
        file: PathBuf,
        /// What is in it.
        reason: String,
    },
    /// A key is that of another certificate.
    #[error("{} is not the key of the certificate in {}", key.display(), chain.display())]
    OtherKey {
        /// The file of the certificate.
        chain: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// TLS cannot use what the two files hold.
    #[error("{} and {} cannot be used: {}", chain.display(), key.display(), why(error))]
    Unusable {
        /// The file of the certificate.
        chain: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why.
        #[source]
        error: rustls::Error,
    },
    /// The cryptography is at odds with itself.
    #[error("no TLS can be made here: {0}")]
    Provider(#[source] rustls::Error),
}

/// How both files of a certificate look from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Looks {
    chain: Option<Look>,
    key: Option<Look>,
}

impl CertificateFiles {
    /// How they look now. What changes them later changes that.
    pub(super) fn looks(&self) -> Looks {
        Looks {
            chain: Look::at(&self.chain),
            key: Look::at(&self.key),
        }
    }

    /// Reads them.
    pub(super) fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let read = (certificates(&self.chain)?, private_key(&self.key)?);
        CertifiedKey::from_der(read.0, read.1, provider).map_err(|error| {
            let (chain, key) = (self.chain.clone(), self.key.clone());
            match error {
                rustls::Error::InconsistentKeys(_) => TlsError::OtherKey { chain, key },
                error => TlsError::Unusable { chain, key, error },
            }
        })
    }
}

/// What is wrong, in words for the operator where those of TLS are none.
fn why(error: &rustls::Error) -> String {
    let why = error.to_string();
    // What OpenSSL makes if it is told of no extension.
    match why.contains("UnsupportedCertVersion") {
        true => {
            "the certificate has no version 3: make it anew, with the host's name as subjectAltName"
                .to_owned()
        }
        false => why,
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let no_certificate = |reason: String| TlsError::NoCertificate {
        file: file.to_owned(),
        reason,
    };
    let pem = pem(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(no_certificate("there is none".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(no_certificate(error.to_string())),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    if is_open_to_all(file) {
        let key = file.display();
        tracing::warn!(%key, "everybody may read or write this private key: chmod o= it");
    }
    PrivateKeyDer::from_pem_slice(&pem(file)?).map_err(|error| TlsError::NoKey {
        file: file.to_owned(),
        reason: error.to_string(),
    })
}

fn pem(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|error| TlsError::Unreadable {
        file: file.to_owned(),
        error,
    })
}
