//! Which name servers are asked, and whether they are believed.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use slimta::relay::{Dns as Resolver, DnsTrust, TlsLevel};
use slimta_core::queue::ByDestination;

use super::Options;
use crate::failure::Failure;

/// The port of the DNS.
const DNS_PORT: u16 = 53;

/// What options say of the DNS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Dns {
    /// Those that the machine is set to ask if these are none.
    pub(crate) servers: Vec<SocketAddr>,
    trust: Trust,
}

/// Which name servers are believed where they say that they have validated an
/// answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Trust {
    /// Those of this host: nobody is between them and us.
    #[default]
    Local,
    /// All that are asked.
    AdBit,
}

/// A name server: `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53`,
/// `[2001:db8::53]:5353`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NameServer(SocketAddr);

impl Dns {
    pub(super) fn of(options: &Options) -> Self {
        Dns {
            servers: options.dns_servers.iter().map(|server| server.0).collect(),
            trust: options.dns_trust.unwrap_or_default(),
        }
    }

    /// What looks things up for an option.
    pub(super) fn open(&self, option: &str) -> Result<Resolver, Failure> {
        let opened = Resolver::open(&self.servers, DnsTrust::Nobody);
        opened.map_err(|error| Failure::setting(option, error))
    }

    /// What tells where answers come from. Some mail may need that (REQUIRETLS): it is
    /// an error that there is nothing only where a level does. Where none does, only
    /// name servers that were chosen are believed: that of a machine may stand on it and
    /// hand on what others say, as in containers.
    pub(crate) fn trusted(
        &self,
        levels: &ByDestination<TlsLevel>,
    ) -> Result<Option<Arc<Resolver>>, Failure> {
        let level = dane_level(levels);
        let is_chosen = !self.servers.is_empty() || self.trust == Trust::AdBit;
        if level.is_none() && !is_chosen {
            return Ok(None);
        }
        let resolver = match Resolver::open(&self.servers, DnsTrust::Servers) {
            Ok(resolver) => resolver,
            Err(_) if level.is_none() => return Ok(None),
            Err(error) => return Err(Failure::setting("dns-servers", error)),
        };
        let elsewhere = resolver.servers().iter().find(|server| !is_local(**server));
        if let (Trust::Local, Some(server)) = (self.trust, elsewhere) {
            let Some(level) = level else {
                return Ok(None);
            };
            let why = format!(
                "\"{level}\" needs a name server that validates (DNSSEC), and believes only one of \
                 this host: {server} is elsewhere. Run one here, such as unbound, and name it as \
                 dns-servers; or say dns-trust = \"ad-bit\" if nobody can change what {server} says \
                 on its way"
            );
            return Err(Failure::setting("tls", why));
        }
        Ok(Some(Arc::new(resolver)))
    }
}

/// The level that cannot do without knowing where answers come from, if there is one.
fn dane_level(levels: &ByDestination<TlsLevel>) -> Option<TlsLevel> {
    let needs = |level: &&TlsLevel| matches!(level, TlsLevel::Dane | TlsLevel::DaneOnly);
    levels.values().find(needs).copied()
}

/// Asks the name servers once whether they validate at all, if a level needs that.
/// Without one that does, `dane` is no more than `opportunistic`, and who set it
/// would not know.
pub(crate) async fn warn_if_useless(levels: ByDestination<TlsLevel>, resolver: Arc<Resolver>) {
    if dane_level(&levels).is_some() && resolver.validates().await == Ok(false) {
        tracing::warn!(
            servers = ?resolver.servers(),
            "no name server validates (DNSSEC), so that tls = \"dane\" asks for nothing: name one \
             that does as dns-servers"
        );
    }
}

fn is_local(server: IpAddr) -> bool {
    server.to_canonical().is_loopback()
}

impl FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.parse().map(|ip: IpAddr| SocketAddr::new(ip, DNS_PORT));
        let server = bare.or_else(|_| text.parse::<SocketAddr>());
        match server {
            Ok(server) if server.port() != 0 => Ok(NameServer(server)),
            _ => Err(format!(
                "{text:?} is no name server, such as 127.0.0.1, 192.0.2.53:5353 or [::1]:5353"
            )),
        }
    }
}

impl FromStr for Trust {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "local" => Ok(Trust::Local),
            "ad-bit" => Ok(Trust::AdBit),
            _ => Err(format!("{text:?} is neither local nor ad-bit")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_is_an_address_with_or_without_a_port() {
        for (text, address) in [
            ("127.0.0.1", "127.0.0.1:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("::1", "[::1]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            let server: NameServer = text.parse().unwrap();
            assert_eq!(server.0.to_string(), address);
        }
        for text in ["", "localhost", "127.0.0.1:0", "127.0.0.1:x", "[::1]"] {
            let error = text.parse::<NameServer>().unwrap_err();
            assert!(error.contains("127.0.0.1"), "{error}");
        }
    }

    /// What is asked for by no level is no reason not to start.
    #[test]
    fn a_name_server_that_is_not_believed_is_a_mistake_only_where_a_level_needs_one() {
        let of = |server: &str, trust| Dns {
            servers: vec![server.parse::<NameServer>().unwrap().0],
            trust,
        };
        let opened = |dns: &Dns, level: TlsLevel| {
            let opened = dns.trusted(&level.into());
            opened.map(|found| found.is_some()).map_err(drop)
        };
        let (local, remote) = (Trust::Local, "192.0.2.53");
        let of_machine = Dns {
            servers: Vec::new(),
            trust: local,
        };
        assert_eq!(opened(&of_machine, TlsLevel::Opportunistic), Ok(false));
        for (dns, ordinary, dane) in [
            (of("127.0.0.1", local), Ok(true), Ok(true)),
            (of(remote, local), Ok(false), Err(())),
            (of(remote, Trust::AdBit), Ok(true), Ok(true)),
        ] {
            assert_eq!(opened(&dns, TlsLevel::Opportunistic), ordinary);
            assert_eq!(opened(&dns, TlsLevel::Dane), dane);
        }
    }
}
