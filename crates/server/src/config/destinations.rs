//! What the file says of some destinations only.

use std::collections::BTreeMap;

use slimta_core::queue::{ByDestination, DestinationPattern, Schedule};

use super::RELAY_NONE;
use super::options::written;
use crate::failure::Failure;

/// The tables `[destination."PATTERN"]`.
pub(crate) type Destinations = BTreeMap<DestinationPattern, DestinationOptions>;

/// One of them. What it leaves out is as for all destinations.
#[derive(serde::Deserialize, Clone, Debug, Default)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct DestinationOptions {
    /// When to try again what failed for now.
    #[serde(deserialize_with = "written")]
    retry: Option<Schedule>,
    /// The URL of the relay that hands its mail on.
    relay: Option<String>,
}

/// The schedule of each destination.
pub(super) fn schedules(all: Schedule, destinations: &Destinations) -> ByDestination<Schedule> {
    let rules = destinations.iter();
    let rules = rules.filter_map(|(pattern, options)| Some((pattern, options.retry.as_ref()?)));
    rules.fold(ByDestination::new(all), |schedules, (pattern, schedule)| {
        schedules.with_rule(pattern.clone(), schedule.clone())
    })
}

/// The relays that destinations have of their own, by URL.
pub(super) fn routes(
    destinations: Destinations,
) -> Result<Vec<(DestinationPattern, String)>, Failure> {
    let rules = destinations.into_iter();
    let rules = rules.filter_map(|(pattern, options)| Some((pattern, options.relay?)));
    let checked = rules.map(|(pattern, url)| match url.as_str() {
        RELAY_NONE => Err(Failure::Usage(format!(
            "relay = \"{RELAY_NONE}\" in [destination.\"{pattern}\"]: one destination cannot be kept only; hold its mail instead"
        ))),
        _ => Ok((pattern, url)),
    });
    checked.collect()
}
