//! TLS with clients, as options say it.

use slimta::edge::smtp::{CertificateFiles, Tls, TlsMode};

use super::Options;
use crate::failure::Failure;

/// What the edge encrypts connections with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EdgeTls {
    /// One at least; the first is for clients that name no host that we know.
    certificates: Vec<CertificateFiles>,
    /// Whether no mail is taken in the clear.
    is_required: bool,
}

impl EdgeTls {
    /// What options say; none if it is nothing.
    pub(super) fn of(options: &Options) -> Result<Option<Self>, Failure> {
        let (chains, keys) = (&options.tls_certificate, &options.tls_key);
        if chains.len() != keys.len() {
            let why = format!(
                "each tls-certificate has its tls-key, in the same order: there are {} and {}",
                chains.len(),
                keys.len()
            );
            let longer = match chains.len() > keys.len() {
                true => "tls-certificate",
                false => "tls-key",
            };
            return Err(Failure::setting(longer, why));
        }
        let is_required = options.require_tls.unwrap_or(false);
        if chains.is_empty() {
            return match (is_required, options.listen_tls.is_empty()) {
                (true, _) => Err(needs_certificate("require-tls")),
                (false, false) => Err(needs_certificate("listen-tls")),
                (false, true) => Ok(None),
            };
        }
        let files = chains
            .iter()
            .zip(keys)
            .map(|(chain, key)| CertificateFiles {
                chain: chain.clone(),
                key: key.clone(),
            });
        Ok(Some(EdgeTls {
            certificates: files.collect(),
            is_required,
        }))
    }

    /// Reads the files.
    pub(crate) fn open(&self) -> Result<Tls, Failure> {
        let opened = Tls::open(self.certificates.clone());
        opened.map_err(|error| Failure::setting("tls-certificate", error))
    }

    /// When clients turn to TLS that begin in the clear.
    pub(crate) fn mode(&self) -> TlsMode {
        match self.is_required {
            true => TlsMode::Required,
            false => TlsMode::Offered,
        }
    }
}

fn needs_certificate(option: &str) -> Failure {
    let why = "it needs a certificate: name its files as tls-certificate and tls-key";
    Failure::setting(option, why)
}
