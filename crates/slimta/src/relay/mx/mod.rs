//! The relay of a mail server on the internet: each domain's own mail
//! exchangers (RFC 5321 section 5.1).

mod asked;
mod asking;
mod dns;
mod exchangers;
mod own;
#[cfg(feature = "mta-sts")]
mod texts;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use slimta_smtp::client::Dialect;

#[cfg(feature = "mta-sts")]
pub(super) use dns::ascii;
pub use dns::{Dns, DnsTrust};
#[cfg(feature = "mta-sts")]
pub use texts::TextRecords;

#[cfg(feature = "mta-sts")]
use super::mta_sts::MtaSts;
use super::resolver::Resolver;
#[cfg(feature = "mta-sts")]
use super::smtp::is_waived;
use super::smtp::{Begin, Carrier, Named, SMTP_PORT, Target};
#[cfg(feature = "mta-sts")]
use super::tls_report::TlsReports;
use super::{
    Connections, Delivery, Farewells, Keeping, Origins, Relay, Socks5, Sources, Timing, Tls,
    TlsLevel,
};
use crate::message::{Destination, Report, Response};
use crate::queue::ByDestination;
use crate::world::World;
use asked::Asked;
use exchangers::Exchangers;
use own::OwnAddresses;

/// Hands each message to the mail exchangers of its destination, a domain, the
/// preferred first; or to the host that its envelope names.
pub struct MxRelay {
    carrier: Carrier,
    resolver: Arc<dyn Resolver>,
    hostname: String,
    own: OwnAddresses,
    port: u16,
    world: World,
    #[cfg(feature = "mta-sts")]
    mta_sts: Option<MtaSts>,
    #[cfg(feature = "mta-sts")]
    reports: Option<TlsReports>,
}

impl MxRelay {
    /// Finds mail exchangers with `resolver`. `hostname` is what this host calls
    /// itself: in EHLO, and in the records by which it knows that it is one of
    /// the exchangers itself.
    pub fn new(resolver: impl Resolver, hostname: &str, world: World) -> Self {
        MxRelay {
            carrier: Carrier::new(hostname, world.clone()),
            resolver: Arc::new(resolver),
            hostname: hostname.to_owned(),
            own: OwnAddresses::default(),
            port: SMTP_PORT,
            world,
            #[cfg(feature = "mta-sts")]
            mta_sts: None,
            #[cfg(feature = "mta-sts")]
            reports: None,
        }
    }

    /// Sets the port on which exchangers listen. Default 25; another is only of
    /// use in tests.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets where this host takes mail itself: by that it knows an exchanger as itself,
    /// whatever its name. `0.0.0.0` and `[::]` stand for its addresses. Default: it
    /// knows itself by `hostname` only.
    #[must_use]
    pub fn with_own_addresses(mut self, addresses: Vec<SocketAddr>) -> Self {
        self.own = OwnAddresses::new(addresses);
        self
    }

    /// Sets all that is said of connections.
    pub(in crate::relay) fn with_connections(mut self, connections: Connections) -> Self {
        #[cfg(feature = "mta-sts")]
        {
            self.mta_sts = connections.mta_sts.clone();
            self.reports = connections.tls_reports.clone();
        }
        self.own = OwnAddresses::new(connections.own_addresses.clone());
        self.carrier = self.carrier.with_connections(connections);
        self
    }

    /// Sets how long to wait for exchangers. Default: see [`Timing`].
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

    /// Sets how long connections are kept. Default: see [`Keeping`]. Domains that
    /// share their exchangers share the connections.
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

    /// Sets from which addresses of this host connections are made. Default: as
    /// the system chooses.
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

    /// Sets through which proxies next hops are connected to. Default: through none.
    #[must_use]
    pub fn with_proxies(mut self, proxies: ByDestination<Option<Socks5>>) -> Self {
        self.carrier = self.carrier.with_proxies(proxies);
        self
    }

