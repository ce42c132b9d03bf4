//! The DNS, asked through hickory.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
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
        let found = self.resolver.lookup_ip(absolute(host)?).await;
        Ok(found.map_err(|error| failed(&error))?.iter().collect())
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
