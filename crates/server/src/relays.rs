//! What hands mail on: the relay of all mail, and those of some destinations.

use std::collections::BTreeMap;
use std::sync::Arc;

use slimta::relay::{self, Connections, Dns, Farewells, NextHop, Relay, Roots, Tls};
use slimta::world::World;
use slimta_core::queue::DestinationPattern;

use crate::config::{Proxy, RelayLogin, Settings};
use crate::failure::Failure;

/// What hands mail on by such connections, unless mail is only stored.
pub(crate) fn next_hop(
    settings: &Settings,
    connections: &Connections,
    world: &World,
) -> Result<Option<NextHop>, Failure> {
    check_routes(settings)?;
    let Some(url) = &settings.relay else {
        return Ok(None);
    };
    check_sources(settings)?;
    let others = Way::of_all(url, settings).open(connections, settings, world)?;
    let next_hop = match settings.routes.is_empty() {
        true => others,
        false => {
            let routes = routes(connections, settings, world)?;
            relay::routed(others, routes, &settings.hostname)
        }
    };
    // Mail may wait since another relay was configured.
    Ok(Some(relay::regrouped(next_hop)))
}

/// A relay as it was said.
pub(crate) struct Way<'a> {
    /// Its URL.
    pub(crate) url: &'a str,
    /// Who this host is there.
    login: Option<&'a RelayLogin>,
    /// The destinations that it is for, if not for all.
    pattern: Option<&'a DestinationPattern>,
}

impl<'a> Way<'a> {
    fn of_all(url: &'a str, settings: &'a Settings) -> Self {
        Way {
            url,
            login: settings.relay_login.as_ref(),
            pattern: None,
        }
    }

    /// All of them.
    pub(crate) fn all(settings: &'a Settings) -> impl Iterator<Item = Self> {
        let of_all = settings.relay.iter();
        let of_all = of_all.map(|url| Way::of_all(url, settings));
        of_all.chain(Way::of_some(settings))
    }

    fn of_some(settings: &'a Settings) -> impl Iterator<Item = Self> {
        let routes = settings.routes.iter();
        routes.map(|(pattern, url)| Way {
            url,
            login: settings.route_logins.get(pattern),
            pattern: Some(pattern),
        })
    }

    /// What is wrong with its URL.
    pub(crate) fn wrong(&self, error: relay::OpenError) -> Failure {
        match self.pattern {
            Some(pattern) => Failure::setting(key(pattern, "relay"), error),
            None => Failure::setting("relay", format!("{error}; \"none\" only stores")),
        }
    }

    /// Connections of its own to it.
    pub(crate) fn connections(&self, all: &Connections) -> Result<Connections, Failure> {
        let option = "relay-password-file";
        let password_key = match self.pattern {
            Some(pattern) => key(pattern, option),
            None => option.to_owned(),
        };
        let login = self.login.map(|login| login.open(&password_key));
        Ok(Connections {
            login: login.transpose()?,
            ..all.clone()
        })
    }

    /// Opens it.
    pub(crate) fn open(
        &self,
        connections: &Connections,
        settings: &Settings,
        world: &World,
    ) -> Result<NextHop, Failure> {
        let connections = self.connections(connections)?;
        let opened = relay::open_with(self.url, &settings.hostname, connections, world.clone());
        opened.map_err(|error| self.wrong(error))
    }
}

/// Where nothing is handed on no destination can have a relay of its own.
pub(crate) fn check_routes(settings: &Settings) -> Result<(), Failure> {
    match settings.routes.first() {
        Some((pattern, _)) if settings.relay.is_none() => Err(Failure::setting(
            key(pattern, "relay"),
            "it cannot be used with relay = \"none\", which only stores: leave one of them out",
        )),
        _ => Ok(()),
    }
}

/// How all relays connect; they share what is known of TLS, but for what domains
/// publish of it.
pub(crate) fn connections(
    settings: &Settings,
    trusted_dns: Option<Arc<Dns>>,
) -> Result<Connections, Failure> {
    let mut tls = Tls::new(settings.tls.clone());
    if let Some(file) = &settings.tls_roots {
        let roots = Roots::read(file);
        let unusable = |error| Failure::setting("tls-roots", error);
        tls = tls.with_roots(roots.map_err(unusable)?);
    }
    if let Some(dns) = trusted_dns {
        tls = tls.with_trusted_dns(dns);
    }
    let listeners = settings.listeners.iter();
    Ok(Connections {
        name_servers: settings.dns.servers.clone(),
        own_addresses: listeners.flat_map(|l| l.addresses.clone()).collect(),
        messages: settings.messages_per_connection.clone(),
        keeping: settings.keeping,
        farewells: Farewells::default(),
        sources: settings.sources.clone(),
        origins: settings.origins.clone(),
        proxies: settings
            .proxies
            .try_map(|proxy| proxy.as_ref().map(Proxy::open).transpose())?,
        tls,
        login: None,
        mta_sts: None,
        tls_reports: None,
    })
}

/// A host that lacks an address would defer all mail that is to come from it.
pub(crate) fn check_sources(settings: &Settings) -> Result<(), Failure> {
    for (key, sources) in &settings.sources_said {
        let unusable = |error| {
            let why = format!("{error}: name an address of this host");
            Failure::setting(key, why)
        };
        sources.check().map_err(unusable)?;
    }
    Ok(())
}

/// The relays that destinations have of their own; each URL and login is one relay,
/// however many destinations it is for, so that they share its connections.
fn routes(
    connections: &Connections,
    settings: &Settings,
    world: &World,
) -> Result<relay::Routes, Failure> {
    let mut opened: BTreeMap<_, Arc<dyn Relay>> = BTreeMap::new();
    let mut routes = relay::Routes::new(None);
    for way in Way::of_some(settings) {
        let relay = match opened.get(&(way.url, way.login)) {
            Some(relay) => relay.clone(),
            None => {
                let next_hop = way.open(connections, settings, world)?;
                let relay: Arc<dyn Relay> = next_hop.relay.into();
                opened.insert((way.url, way.login), relay.clone());
                relay
            }
        };
        if let Some(pattern) = way.pattern {
            routes = routes.with_rule(pattern.clone(), Some(relay));
        }
    }
    Ok(routes)
}

/// An option of the table of some destinations.
fn key(pattern: &DestinationPattern, option: &str) -> String {
    format!("destination.\"{pattern}\".{option}")
}
