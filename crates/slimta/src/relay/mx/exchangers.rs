//! Which hosts to try for a domain, and when to try none (RFC 5321 section
//! 5.1, RFC 7505).

use std::net::IpAddr;

use async_trait::async_trait;
use slimta_smtp::client::Dialect;

use super::super::resolver::{Answer, Exchanger, LookupError, Origin, Resolver};
use super::super::smtp::{Begin, DaneNames, Endpoint, Host, Hosts, Seen};
use super::asked::Asked;
use crate::message::{EnhancedCode, Response};
use crate::world::World;

/// Most mail exchangers of a domain that are looked at.
const EXCHANGERS_MAX: usize = 20;
/// Enough hosts: more are not tried in one attempt.
const HOSTS_ENOUGH: usize = 10;

/// The mail exchangers of a domain, looked up when they are needed.
pub(super) struct Exchangers<'a> {
    pub(super) domain: &'a str,
    pub(super) resolver: &'a dyn Resolver,
    pub(super) hostname: &'a str,
    pub(super) port: u16,
    pub(super) world: &'a World,
    pub(super) asked: &'a Asked,
}

#[async_trait]
impl Hosts for Exchangers<'_> {
    async fn find(&self, trusted: Option<&dyn Resolver>) -> Result<Vec<Host>, Response> {
        let resolver = trusted.unwrap_or(self.resolver);
        let (names, origin) = match resolver.exchangers(self.domain).await {
            Ok(found) if !found.records.is_empty() => {
                let chance = || self.world.random_u64();
                (
                    in_order(found.records, self.hostname, chance)?,
                    found.origin,
                )
            }
            // Without MX records the domain itself is its exchanger.
            Ok(_) | Err(LookupError::NoRecords) => return self.domain_itself(resolver).await,
            Err(LookupError::NoSuchName) => return Err(no_such_domain()),
            Err(error) => return Err(unknown(&error)),
        };
        let mut hosts = Vec::new();
        let mut trouble = None;
        for name in names {
            match resolver.addresses(&name).await {
                Ok(found) => hosts.extend(self.hosts(&name, origin, found)),
                Err(error) => trouble = Some(error),
            }
            if hosts.len() >= HOSTS_ENOUGH {
                break;
            }
        }
        match trouble {
            _ if !hosts.is_empty() => Ok(hosts),
            Some(error @ LookupError::Failed(_)) => Err(unknown(&error)),
            // Somebody made a mistake that somebody may mend.
            _ => Err(Response::transient(
                4,
                4,
                "No mail exchanger of the domain has an address",
            )),
        }
    }

    fn dane_domain(&self) -> Option<&str> {
        Some(self.domain)
    }

    fn opened(&self, seen: Seen<'_>) {
        self.asked.count(self.domain, seen);
    }
}

impl Exchangers<'_> {
    /// The host `name` at each of its addresses. Its certificate can be judged by
    /// DANE if all is signed that led to it: `origin` is where its name comes from.
    fn hosts(&self, name: &str, origin: Origin, found: Answer<IpAddr>) -> Vec<Host> {
        let is_secure = origin == Origin::Secure && found.origin == Origin::Secure;
        let dane = is_secure.then(|| DaneNames::of_host(name, &found.name, self.domain));
        let policy = self.asked.of(self.domain, name);
        let addresses = found.records.into_iter();
        let host = |ip| Host {
            name: name.to_owned(),
            endpoint: Endpoint::Tcp((ip, self.port).into()),
            dialect: Dialect::Smtp,
            begin: Begin::Clear,
            policy: policy.clone(),
            dane: dane.clone(),
        };
        addresses.map(host).collect()
    }

    async fn domain_itself(&self, resolver: &dyn Resolver) -> Result<Vec<Host>, Response> {
        match resolver.addresses(self.domain).await {
            // That it has no exchangers is its own word, too: what is not proved is no answer.
            Ok(found) if !found.records.is_empty() => {
                Ok(self.hosts(self.domain, Origin::Secure, found))
            }
            Ok(_) | Err(LookupError::NoRecords | LookupError::NoSuchName) => {
                let text = "The domain has neither a mail exchanger nor an address";
                Err(Response::permanent(1, 2, text))
            }
            Err(error) => Err(unknown(&error)),
        }
    }
}

/// The names of exchangers in the order in which to try them: by preference,
/// equal ones by `chance`. This host, and what is preferred less, is left out:
/// mail would go in circles.
fn in_order(
    mut records: Vec<Exchanger>,
    hostname: &str,
    mut chance: impl FnMut() -> u64,
) -> Result<Vec<String>, Response> {
    if let [only] = records.as_slice()
        && only.host.is_empty()
    {
        let text = "The domain takes no mail";
        return Err(Response::new(556, Some(EnhancedCode::new(5, 1, 10)), text));
    }
    // Beside others the null record is a mistake.
    records.retain(|record| !record.host.is_empty());
    let own = records
        .iter()
        .filter(|record| record.host.eq_ignore_ascii_case(hostname))
        .map(|record| record.preference)
        .min();
    let is_empty = records.is_empty();
    records.retain(|record| own.is_none_or(|own| record.preference < own));
    if records.is_empty() && !is_empty {
        let text = format!("{hostname} is the best mail exchanger itself: mail would loop");
        return Err(Response::new(554, Some(EnhancedCode::new(5, 4, 6)), text));
    }
    records.sort_by_cached_key(|record| (record.preference, chance()));
    records.dedup_by(|a, b| a.host.eq_ignore_ascii_case(&b.host));
    records.truncate(EXCHANGERS_MAX);
    Ok(records.into_iter().map(|record| record.host).collect())
}

fn no_such_domain() -> Response {
    Response::permanent(1, 2, "The domain does not exist")
}

/// Trouble with the DNS says nothing of the domain.
fn unknown(error: &LookupError) -> Response {
    Response::transient(4, 3, format!("The domain could not be looked up: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(records: &[(u16, &str)]) -> Result<Vec<String>, u16> {
        let records = records.iter().map(|(preference, host)| Exchanger {
            preference: *preference,
            host: (*host).to_owned(),
        });
        let mut count = 0;
        let chance = || {
            count += 1;
            u64::MAX - count
        };
        in_order(records.collect(), "us.example", chance).map_err(|r| r.code.get())
    }

    #[test]
    fn the_preferred_come_first_and_equals_by_chance() {
        let names = ordered(&[(20, "c"), (10, "a"), (20, "d"), (10, "b")]).unwrap();
        assert_eq!(names, ["b", "a", "d", "c"]);
    }

    #[test]
    fn this_host_and_what_is_worse_is_left_out() {
        let names = ordered(&[(10, "a"), (20, "US.example"), (20, "b"), (30, "c")]).unwrap();
        assert_eq!(names, ["a"]);
        assert_eq!(ordered(&[(10, "us.example"), (20, "b")]), Err(554));
    }

    #[test]
    fn a_domain_may_say_that_it_takes_no_mail() {
        assert_eq!(ordered(&[(0, "")]), Err(556));
        assert_eq!(ordered(&[(0, ""), (10, "a")]).unwrap(), ["a"]);
    }
}
