//! Relays by SMTP to a fixed next hop, and what all SMTP relays share.

mod carrier;
mod connection;
mod connector;
mod pool;
mod source;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;

pub(super) use carrier::{Carrier, Hosts, MESSAGES_PER_CONNECTION};
pub use connector::{Connector, Stream};
pub use source::{Sources, SourcesError};

use super::{Delivery, Relay, Timing};
use crate::message::{Report, Response};
use crate::queue::ByDestination;
use crate::world::World;

/// A host that may take a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Host {
    /// Its name, for notices.
    pub(super) name: String,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

/// Hands every message to one server, a smarthost; or to the host that its
/// envelope names.
pub struct SmtpRelay {
    carrier: Carrier,
    target: Target,
}

impl SmtpRelay {
    /// Hands mail to `host`, a name or an address. `hostname` is what this host
    /// calls itself in EHLO.
    pub fn new(host: impl Into<String>, port: u16, hostname: &str, world: World) -> Self {
        SmtpRelay {
            carrier: Carrier::new(hostname, world),
            target: Target {
                host: host.into(),
                port,
            },
        }
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

    /// Sets from which addresses of this host connections are made. Default: as
    /// the system chooses.
    #[must_use]
    pub fn with_sources(mut self, sources: ByDestination<Sources>) -> Self {
        self.carrier = self.carrier.with_sources(sources);
        self
    }

    /// Sets how connections are made. Default: by TCP.
    #[must_use]
    pub fn with_connector(mut self, connector: impl Connector) -> Self {
        self.carrier = self.carrier.with_connector(Arc::new(connector));
        self
    }
}

#[async_trait]
impl Relay for SmtpRelay {
    async fn attempt(&self, delivery: Delivery) -> Report {
        match Target::named(&delivery, self.target.port) {
            Some(named) => named.carry(&self.carrier, &delivery).await,
            None => {
                self.carrier
                    .carry(&self.target.host, &delivery, &self.target)
                    .await
            }
        }
    }
}

/// A next hop that was named by hand.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    /// The host that the envelope names, if it names one.
    pub(super) fn named(delivery: &Delivery, default_port: u16) -> Option<Self> {
        let named = delivery.message.envelope.next_hop.as_ref()?;
        Some(Target {
            host: named.host.clone()?,
            port: named.port.unwrap_or(default_port),
        })
    }

    /// Connections to it are kept apart by their port.
    pub(super) async fn carry(&self, carrier: &Carrier, delivery: &Delivery) -> Report {
        let key = format!("{}:{}", self.host, self.port);
        carrier.carry(&key, delivery, self).await
    }
}

#[async_trait]
impl Hosts for Target {
    /// All addresses of the name, as the machine's resolver gives them.
    async fn find(&self) -> Result<Vec<Host>, Response> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let hosts: Vec<_> = found
            .into_iter()
            .flatten()
            .map(|address| Host {
                name: self.host.clone(),
                address,
            })
            .collect();
        if hosts.is_empty() {
            return Err(Response::transient(4, 1, "Host not found"));
        }
        Ok(hosts)
    }
}
