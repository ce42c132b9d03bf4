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
    /// The pool that the option `key` names.
    fn get(&self, name: &str, key: &str) -> Result<OriginPool, Failure> {
        let Some(ways) = self.0.get(name) else {
            let known: Vec<_> = self.0.keys().map(String::as_str).collect();
            let only = match known.is_empty() {
                true => String::new(),
                false => format!(", only: {}", known.join(", ")),
            };
            let why = format!("there is no [[source-pool.{name}]]{only}");
            return Err(Failure::setting(key, why));
        };
        let own = |option: &str| format!("source-pool.{name}{option}");
        let members = ways.iter().map(|way| {
            let weight = way.weight.unwrap_or(NonZeroU32::MIN);
            if weight.get() > WEIGHT_MAX {
                let why = format!("{weight} is not a number from 1 to {WEIGHT_MAX}");
                return Err(Failure::setting(own(".weight"), why));
            }
            let origin = Origin {
                addresses: way.address.unwrap_or_default(),
                ehlo_name: host_name(way.ehlo_name.as_ref(), &own(".ehlo-name"))?,
            };
            Ok((origin, weight))
        });
        let members = members.collect::<Result<Vec<_>, _>>()?;
        OriginPool::new(members).ok_or_else(|| Failure::setting(own(""), "it has no address"))
    }
}

fn host_name(name: Option<&String>, key: &str) -> Result<Option<String>, Failure> {
    match name {
        Some(name) if !is_host_name(name) => Err(Failure::setting(
            key,
            format!("{name:?} is not the name of a host, such as mx.example"),
        )),
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
        let all = all.map_err(|error| Failure::setting("source-address", error))?;
        Ok(all.into())
    }

    /// All addresses that something names, each with the option.
    pub(super) fn sources_said(&self) -> Result<Vec<(String, Sources)>, Failure> {
        let of_all = self.sources()?;
        let of_all = of_all
            .values()
            .map(|all| ("source-address".to_owned(), *all));
        let of_some = self.destination.iter().filter_map(|(pattern, options)| {
            let key = format!("destination.\"{pattern}\".source-address");
            Some((key, options.source_address?))
        });
        let of_pools = self.source_pool.0.iter().flat_map(|(name, ways)| {
            let addresses = ways.iter().filter_map(|way| way.address);
            addresses.map(move |address| (format!("source-pool.{name}.address"), address))
        });
        Ok(of_all.chain(of_some).chain(of_pools).collect())
    }

    /// What is wrong with each pool, and with each option that names one.
    pub(super) fn problems_of_origins(&self) -> Vec<Failure> {
        let pools = self.source_pool.0.keys();
        let pools = pools.filter_map(|name| {
            let got = self.source_pool.get(name, &format!("source-pool.{name}"));
            got.err()
        });
        let of_all = [
            self.pool_of_rest().err(),
            self.pools_of_tenants().err(),
            host_name(self.ehlo_name.as_ref(), "ehlo-name").err(),
        ];
        pools.chain(of_all.into_iter().flatten()).collect()
    }

    /// What a table says of addresses is a pool with one way.
    pub(super) fn pools(&self) -> Result<ByDestination<Option<OriginPool>>, Failure> {
        let mut pools = ByDestination::new(None);
        for (pattern, options) in &self.destination {
            let key = format!("destination.\"{pattern}\".source-pool");
            let pool = match (&options.source_pool, options.source_address) {
                (None, None) => continue,
                (Some(name), None) => Some(self.source_pool.get(name, &key)?),
                (None, Some(addresses)) => {
                    let ehlo_name = None;
                    let way = Origin {
                        addresses,
                        ehlo_name,
                    };
                    OriginPool::new([(way, NonZeroU32::MIN)])
                }
                (Some(_), Some(_)) => {
                    let why = "it and source-address say the same: name one of them";
                    return Err(Failure::setting(key, why));
                }
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
            return Err(Failure::setting(
                "source-address",
                "it and [[source-pool.default]] say the same: name one of them",
            ));
        }
        self.source_pool.get(DEFAULT, "source-pool").map(Some)
    }

    fn pools_of_tenants(&self) -> Result<BTreeMap<Tenant, OriginPool>, Failure> {
        let named = self.tenants.pools().map(|(tenant, name)| {
            let key = format!("tenants.{tenant}.source-pool");
            Ok((tenant.clone(), self.source_pool.get(name, &key)?))
        });
        named.collect()
    }

    pub(super) fn ehlo_names(&self) -> Result<ByDestination<Option<String>>, Failure> {
        for (pattern, options) in &self.destination {
            let key = format!("destination.\"{pattern}\".ehlo-name");
            host_name(options.ehlo_name.as_ref(), &key)?;
        }
        let all = host_name(self.ehlo_name.as_ref(), "ehlo-name")?;
        Ok(by_destination(all, &self.destination, |options| {
            options.ehlo_name.clone().map(Some)
        }))
    }
}
