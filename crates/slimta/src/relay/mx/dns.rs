//! The DNS, asked through hickory.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData};

use super::resolver::{Exchanger, LookupError, Resolver};

/// Longest time that an answer is kept, whatever its records say.
const TTL_MAX: Duration = Duration::from_secs(86_400);
/// The same for "there is no such name".
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(900);

/// A stub resolver with a cache.
#[derive(Debug)]
pub struct Dns {
    resolver: TokioResolver,
}

impl Dns {
    /// Asks the name servers that the machine is set to ask.
    pub fn of_system() -> Result<Self, LookupError> {
        let builder = TokioResolver::builder_tokio().map_err(|e| failed(&e))?;
        Dns::build(builder)
    }

    /// Asks this name server.
    pub fn at(server: SocketAddr) -> Result<Self, LookupError> {
        let mut name_server = NameServerConfig::udp_and_tcp(server.ip());
        for connection in &mut name_server.connections {
            connection.port = server.port();
        }
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![name_server]);
        let provider = TokioRuntimeProvider::default();
        Dns::build(TokioResolver::builder_with_config(config, provider))
    }

    /// The resolver itself.
    #[cfg(feature = "verify")]
    pub(crate) fn resolver(&self) -> &TokioResolver {
        &self.resolver
    }

    fn build(
        mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>,
    ) -> Result<Self, LookupError> {
        let options = builder.options_mut();
        options.positive_max_ttl = Some(TTL_MAX);
        options.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
        let resolver = builder.build().map_err(|e| failed(&e))?;
        Ok(Dns { resolver })
    }
}

#[async_trait]
impl Resolver for Dns {
    async fn exchangers(&self, domain: &str) -> Result<Vec<Exchanger>, LookupError> {
        let found = self.resolver.mx_lookup(absolute(domain)?).await;
        let found = found.map_err(|error| failed(&error))?;
        let exchangers = found.answers().iter().filter_map(|record| {
            let RData::MX(mx) = &record.data else {
                return None;
            };
            Some(Exchanger {
                preference: mx.preference,
                host: relative(&mx.exchange),
            })
        });
        Ok(exchangers.collect())
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let name = absolute(host)?;
        let (v4, v6) = tokio::join!(
            self.resolver.ipv4_lookup(name.clone()),
            self.resolver.ipv6_lookup(name)
        );
        let addresses = |found: Result<Lookup, NetError>| {
            let found = found.map_err(|error| failed(&error))?;
            let addresses = found
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::A(v4) => Some(IpAddr::from(v4.0)),
                    RData::AAAA(v6) => Some(IpAddr::from(v6.0)),
                    _ => None,
                });
            Ok(addresses.collect())
        };
        of_both(addresses(v4), addresses(v6))
    }
}

/// The addresses of both families. That there is none of one says nothing of the
/// other: a host has none at all only if both look-ups say so.
fn of_both(
    v4: Result<Vec<IpAddr>, LookupError>,
    v6: Result<Vec<IpAddr>, LookupError>,
) -> Result<Vec<IpAddr>, LookupError> {
    match (v4, v6) {
        (Ok(mut v4), Ok(v6)) => {
            v4.extend(v6);
            Ok(v4)
        }
        (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => Ok(found),
        (_, Err(why @ LookupError::Failed(_))) => Err(why),
        (Err(why), _) | (_, Err(why)) => Err(why),
    }
}

/// A name that no search list is applied to. Names beyond ASCII become A-labels
/// (RFC 6531 section 3.7.1).
fn absolute(name: &str) -> Result<Name, LookupError> {
    let mut name = Name::from_utf8(name).map_err(|_| LookupError::NoSuchName)?;
    name.set_fqdn(true);
    Ok(name)
}

fn relative(name: &Name) -> String {
    name.to_utf8().trim_end_matches('.').to_lowercase()
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

    /// Mail to a host without addresses bounces: that must be certain.
    #[test]
    fn what_one_family_lacks_says_nothing_of_the_other() {
        let none = || Err(LookupError::NoRecords);
        let broken = || Err(LookupError::Failed("SERVFAIL".to_owned()));
        let one = || Ok(vec![IpAddr::from([192, 0, 2, 1])]);
        assert_eq!(of_both(one(), broken()), one());
        assert_eq!(of_both(broken(), one()), one());
        assert_eq!(of_both(none(), one()), one());
        assert_eq!(of_both(none(), none()), none());
        for (v4, v6) in [
            (none(), broken()),
            (broken(), none()),
            (Ok(vec![]), broken()),
        ] {
            assert_eq!(of_both(v4, v6), broken());
        }
    }
}
