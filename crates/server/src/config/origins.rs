//! From where mail goes, as options and the tables `[[source-pool.NAME]]` say it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::Deserialize;
use slimta::relay::{Origin, OriginPool, Origins, Sources};
use slimta_core::message::Tenant;
use slimta_core::queue::ByDestination;

use super::Options;
use super::destinations::by_destination;
use super::machine::is_host_name;
use super::sources::sources;
use crate::failure::Failure;

/// More than this is no weight but a mistake.
const WEIGHT_MAX: u32 = 1_000;
/// The pool of all mail for which nothing else is said.
const DEFAULT: &str = "default";

/// The tables `[[source-pool.NAME]]`.
#[derive(Deserialize, Clone, Debug, Default)]
pub(crate) struct SourcePools(BTreeMap<String, Vec<Way>>);

/// One of them: a way out of this host.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Way {
    /// One address, or one a family.
    #[serde(deserialize_with = "sources")]
    address: Option<Sources>,
    /// What this host calls itself there.
    #[serde(default)]
    ehlo_name: Option<String>,
    /// How many parts of the mail go there.
    #[serde(default)]
    weight: Option<NonZeroU32>,
}

impl SourcePools {
    /// The pool that something at `place` names.
    fn get(&self, name: &str, place: &str) -> Result<OriginPool, Failure> {
        let wrong =
            |why: String| Failure::Usage(format!("source-pool = \"{name}\" {place}: {why}"));
        let Some(ways) = self.0.get(name) else {
            let known: Vec<_> = self.0.keys().map(String::as_str).collect();
            return Err(wrong(format!(
                "there is no [[source-pool.{name}]], only: {}",
                known.join(", ")
            )));
        };
        let members = ways.iter().map(|way| {
            let weight = way.weight.unwrap_or(NonZeroU32::MIN);
            if weight.get() > WEIGHT_MAX {
                let why = format!("weight = {weight} is not a number from 1 to {WEIGHT_MAX}");
                return Err(wrong(why));
            }
            let origin = Origin {
                addresses: way.address.unwrap_or_default(),
                ehlo_name: host_name(way.ehlo_name.as_ref())?,
            };
            Ok((origin, weight))
        });
        let members = members.collect::<Result<Vec<_>, _>>()?;
        OriginPool::new(members).ok_or_else(|| wrong("it has no address".to_owned()))
    }
}

fn host_name(name: Option<&String>) -> Result<Option<String>, Failure> {
    match name {
        Some(name) if !is_host_name(name) => Err(Failure::Usage(format!(
            "ehlo-name {name:?} is not the name of a host, such as mx.example"
        ))),
        name => Ok(name.cloned()),
    }
}

impl Options {
    /// The nearest table of a destination counts that says something; then the
    /// tenant's; then what is said of all.
    pub(super) fn origins(&self) -> Result<Origins, Failure> {
        Ok(Origins::default()
            .with_pools(self.pools()?)
            .with_tenants(self.pools_of_tenants()?)
            .with_rest(self.pool_of_rest()?)
            .with_names(self.ehlo_names()?))
    }

    /// From which addresses mail goes that no table has a word for.
    pub(super) fn sources(&self) -> Result<ByDestination<Sources>, Failure> {
        let all = Sources::new(self.source_address.iter().copied());
        let all = all.map_err(|error| Failure::Usage(format!("{error} (source-address)")))?;
        Ok(all.into())
    }

    /// What a table says of addresses is a pool with one way.
    fn pools(&self) -> Result<ByDestination<Option<OriginPool>>, Failure> {
        let mut pools = ByDestination::new(None);
        for (pattern, options) in &self.destination {
            let place = format!("in [destination.\"{pattern}\"]");
            let pool = match (&options.source_pool, options.source_address) {
                (None, None) => continue,
                (Some(name), None) => Some(self.source_pool.get(name, &place)?),
                (None, Some(addresses)) => {
                    let ehlo_name = None;
                    let way = Origin {
                        addresses,
                        ehlo_name,
                    };
                    OriginPool::new([(way, NonZeroU32::MIN)])
                }
                (Some(_), Some(_)) => return Err(both(&place)),
            };
            pools = pools.with_rule(pattern.clone(), pool);
        }
        Ok(pools)
    }

    fn pool_of_rest(&self) -> Result<Option<OriginPool>, Failure> {
        if !self.source_pool.0.contains_key(DEFAULT) {
            return Ok(None);
        }
        if !self.source_address.is_empty() {
            return Err(both("for all mail (it is the pool \"default\")"));
        }
        self.source_pool.get(DEFAULT, "for all mail").map(Some)
    }

    fn pools_of_tenants(&self) -> Result<BTreeMap<Tenant, OriginPool>, Failure> {
        let named = self.tenants.pools().map(|(tenant, name)| {
            let place = format!("in [tenants.{tenant}]");
            Ok((tenant.clone(), self.source_pool.get(name, &place)?))
        });
        named.collect()
    }

    fn ehlo_names(&self) -> Result<ByDestination<Option<String>>, Failure> {
        for options in self.destination.values() {
            host_name(options.ehlo_name.as_ref())?;
        }
        let all = host_name(self.ehlo_name.as_ref())?;
        Ok(by_destination(all, &self.destination, |options| {
            options.ehlo_name.clone().map(Some)
        }))
    }
}

fn both(place: &str) -> Failure {
    Failure::Usage(format!(
        "source-pool and source-address {place}: name one of them"
    ))
}
