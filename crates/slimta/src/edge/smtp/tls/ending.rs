//! When certificates end, which clients hold against a server only then.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use slimta_core::world::Timestamp;

use super::Tls;
use super::certificates::Certificates;

impl Tls {
    /// The files of the certificates that are over at this time, as they were read
    /// last. Clients that look will not talk to this server then.
    pub fn over_at(&self, time: Timestamp) -> Vec<PathBuf> {
        self.certificates.over_at(time)
    }
}

impl Certificates {
    fn over_at(&self, time: Timestamp) -> Vec<PathBuf> {
        let at = UnixTime::since_unix_epoch(time.since(Timestamp::from_secs(0)));
        let certificates = self.leaves().into_iter();
        let over = certificates.filter(|(_, leaf)| is_over(leaf, &self.provider, at));
        over.map(|(chain, _)| chain).collect()
    }
}

/// Whether a certificate is over. Its age is judged before anybody looks for who has
/// signed it.
fn is_over(leaf: &CertificateDer<'static>, provider: &Arc<CryptoProvider>, at: UnixTime) -> bool {
    let mut roots = RootCertStore::empty();
    let Ok(()) = roots.add(leaf.clone()) else {
        return false;
    };
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let (Ok(verifier), Ok(anybody)) = (builder.build(), ServerName::try_from("localhost")) else {
        return false;
    };
    let judged = verifier.verify_server_cert(leaf, &[], &anybody, &[], at);
    matches!(
        judged,
        Err(Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. }
        ))
    )
}