    /// Sets how connections are encrypted. Default: with the feature `tls`,
    /// opportunistic for all. A certificate has to be good for the name of the
    /// exchanger, which the DNS says: who can change its answers can name
    /// another, unless the domain's policy (MTA-STS) says otherwise.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.carrier = self.carrier.with_tls(tls);
        self
    }

    /// Heeds the policies of domains (MTA-STS, RFC 8461): where one is enforced,
    /// only a host that it names and that has a good certificate gets mail.
    /// Destinations whose level of TLS is off have none. Default: nobody looks for
    /// policies.
    #[cfg(feature = "mta-sts")]
    #[must_use]
    pub fn with_mta_sts(mut self, mta_sts: MtaSts) -> Self {
        self.mta_sts = Some(mta_sts);
        self
    }

    /// Counts what comes of the TLS with exchangers, for reports (RFC 8460).
    /// Default: nobody counts.
    #[cfg(feature = "mta-sts")]
    #[must_use]
    pub fn with_tls_reports(mut self, reports: TlsReports) -> Self {
        self.reports = Some(reports);
        self
    }

    /// What the domain of a destination asks for, and who counts. Mail whose sender
    /// says so is held to no policy (RFC 8689 section 5); that which carries a report
    /// is not counted, for it would be followed by another (RFC 8460 section 3).
    #[cfg(feature = "mta-sts")]
    async fn asked(&self, delivery: &Delivery) -> Asked {
        let (destination, content) = (&delivery.message.destination, &delivery.content);
        if self.carrier.tls_level(destination) == TlsLevel::Off {
            return Asked::default();
        }
        let heeding = self
            .mta_sts
            .as_ref()
            .filter(|mta_sts| mta_sts.is_heeded(destination) && !is_waived(delivery));
        let kept = match heeding {
            Some(mta_sts) => mta_sts.find(destination.next_hop()).await,
            None => None,
        };
        let is_counted = content.field("TLS-Report-Domain").is_none();
        Asked {
            kept,
            reports: self.reports.clone().filter(|_| is_counted),
        }
    }

    #[cfg(not(feature = "mta-sts"))]
    async fn asked(&self, _delivery: &Delivery) -> Asked {
        Asked::default()
    }
}

impl MxRelay {
    async fn exchangers<'a>(
        &'a self,
        destination: &'a Destination,
        level: TlsLevel,
    ) -> Result<Exchangers<'a>, Response> {
        let (hostname, world) = (&self.hostname, &self.world);
        let trusted = self.carrier.trusted_dns(level);
        let resolver = trusted.unwrap_or(&*self.resolver);
        let found = Exchangers::of(destination.next_hop(), resolver, hostname, self.port, world);
        Ok(found.await?.with_own_addresses(self.own.clone()))
    }
}

#[async_trait]
impl Relay for MxRelay {
    async fn attempt(&self, delivery: Delivery) -> Report {
        if let Some(named) = Named::of(&delivery, self.port) {
            return named.carry(&self.carrier, &delivery).await;
        }
        let domain = delivery.message.destination.next_hop();
        if let Some(ip) = address_literal(domain) {
            let target = Target {
                host: ip.to_string(),
                port: self.port,
                dialect: Dialect::Smtp,
                begin: Begin::Clear,
                login: None,
            };
            return self.carrier.carry(domain, &delivery, &target).await;
        }
        let level = self.carrier.level(&delivery);
        let found = self.exchangers(&delivery.message.destination, level);
        let exchangers = match found.await {
            Ok(found) => found.with_asked(self.asked(&delivery).await),
            Err(why) => return Report::all(why, delivery.message.envelope.recipients.len()),
        };
        let key = exchangers.key();
        self.carrier.carry(&key, &delivery, &exchangers).await
    }

    /// Domains that ask for more than others of a site share its hosts all the same.
    async fn site(&self, destination: &Destination) -> Option<Arc<str>> {
        if address_literal(destination.next_hop()).is_some() {
            return None;
        }
        let level = self.carrier.tls_level(destination);
        let found = self.exchangers(destination, level).await.ok()?;
        Some(found.site())
    }
}

/// `[192.0.2.1]`, `[ipv6:2001:db8::1]` (RFC 5321 section 4.1.3).
fn address_literal(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    let tag = inner
        .get(..5)
        .filter(|tag| tag.eq_ignore_ascii_case("ipv6:"));
    inner.get(tag.map_or(0, str::len)..)?.parse().ok()
}
