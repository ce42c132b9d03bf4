//! The relay by LMTP (RFC 2033): to a server that delivers into mailboxes.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use slimta_smtp::client::Dialect;

use super::{
    Begin, Carrier, Connector, Endpoint, Farewells, Host, Hosts, Keeping, Named, Naming, Origins,
    SMTP_PORT, Socks5, Sources, Target, Tls,
};
use crate::message::{Destination, LmtpAddress, LmtpPlace, Report, Response};
use crate::queue::ByDestination;
use crate::relay::{Connections, Delivery, Relay, Resolver, Timing};
use crate::world::World;

/// Hands every message to one server by LMTP, which answers for each recipient:
/// who is not delivered is tried again alone. To the host that an envelope names
/// mail goes by SMTP.
pub struct LmtpRelay {
    carrier: Carrier,
    server: Server,
}

enum Server {
    Tcp(Target),
    Unix(Socket),
}

/// A server of this machine.
pub(super) struct Socket {
    pub(super) path: PathBuf,
    /// What this host calls itself.
    pub(super) hostname: String,
}

impl LmtpRelay {
    /// Hands mail to the server at `address`. `hostname` is what this host calls
    /// itself in LHLO.
    pub fn new(address: LmtpAddress, hostname: &str, world: World) -> Self {
        LmtpRelay {
            carrier: Carrier::new(hostname, world),
            server: match address.into_place() {
                LmtpPlace::Tcp { host, port } => Server::Tcp(Target {
                    host,
                    port,
                    dialect: Dialect::Lmtp,
                    begin: Begin::Clear,
                    login: None,
                }),
                LmtpPlace::Unix(path) => Server::Unix(Socket {
                    path,
                    hostname: hostname.to_owned(),
                }),
            },
        }
    }

    /// Sets all that is said of connections.
    pub(in crate::relay) fn with_connections(mut self, connections: Connections) -> Self {
        self.carrier = self.carrier.with_connections(connections);
        self
    }

    /// Sets how long to wait for the server. Default: see [`Timing`].
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.carrier = self.carrier.with_timing(timing);
        self
    }

    /// Sets how many messages a connection carries before it is ended. Default
    /// 100; a message with more than 100 recipients counts for each hundred.
    #[must_use]
    pub fn with_messages_per_connection(mut self, messages: ByDestination<u32>) -> Self {
        self.carrier = self.carrier.with_messages_per_connection(messages);
        self
    }

    /// Sets how long connections are kept. Default: see [`Keeping`].
    #[must_use]
    pub fn with_keeping(mut self, keeping: Keeping) -> Self {
        self.carrier = self.carrier.with_keeping(keeping);
        self
    }

    /// Sets what ends connections that are kept. Default: nothing, until nobody has
    /// used them for long.
    #[must_use]
    pub fn with_farewells(mut self, farewells: Farewells) -> Self {
        self.carrier = self.carrier.with_farewells(farewells);
        self
    }

    /// Sets from which addresses of this host TCP connections are made. Default:
    /// as the system chooses.
    #[must_use]
    pub fn with_sources(mut self, sources: ByDestination<Sources>) -> Self {
        self.carrier = self.carrier.with_sources(sources);
        self
    }

    /// Sets what goes from elsewhere, and what this host calls itself. Default:
    /// nothing, and as it was told.
    #[must_use]
    pub fn with_origins(mut self, origins: Origins) -> Self {
        self.carrier = self.carrier.with_origins(origins);
        self
    }

    /// Sets through which proxies TCP connections are
    /// made. Default: through none.
    #[must_use]
    pub fn with_proxies(mut self, proxies: ByDestination<Option<Socks5>>) -> Self {
        self.carrier = self.carrier.with_proxies(proxies);
        self
    }

    /// Sets how TCP connections are encrypted. Default: with the feature `tls`,
    /// opportunistic for all. What goes through a Unix socket is in clear.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.carrier = self.carrier.with_tls(tls);
        self
    }

    /// Sets how connections are made. Default: by TCP, or to the Unix socket.
    #[must_use]
    pub fn with_connector(mut self, connector: impl Connector) -> Self {
        self.carrier = self.carrier.with_connector(Arc::new(connector));
        self
    }
}

#[async_trait]
impl Relay for LmtpRelay {
    async fn attempt(&self, delivery: Delivery) -> Report {
        if let Some(named) = Named::of(&delivery, SMTP_PORT) {
            return named.carry(&self.carrier, &delivery).await;
        }
        match &self.server {
            Server::Tcp(target) => target.carry(&self.carrier, &delivery).await,
            Server::Unix(socket) => socket.carry(&self.carrier, &delivery).await,
        }
    }

    /// The server: whatever is handed to it shares it.
    async fn site(&self, _destination: &Destination) -> Option<Arc<str>> {
        Some(match &self.server {
            Server::Tcp(target) => target.key().into(),
            Server::Unix(socket) => socket.key().into(),
        })
    }
}

impl Socket {
    pub(super) async fn carry(&self, carrier: &Carrier, delivery: &Delivery) -> Report {
        carrier.carry(&self.key(), delivery, self).await
    }

    fn key(&self) -> String {
        format!("lmtp {}", self.path.display())
    }
}

#[async_trait]
impl Hosts for Socket {
    /// This host itself, as notices name it.
    async fn find(&self, _trusted: Option<&dyn Resolver>) -> Result<Vec<Host>, Response> {
        Ok(vec![Host {
            name: self.hostname.clone(),
            endpoint: Endpoint::Unix(self.path.clone()),
            dialect: Dialect::Lmtp,
            begin: Begin::Clear,
            dane: None,
            policy: None,
            naming: Naming::Certain,
        }])
    }
}
