//! The DNS, asked through hickory.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver as Hickory, system_conf};

use super::super::resolver::{Answer, AnswerOrigin, Exchanger, LookupError, Resolver};
use super::super::tlsa::Tlsa;
use super::asking::Asking;

/// Longest time that an answer is kept, whatever its records say.
const TTL_MAX: Duration = Duration::from_secs(86_400);
/// The same for "there is no such name".
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(900);
/// Most aliases that lead to a name.
const ALIASES_MAX: usize = 16;

/// A stub resolver with a cache.
#[derive(Debug)]
pub struct Dns {
    resolver: Hickory<Asking>,
    #[cfg(feature = "verify")]
    asked: (ResolverConfig, ResolverOpts),
    servers: Vec<IpAddr>,
    trust: DnsTrust,
}

/// Whether [`Dns`] believes its name servers where they say that an answer comes
/// from who the name belongs to (the bit AD, RFC 6840 section 5.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DnsTrust {
    /// It does not: all answers are insecure.
    Nobody,
    /// It does: they validate, and nobody can change what they say on its way.
    Servers,
}

impl Dns {
    /// Asks the name servers that the machine is set to ask.
    pub fn of_system() -> Result<Self, LookupError> {
        Dns::open(&[], DnsTrust::Nobody)
    }

    /// Asks this name server.
    pub fn at(server: SocketAddr) -> Result<Self, LookupError> {
        Dns::open(&[server], DnsTrust::Nobody)
    }

    /// Asks these name servers, or those that the machine is set to ask if these are
    /// none.
    pub fn open(servers: &[SocketAddr], trust: DnsTrust) -> Result<Self, LookupError> {
        let (config, mut options) = match servers {
            [] => system_conf::read_system_conf().map_err(|error| failed(&error))?,
            servers => {
                let servers = servers.iter().map(|server| name_server(*server)).collect();
                let config = ResolverConfig::from_parts(None, Vec::new(), servers);
                (config, ResolverOpts::default())
            }
        };
        let servers = config
            .name_servers()
            .iter()
            .map(|server| server.ip)
            .collect();
        options.positive_max_ttl = Some(TTL_MAX);
        options.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
        #[cfg(feature = "verify")]
        let asked = (config.clone(), options.clone());
        let builder = Hickory::builder_with_config(config, Asking::default());
        let builder = builder.with_options(options);
        let resolver = builder.build().map_err(|error| failed(&error))?;
        Ok(Dns {
            resolver,
            #[cfg(feature = "verify")]
            asked,
            servers,
            trust,
        })
    }

    /// A resolver that asks the same without the bit AD, with a cache of its own: for
    /// who makes nothing of that, and wants one of this kind.
    #[cfg(feature = "verify")]
    pub(crate) fn plain(&self) -> Result<hickory_resolver::TokioResolver, LookupError> {
        let (config, options) = self.asked.clone();
        let builder = Hickory::builder_with_config(config, Default::default());
        let built = builder.with_options(options).build();
        built.map_err(|error| failed(&error))
    }

    /// The name servers that it asks.
    pub fn servers(&self) -> &[IpAddr] {
        &self.servers
    }

    /// Whether its name servers say that they validate, and are believed: the root
    /// is signed.
    pub async fn validates(&self) -> Result<bool, LookupError> {
        let found = self.ask(Name::root(), RecordType::NS, |_| Some(())).await?;
        Ok(found.origin == AnswerOrigin::Secure)
    }

    /// Looks up, and makes of each record what `read` finds in it.
    pub(super) async fn ask<T>(
        &self,
        name: Name,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, LookupError> {
        let found = self.resolver.lookup(name.clone(), kind).await;
        let found = found.map_err(|error| failed(&error))?;
        let owner = canonical(&found, &name);
        let records = found.answers().iter();
        // What a name server adds for other names was not asked for.
        let records = records.filter(|record| record.name == owner);
        let records: Vec<_> = records.filter_map(|record| read(&record.data)).collect();
        if records.is_empty() {
            return Err(LookupError::NoRecords);
        }
        Ok(Answer {
            records,
            name: relative(&owner),
            origin: self.origin(&found, &name),
        })
    }

    fn origin(&self, found: &Lookup, asked: &Name) -> AnswerOrigin {
        let is_said = found.message().authentic_data
            // What was asked anew of an alias says nothing of what led to it.
            && found.query().name() == asked;
        match self.trust {
            DnsTrust::Servers if is_said => AnswerOrigin::Secure,
            DnsTrust::Servers | DnsTrust::Nobody => AnswerOrigin::Insecure,
        }
    }
}

#[async_trait]
impl Resolver for Dns {
    async fn exchangers(&self, domain: &str) -> Result<Answer<Exchanger>, LookupError> {
        let read = |data: &RData| match data {
            RData::MX(mx) => Some(Exchanger {
                preference: mx.preference,
                host: relative(&mx.exchange),
            }),
            _ => None,
        };
        self.ask(absolute(domain)?, RecordType::MX, read).await
    }

    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, LookupError> {
        let read = |data: &RData| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        let name = absolute(host)?;
        let (v4, v6) = tokio::join!(
            self.ask(name.clone(), RecordType::A, read),
            self.ask(name, RecordType::AAAA, read)
        );
        of_both(v4, v6)
    }

