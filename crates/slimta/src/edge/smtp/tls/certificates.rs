//! The certificates of an edge: which one a client gets, and when they are read
//! again.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::{CertificateFiles, Looks, TlsError};
use crate::edge::smtp::look::NextLook;

/// Certificates and where they come from.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) provider: Arc<CryptoProvider>,
    /// What clients get, in the order of the files.
    current: Mutex<Vec<Arc<CertifiedKey>>>,
    /// Whoever looks at the files holds it meanwhile, on a thread that may wait.
    files: Mutex<Vec<Seen>>,
    next_look: NextLook,
}

/// The files of one certificate, as they were when they were read last.
#[derive(Debug)]
struct Seen {
    files: CertificateFiles,
    looks: Looks,
}

impl Certificates {
    pub(super) fn open(
        files: Vec<CertificateFiles>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        if files.is_empty() {
            return Err(TlsError::NoFiles);
        }
        let (mut current, mut seen) = (Vec::new(), Vec::new());
        for files in files {
            // Looked at first: what changes from here on is read again.
            let looks = files.looks();
            current.push(Arc::new(files.read(&provider)?));
            seen.push(Seen { files, looks });
        }
        Ok(Certificates {
            provider,
            current: Mutex::new(current),
            files: Mutex::new(seen),
            next_look: NextLook::default(),
        })
    }

    /// The certificate of this host in each file, with the file.
    pub(super) fn leaves(&self) -> Vec<(PathBuf, CertificateDer<'static>)> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let chains = files.iter().map(|seen| seen.files.chain.clone());
        let current = lock(&self.current);
        let leaves = current.iter().filter_map(|key| key.cert.first().cloned());
        chains.zip(leaves).collect()
    }

    /// Whether it is time for a [look](Self::look); then it is the caller's to
    /// take, and nobody else's for a while.
    pub(super) fn begin_look(&self, now: Duration) -> bool {
        self.next_look.begin(now)
    }

    /// Reads again what has changed. May wait for the disk.
    pub(super) fn look(&self) {
        // Somebody else looks, on a disk that is very slow.
        let Ok(mut all) = self.files.try_lock() else {
            return;
        };
        for (number, Seen { files, looks }) in all.iter_mut().enumerate() {
            let now = files.looks();
            if *looks == now {
                continue;
            }
            // Noted whatever comes of it, so that an error is told once.
            *looks = now;
            match files.read(&self.provider) {
                Ok(read) => {
                    if let Some(current) = lock(&self.current).get_mut(number) {
                        *current = Arc::new(read);
                    }
                    tracing::info!(certificate = %files.chain.display(), "certificate read again");
                }
                Err(error) => {
                    tracing::error!(%error, "a certificate that has changed is not used");
                }
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = lock(&self.current);
        let schemes = client.signature_schemes();
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let name = client.server_name().map(ServerName::try_from);
        let named = name.and_then(Result::ok).and_then(|name| {
            let mut named = current.iter().filter(|key| is_for(key, &name));
            named.find(fits)
        });
        named.or_else(|| current.first()).cloned()
    }
}

/// Whether a certificate is for the host of that name.
fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    certificate.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
