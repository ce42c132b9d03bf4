//! Certificates in files, and clients that look at them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use slimta::edge::smtp::CertificateFiles;
use slimta::world::Timestamp;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::rig::Client;

/// A directory of certificates, each its own root.
pub(crate) struct Certificates(TempDir);

impl Certificates {
    pub(crate) fn new() -> Self {
        Certificates(tempfile::tempdir().unwrap())
    }

    /// The files of that name.
    pub(crate) fn files(&self, name: &str) -> CertificateFiles {
        CertificateFiles {
            chain: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// Makes them, for the host `host`; gives the certificate.
    pub(crate) fn make(&self, name: &str, host: &str) -> CertificateDer<'static> {
        self.make_of(name, CertificateParams::new([host.to_owned()]).unwrap())
    }

    /// The same for a certificate that ends.
    pub(crate) fn make_until(&self, name: &str, host: &str, end: Timestamp) {
        let mut parameters = CertificateParams::new([host.to_owned()]).unwrap();
        let since_epoch = end.since(Timestamp::from_secs(0));
        parameters.not_after = (UNIX_EPOCH + since_epoch).into();
        self.make_of(name, parameters);
    }

    fn make_of(&self, name: &str, parameters: CertificateParams) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let made = parameters.self_signed(&key).unwrap();
        let files = self.files(name);
        fs::write(files.chain, made.pem()).unwrap();
        fs::write(files.key, key.serialize_pem()).unwrap();
        made.der().clone()
    }
}

/// What a client that trusts these roots makes handshakes with.
pub(crate) fn trusting(
    roots: &[&CertificateDer<'static>],
    versions: &[&'static SupportedProtocolVersion],
) -> TlsConnector {
    let mut trusted = RootCertStore::empty();
    for root in roots {
        trusted.add((*root).clone()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(trusted)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A client under TLS, and the certificate that it was shown.
pub(crate) struct Encrypted {
    pub(crate) client: Client<TlsStream<TcpStream>>,
    pub(crate) shown: CertificateDer<'static>,
}

/// Makes a handshake with the host called `host`.
pub(crate) async fn shake(connector: &TlsConnector, client: Client, host: &str) -> Encrypted {
    let host = ServerName::try_from(host.to_owned()).unwrap();
    let stream = connector.connect(host, client.into_stream()).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    Encrypted {
        client: Client::over(stream),
        shown,
    }
}
