//! Where the TLSA records of a host may lie (RFC 7672 section 2.2.2).

use std::net::IpAddr;

use super::super::resolver::{Answer, AnswerOrigin, LookupError, Resolver};
use super::host_tls::DaneNames;

impl DaneNames {
    /// Those of the host `host`, whose addresses are `found`, and which takes mail for
    /// `domains`; none where DNSSEC vouches for none. An error means that nobody
    /// knows, so that the host gets no mail for now.
    ///
    /// An alias may be signed though its end is not: then its own records count (RFC
    /// 7672 section 2.1.3), which needs another look-up.
    pub(in crate::relay) async fn find(
        host: &str,
        found: &Answer<IpAddr>,
        domains: &[String],
        dns: &dyn Resolver,
    ) -> Result<Option<Self>, LookupError> {
        if found.origin == AnswerOrigin::Secure {
            return Ok(Some(DaneNames::of_host(host, &found.name, domains)));
        }
        if found.name.eq_ignore_ascii_case(host) {
            return Ok(None);
        }
        match dns.alias(host).await {
            Ok(alias) if alias.origin == AnswerOrigin::Secure => {
                Ok(Some(DaneNames::of_host(host, host, domains)))
            }
            Ok(_) | Err(LookupError::NoSuchName | LookupError::NoRecords) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
