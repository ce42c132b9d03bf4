//! Which hosts to try for a domain, and when to try none (RFC 5321 section
//! 5.1, RFC 7505); and which domains share theirs.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use slimta_smtp::client::Dialect;

use super::super::resolver::{Answer, AnswerOrigin, Exchanger, LookupError, Resolver};
use super::super::smtp::{Begin, DaneNames, Endpoint, Host, Hosts, Naming, Seen};
use super::asked::Asked;
use super::dns::in_a_labels;
use crate::message::{EnhancedCode, Response};
use crate::world::World;

/// Most mail exchangers of a domain that are looked at.
const EXCHANGERS_MAX: usize = 20;
/// Enough hosts: more are not tried in one attempt.
const HOSTS_ENOUGH: usize = 10;

/// The mail exchangers of a domain; their addresses are looked up when they are
/// needed.
pub(super) struct Exchangers<'a> {
    domain: &'a str,
    /// The preferred first; none if the domain is its own exchanger.
    records: Option<Vec<Exchanger>>,
    /// Where these come from, or that there are none.
    origin: AnswerOrigin,
    /// What found them, and finds the rest.
    resolver: &'a dyn Resolver,
    port: u16,
    world: &'a World,
    asked: Asked,
}

#[async_trait]
impl Hosts for Exchangers<'_> {
    async fn find(&self, trusted: Option<&dyn Resolver>) -> Result<Vec<Host>, Response> {
        let resolver = trusted.unwrap_or(self.resolver);
        let Some(records) = &self.records else {
            return self.domain_itself(resolver).await;
        };
        let names = in_order(records, || self.world.random_u64());
        let mut hosts = Vec::new();
        let mut trouble = None;
        for name in names {
            match resolver.addresses(name).await {
                Ok(found) => hosts.extend(self.hosts(name, found)),
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

impl<'a> Exchangers<'a> {
    /// Those of `domain`; or the answer for its mail, when it is clear without
    /// trying. `hostname` is what this host calls itself.
    pub(super) async fn of(
        domain: &'a str,
        resolver: &'a dyn Resolver,
        hostname: &str,
        port: u16,
        world: &'a World,
    ) -> Result<Self, Response> {
        let (records, origin) = match resolver.exchangers(domain).await {
            Ok(found) if !found.records.is_empty() => {
                (Some(usable(found.records, hostname)?), found.origin)
            }
            // Without MX records the domain itself is its exchanger. That it has none is
            // its own word, too: what is not proved is no answer.
            Ok(_) | Err(LookupError::NoRecords) => (None, AnswerOrigin::Secure),
            Err(LookupError::NoSuchName) => return Err(no_such_domain()),
            Err(error) => return Err(unknown(&error)),
        };
        Ok(Exchangers {
            domain,
            records,
            origin,
            resolver,
            port,
            world,
            asked: Asked::default(),
        })
    }

    /// Sets what the domain asks for. Default: nothing.
    pub(super) fn with_asked(self, asked: Asked) -> Self {
        Exchangers { asked, ..self }
    }

    /// Under what connections to them are kept: those of the site, but for a domain
    /// with a policy of its own.
    pub(super) fn key(&self) -> String {
        self.asked.key(&self.site(), self.domain)
    }

    /// The name of the site: the names of all exchangers, those that are preferred
    /// alike with commas between, each such group behind those before it. So any
    /// host that one domain of a site is connected to, also one that is tried when
    /// others are down, takes the mail of all of them. Not their addresses: a
    /// certificate is good for a name.
    pub(super) fn site(&self) -> Arc<str> {
        let Some(records) = &self.records else {
            return self.domain.to_lowercase().into();
        };
        let groups = records.chunk_by(|a, b| a.preference == b.preference);
        let groups = groups.map(|group| {
            let names: Vec<_> = group.iter().map(|record| record.host.as_str()).collect();
            names.join(",")
        });
        groups.collect::<Vec<_>>().join(" then ").into()
    }

    /// The host `name` at each of its addresses. Its certificate can be judged by
    /// DANE if all is signed that led to it.
    fn hosts(&self, name: &str, found: Answer<IpAddr>) -> Vec<Host> {
        let is_secure = [self.origin, found.origin] == [AnswerOrigin::Secure; 2];
        let domain = in_a_labels(self.domain);
        let dane = is_secure.then(|| DaneNames::of_host(name, &found.name, &domain));
        let policy = self.asked.of(self.domain, name);
        let naming = match self.origin {
            AnswerOrigin::Secure => Naming::Certain,
            AnswerOrigin::Insecure => self.asked.naming(policy.as_ref()),
        };
        let addresses = by_turns(found.records).into_iter();
        let host = |ip| Host {
            name: name.to_owned(),
            endpoint: Endpoint::Tcp((ip, self.port).into()),
            dialect: Dialect::Smtp,
            begin: Begin::Clear,
            policy: policy.clone(),
            dane: dane.clone(),
            naming,
        };
        addresses.map(host).collect()
    }

    async fn domain_itself(&self, resolver: &dyn Resolver) -> Result<Vec<Host>, Response> {
        match resolver.addresses(self.domain).await {
            Ok(found) if !found.records.is_empty() => {
                Ok(self.hosts(&in_a_labels(self.domain), found))
            }
            Ok(_) | Err(LookupError::NoRecords | LookupError::NoSuchName) => {
                let text = "The domain has neither a mail exchanger nor an address";
                Err(Response::permanent(1, 2, text))
            }
            Err(error) => Err(unknown(&error)),
        }
    }
}

/// The exchangers that may be tried, the preferred first and equal ones by name.
/// This host, and what is preferred less, is left out: mail would go in circles.
fn usable(mut records: Vec<Exchanger>, hostname: &str) -> Result<Vec<Exchanger>, Response> {
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
    for record in &mut records {
        record.host.make_ascii_lowercase();
    }
    records.sort_by(|a, b| (a.preference, &a.host).cmp(&(b.preference, &b.host)));
    records.dedup();
    records.truncate(EXCHANGERS_MAX);
    Ok(records)
}

/// Their names in the order in which to try them: by preference, equal ones by
/// `chance`.
fn in_order(records: &[Exchanger], mut chance: impl FnMut() -> u64) -> Vec<&str> {
    let mut records: Vec<_> = records.iter().collect();
    records.sort_by_cached_key(|record| (record.preference, chance()));
    records.iter().map(|record| record.host.as_str()).collect()
}

/// Addresses of IPv4 and IPv6 by turns, so that two that are tried are one of each,
/// where a host has both. IPv4 first: many hosts have an IPv6 address of which
/// nobody takes mail, and a refusal is worse than a connection that fails.
fn by_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (v4, v6): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    let longest = v4.len().max(v6.len());
    let turn = |index| [v4.get(index), v6.get(index)];
    (0..longest).flat_map(turn).flatten().copied().collect()
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
        let records = usable(records.collect(), "us.example").map_err(|r| r.code.get())?;
        let names = in_order(&records, chance).into_iter();
        Ok(names.map(str::to_owned).collect())
    }

    #[test]
    fn families_are_tried_by_turns() {
        let parsed = |text: &str| text.split(' ').map(|ip| ip.parse().unwrap()).collect();
        let order = |text: &str| by_turns(parsed(text));
        let expected: Vec<_> = parsed("192.0.2.1 ::1 192.0.2.2 ::2 ::3");
        assert_eq!(order("::1 ::2 ::3 192.0.2.1 192.0.2.2"), expected);
        assert_eq!(order("::2 ::1"), parsed("::2 ::1"));
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
