//! TLS at the edge: what a server proves its name with, and when its clients
//! turn to it (RFC 3207, RFC 8314).

mod certificates;
mod ending;
mod handshake;
mod pair;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use slimta_core::world::World;
use slimta_smtp::server::StartTls;
use tokio_rustls::TlsAcceptor;

use certificates::Certificates;

pub(super) use handshake::serve;
pub use pair::{CertificateFiles, TlsError};

/// What the encryption of an edge is made with: certificates, each with its
/// key, from files. Versions 1.2 and 1.3 of TLS are spoken.
///
/// Files that have changed are read again: they are looked at when a client
/// comes, at most once a second. If what is new cannot be used, what was read
/// before stays, and an error in the log says why. Clones share all of it.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
}

impl Tls {
    /// Reads the files. A client gets the first certificate that is for the
    /// name it asks for (SNI, RFC 6066 section 3) and whose key it can check;
    /// the first of all if none is.
    ///
    /// The error names the file that cannot be used.
    pub fn open(files: Vec<CertificateFiles>) -> Result<Self, TlsError> {
        // Not a provider of the whole process: that one belongs to the program.
        let provider = Arc::new(ring::default_provider());
        let certificates = Arc::new(Certificates::open(files, provider.clone())?);
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?
            .with_no_client_auth()
            .with_cert_resolver(certificates.clone());
        Ok(Tls {
            config: Arc::new(config),
            certificates,
        })
    }

    /// What makes a handshake, with the certificates as they are now.
    async fn acceptor(&self, world: &World) -> TlsAcceptor {
        if self.certificates.begin_look(world.monotonic()) {
            let certificates = self.certificates.clone();
            // Disks can be slow, and these threads are those of all clients. If
            // the look fails, certificates are as they were.
            let _ = tokio::task::spawn_blocking(move || certificates.look()).await;
        }
        TlsAcceptor::from(self.config.clone())
    }
}

/// When the clients of a listener turn to TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsMode {
    /// When they want to: STARTTLS is offered (RFC 3207).
    Offered,
    /// Before they hand in mail: STARTTLS is offered, and MAIL is answered
    /// `530 5.7.0` in the clear. Not for hosts that the whole Internet sends
    /// mail to (RFC 3207 section 4).
    Required,
    /// With their first byte (RFC 8314 section 3.3), as on port 465.
    Implicit,
}

/// The encryption of an edge.
#[derive(Clone, Debug)]
pub(super) struct Encryption {
    pub(super) tls: Tls,
    pub(super) mode: TlsMode,
}

impl Encryption {
    /// What sessions in the clear are told of it.
    pub(super) fn starttls(&self) -> StartTls {
        match self.mode {
            TlsMode::Offered => StartTls::Offered,
            TlsMode::Required => StartTls::Required,
            TlsMode::Implicit => StartTls::Absent,
        }
    }

    /// Whether there is nothing in the clear at all.
    pub(super) fn is_implicit(&self) -> bool {
        self.mode == TlsMode::Implicit
    }
}
