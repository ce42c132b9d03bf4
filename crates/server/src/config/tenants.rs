//! What the file says of tenants.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use slimta_core::message::Tenant;

/// More than this is no weight but a mistake.
const WEIGHT_MAX: u32 = 1_000;

/// The tables `[tenants.NAME]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tenants(BTreeMap<Tenant, TenantOptions>);

/// One of them.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct TenantOptions {
    /// How many parts it gets while several want more than there is.
    weight: Option<NonZeroU32>,
    /// The pool of addresses that its mail goes from.
    source_pool: Option<String>,
}

impl Tenants {
    /// How many parts each tenant gets that has a table.
    pub(super) fn weights(&self) -> BTreeMap<Tenant, u32> {
        let weight = |(tenant, options): (&Tenant, &TenantOptions)| {
            let weight = options.weight?.get();
            Some((tenant.clone(), weight))
        };
        self.0.iter().filter_map(weight).collect()
    }

    /// The pools that tenants name.
    pub(super) fn pools(&self) -> impl Iterator<Item = (&Tenant, &str)> {
        let pools = self.0.iter();
        pools.filter_map(|(tenant, options)| Some((tenant, options.source_pool.as_deref()?)))
    }
}

impl<'de> Deserialize<'de> for Tenants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tables = BTreeMap::<String, TenantOptions>::deserialize(deserializer)?;
        let read = tables.into_iter().map(|(name, options)| {
            if let Some(weight) = options.weight.filter(|weight| weight.get() > WEIGHT_MAX) {
                return Err(D::Error::custom(format!(
                    "weight = {weight} of the tenant {name}: it is a number from 1 to {WEIGHT_MAX}"
                )));
            }
            let tenant = name.parse().map_err(D::Error::custom)?;
            Ok((tenant, options))
        });
        read.collect::<Result<_, _>>().map(Tenants)
    }
}