    async fn tlsa(&self, host: &str, port: u16) -> Result<Answer<Tlsa>, LookupError> {
        let read = |data: &RData| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        };
        let name = absolute(&format!("_{port}._tcp.{host}"))?;
        self.ask(name, RecordType::TLSA, read).await
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let mut name_server = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut name_server.connections {
        connection.port = server.port();
    }
    name_server
}

/// The addresses of both families. That there is none of one says nothing of the
/// other: a host has none at all only if both look-ups say so. They are signed if
/// all that were found are.
fn of_both(
    v4: Result<Answer<IpAddr>, LookupError>,
    v6: Result<Answer<IpAddr>, LookupError>,
) -> Result<Answer<IpAddr>, LookupError> {
    match (v4, v6) {
        (Ok(mut v4), Ok(v6)) => {
            v4.records.extend(v6.records);
            if v6.origin == AnswerOrigin::Insecure {
                v4.origin = AnswerOrigin::Insecure;
            }
            Ok(v4)
        }
        (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
        (_, Err(why @ LookupError::Failed(_))) => Err(why),
        (Err(why), _) => Err(why),
    }
}

/// A name that no search list is applied to. Names beyond ASCII become A-labels
/// (RFC 6531 section 3.7.1).
pub(super) fn absolute(name: &str) -> Result<Name, LookupError> {
    let mut name = Name::from_utf8(name).map_err(|_| LookupError::NoSuchName)?;
    name.set_fqdn(true);
    Ok(name)
}

/// In A-labels, as certificates have it, and other hosts that know nothing else.
fn relative(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_lowercase()
}

/// The same for a name that was written by somebody (RFC 6531 section 3.7).
pub(super) fn in_a_labels(name: &str) -> String {
    absolute(name).map_or_else(|_| name.to_owned(), |name| relative(&name))
}

/// The name that has the records: the one that was asked for, or what it is an
/// alias of.
fn canonical(found: &Lookup, asked: &Name) -> Name {
    let mut name = asked.clone();
    for _ in 0..ALIASES_MAX {
        let alias = found
            .answers()
            .iter()
            .find_map(|record| match &record.data {
                RData::CNAME(target) if record.name == name => Some(target.0.clone()),
                _ => None,
            });
        match alias {
            Some(target) => name = target,
            None => break,
        }
    }
    name
}

/// Only what the DNS says for certain is said for certain.
fn failed(error: &NetError) -> LookupError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => {
            match *response_code {
                ResponseCode::NXDomain => LookupError::NoSuchName,
                ResponseCode::NoError => LookupError::NoRecords,
                other => LookupError::Failed(other.to_string()),
            }
        }
        other => LookupError::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Result<Answer<IpAddr>, LookupError>;

    fn found(ip: &str, origin: AnswerOrigin) -> Found {
        Ok(Answer {
            records: vec![ip.parse().unwrap()],
            name: "mx.example".to_owned(),
            origin,
        })
    }

    /// Mail to a host without addresses bounces: that must be certain.
    #[test]
    fn what_one_family_lacks_says_nothing_of_the_other() {
        let none = || Err(LookupError::NoRecords);
        let broken = || Err(LookupError::Failed("SERVFAIL".to_owned()));
        let one = || found("192.0.2.1", AnswerOrigin::Secure);
        assert_eq!(of_both(one(), broken()), one());
        assert_eq!(of_both(broken(), one()), one());
        assert_eq!(of_both(none(), one()), one());
        assert_eq!(of_both(none(), none()), none());
        assert_eq!(of_both(none(), broken()), broken());
        assert_eq!(of_both(broken(), none()), broken());
    }

    #[test]
    fn addresses_are_signed_if_those_of_both_families_are() {
        let (signed, other) = (AnswerOrigin::Secure, AnswerOrigin::Insecure);
        for (v4, v6, both) in [
            (signed, signed, signed),
            (signed, other, other),
            (other, signed, other),
        ] {
            let found = of_both(found("192.0.2.1", v4), found("2001:db8::1", v6)).unwrap();
            assert_eq!((found.records.len(), found.origin), (2, both));
        }
    }
}
