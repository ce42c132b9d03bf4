//! The relay by LMTP (RFC 2033): to a server that delivers into mailboxes.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use slimta_smtp::client::Dialect;

use super::{
    Begin, Carrier, Connector, Endpoint, Host, Hosts, Named, Naming, SMTP_PORT, Target, carried,
};
use crate::message::{Destination, LmtpAddress, LmtpPlace, Report, Response};
use crate::relay::{Connections, Delivery, Relay, Resolver};
use crate::world::World;

/// Hands every message to one server by LMTP, which answers for each recipient:
/// who is not delivered is tried again alone. To the host that an envelope names
/// mail goes by SMTP. What goes through a Unix socket is in clear.
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

    carried!();

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
