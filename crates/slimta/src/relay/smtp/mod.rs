//! Relays by SMTP or LMTP to a fixed next hop, and what all such relays share.

mod answers;
mod carried;
mod carrier;
mod connection;
mod connector;
#[cfg(feature = "tls")]
mod dane;
mod dane_names;
#[cfg(feature = "tls")]
mod dane_verifier;
mod domains;
mod farewells;
mod host_policy;
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "nobody encrypts"))]
mod host_tls;
mod levels;
mod lmtp;
mod login;
mod named;
mod opening;
mod origin;
mod pool;
mod require_tls;
mod socks5;
mod source;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_absent.rs"]
mod tls;
#[cfg(feature = "tls")]
mod tls_config;
mod tls_failures;
#[cfg(feature = "tls")]
mod tls_judge;
#[cfg(feature = "tls")]
mod tls_roots;
mod tls_seen;
#[cfg(feature = "tls")]
mod tls_words;
mod waived;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;

pub(super) use carried::carried;
pub(super) use carrier::{Carrier, Hosts, MESSAGES_PER_CONNECTION};
pub use connector::{Connector, Endpoint, Stream};
pub use farewells::{Farewell, Farewells};
pub(super) use host_policy::HostPolicy;
pub(super) use host_tls::DaneNames;
pub use lmtp::LmtpRelay;
pub use login::{SmtpLogin, SmtpLoginError};
pub(super) use named::Named;
pub use origin::{Origin, OriginPool, Origins};
pub use pool::Keeping;
pub(super) use require_tls::Naming;
pub use socks5::{Socks5, Socks5LoginError};
pub use source::{Sources, SourcesError};
pub use tls::Tls;
#[cfg(feature = "tls")]
pub use tls_roots::{Roots, RootsError};
#[cfg(feature = "mx")]
pub(super) use tls_seen::Seen;
#[cfg(feature = "mta-sts")]
pub(super) use tls_seen::{FaultKind, TlsFault, TlsSeen};
#[cfg(feature = "mta-sts")]
pub(super) use waived::is_waived;

use slimta_smtp::client::Dialect;

use super::resolver::Resolver;
use super::{Connections, Delivery, Relay};
use crate::message::{Destination, Report, Response};
use crate::world::World;

/// The port on which hosts take mail from each other.
pub(super) const SMTP_PORT: u16 = 25;

/// A host that may take a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Host {
    /// Its name, for notices, and for its certificate.
    pub(super) name: String,
    /// Where it listens.
    pub(super) endpoint: Endpoint,
    /// What it speaks.
    pub(super) dialect: Dialect,
    /// How a connection to it begins.
    pub(super) begin: Begin,
    /// Where its TLSA records lie; none where DNSSEC does not vouch for the way
    /// to them, or nobody asked.
    pub(super) dane: Option<DaneNames>,
    /// What the policy of its domain says of it, if there is one.
    pub(super) policy: Option<HostPolicy>,
    /// Whether it is certain that this is the host to talk to.
    pub(super) naming: Naming,
}

/// How a connection begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Begin {
    /// In clear; STARTTLS may follow.
    Clear,
    /// With TLS (RFC 8314 section 3.3).
    Encrypted,
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
                dialect: Dialect::Smtp,
                begin: Begin::Clear,
                login: None,
            },
        }
    }

    /// Has connections to the server begin with TLS. They are encrypted whatever
    /// the level of a destination, which may ask for a good certificate.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_implicit_tls(mut self) -> Self {
        self.target.begin = Begin::Encrypted;
        self
    }

    /// Sets all that is said of connections.
    pub(in crate::relay) fn with_connections(mut self, mut connections: Connections) -> Self {
        self.target.login = connections.login.take();
        self.carrier = self.carrier.with_connections(connections);
        self
    }

    /// Sets who this host says it is. Only the server itself hears it, never a
    /// host that an envelope names. Default: it says nothing.
    #[must_use]
    pub fn with_login(mut self, login: SmtpLogin) -> Self {
        self.target.login = Some(login);
        self
    }

    carried!();

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
        let default_port = match self.target.begin {
            Begin::Clear => self.target.port,
            Begin::Encrypted => SMTP_PORT,
        };
        match Named::of(&delivery, default_port) {
            // Who names the server itself goes as all others do.
            Some(named) if !named.is_for(&self.target) => {
                named.carry(&self.carrier, &delivery).await
            }
            _ => self.target.carry(&self.carrier, &delivery).await,
        }
    }

    /// The server, and who this host is there: whatever is handed to it shares it,
    /// but a password that is refused is not the trouble of others.
    async fn site(&self, _destination: &Destination) -> Option<Arc<str>> {
        let server = self.target.key();
        Some(match &self.target.login {
            Some(login) => format!("{server} as {}", login.user()).into(),
            None => server.into(),
        })
    }
}

/// A next hop that was named by hand.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) dialect: Dialect,
    pub(super) begin: Begin,
    /// Who this host says it is there.
    pub(super) login: Option<SmtpLogin>,
}

impl Target {
    /// Whether both are one server.
    pub(super) fn is_at(&self, other: &Target) -> bool {
        self.host.eq_ignore_ascii_case(&other.host) && self.port == other.port
    }

    /// Connections to it are kept apart by their port and by what is spoken.
    pub(super) async fn carry(&self, carrier: &Carrier, delivery: &Delivery) -> Report {
        carrier.carry(&self.key(), delivery, self).await
    }

    /// What it is called: connections are kept by that, and destinations whose mail
    /// goes there share it.
    pub(super) fn key(&self) -> String {
        let kind = match (self.dialect, self.begin) {
            (Dialect::Smtp, Begin::Clear) => "",
            (Dialect::Smtp, Begin::Encrypted) => "smtps ",
            (Dialect::Lmtp, _) => "lmtp ",
        };
        format!("{kind}{}:{}", self.host, self.port)
    }
}

#[async_trait]
impl Hosts for Target {
    /// All addresses of the name, as the machine's resolver gives them, or the one
    /// that says where answers come from.
    async fn find(&self, trusted: Option<&dyn Resolver>) -> Result<Vec<Host>, Response> {
        if let Some(resolver) = trusted
            && self.host.parse::<IpAddr>().is_err()
        {
            return self.find_with(resolver).await;
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found = found.into_iter().flatten();
        let hosts: Vec<_> = found.map(|address| self.at(address, None)).collect();
        if hosts.is_empty() {
            return Err(Response::transient(4, 1, "Host not found"));
        }
        Ok(hosts)
    }

    fn login(&self) -> Option<&SmtpLogin> {
        self.login.as_ref()
    }
}

impl Target {
    async fn find_with(&self, resolver: &dyn Resolver) -> Result<Vec<Host>, Response> {
        let unknown = |error| {
            let text = format!("{} could not be looked up: {error}", self.host);
            Response::transient(4, 3, text)
        };
        let found = resolver.addresses(&self.host).await.map_err(unknown)?;
        let own = std::slice::from_ref(&self.host);
        let names = DaneNames::find(&self.host, &found, own, resolver).await;
        let names = names.map_err(unknown)?;
        let addresses = found.records.into_iter().map(|ip| (ip, self.port).into());
        Ok(addresses
            .map(|address| self.at(address, names.clone()))
            .collect())
    }

    fn at(&self, address: SocketAddr, dane: Option<DaneNames>) -> Host {
        Host {
            name: self.host.clone(),
            endpoint: Endpoint::Tcp(address),
            dialect: self.dialect,
            begin: self.begin,
            dane,
            policy: None,
            naming: Naming::Certain,
        }
    }
}
