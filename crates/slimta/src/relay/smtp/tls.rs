//! TLS with next hops: how much of it each destination needs, and the handshake.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use slimta_smtp::client::TlsLevel;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::Host;
use super::connector::Stream;
use super::opening::NoTls;
use super::tls_config::{takes_any, verifies};
use super::tls_roots::Roots;
use super::tls_words::reason;
use crate::message::Destination;
use crate::queue::ByDestination;
use crate::world::World;

/// How connections to next hops are encrypted: each destination's level, and the
/// roots by which certificates are judged where the level is `verified`. TLS has
/// version 1.2 at least. Clones share the roots, and the tickets by which a
/// handshake with the same host is shorter next time.
#[derive(Clone, Debug)]
pub struct Tls {
    levels: Arc<ByDestination<TlsLevel>>,
    clients: Arc<Clients>,
}

/// Sessions of the one are never resumed by the other: what was not verified
/// would pass for it.
#[derive(Debug, Default)]
struct Clients {
    /// The system's if there is none.
    roots: Option<Roots>,
    lenient: OnceCell<Arc<ClientConfig>>,
    verifying: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    /// These levels, and the roots of the system, which are read when the first
    /// certificate is verified.
    pub fn new(levels: impl Into<ByDestination<TlsLevel>>) -> Self {
        Tls {
            levels: Arc::new(levels.into()),
            clients: Arc::default(),
        }
    }

    /// Sets the roots that are trusted. Default: those of the system.
    #[must_use]
    pub fn with_roots(self, roots: Roots) -> Self {
        let clients = Clients {
            roots: Some(roots),
            ..Clients::default()
        };
        Tls {
            clients: Arc::new(clients),
            ..self
        }
    }

    /// What mail for a destination needs.
    pub(super) fn level(&self, destination: &Destination) -> TlsLevel {
        *self.levels.get(destination)
    }

    /// The handshake. The caller limits the time.
    pub(super) async fn begin(
        &self,
        stream: Box<dyn Stream>,
        host: &Host,
        level: TlsLevel,
        world: &World,
    ) -> Result<Box<dyn Stream>, NoTls> {
        let config = self.config(level, world).await;
        let connector = TlsConnector::from(config.map_err(NoTls::OurFault)?);
        let no_name = || NoTls::OurFault(format!("{} has no name for a certificate", host.name));
        let name = server_name(host).ok_or_else(no_name)?;
        let handshake = connector.connect(name, stream).await;
        let stream = handshake.map_err(|error| reason(&error, &host.name))?;
        let (_, tls) = stream.get_ref();
        let cipher = tls.negotiated_cipher_suite().map(|suite| suite.suite());
        tracing::debug!(
            host = %host.name,
            endpoint = %host.endpoint,
            version = tls.protocol_version().map(tracing::field::debug),
            cipher = cipher.map(tracing::field::debug),
            verified = level == TlsLevel::Verified,
            resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed),
            "encrypted"
        );
        Ok(Box::new(stream))
    }

    async fn config(&self, level: TlsLevel, world: &World) -> Result<Arc<ClientConfig>, String> {
        let Clients {
            roots,
            lenient,
            verifying,
        } = &*self.clients;
        let config = if level < TlsLevel::Verified {
            lenient.get_or_try_init(|| async { takes_any(world) }).await
        } else {
            let init = || async {
                let roots = match roots {
                    Some(roots) => roots.clone(),
                    None => Roots::of_system().await?,
                };
                verifies(roots, world)
            };
            verifying.get_or_try_init(init).await
        };
        config.cloned()
    }
}

/// Opportunistic for all.
impl Default for Tls {
    fn default() -> Self {
        Tls::new(TlsLevel::default())
    }
}

/// What the host is told that we look for, and what its certificate has to be
/// good for. A name that cannot stand in a certificate leaves the address.
fn server_name(host: &Host) -> Option<ServerName<'static>> {
    let name = host.name.strip_suffix('.').unwrap_or(&host.name);
    let name = ServerName::try_from(name.to_owned());
    name.ok()
        .or_else(|| host.endpoint.ip().map(ServerName::from))
}
