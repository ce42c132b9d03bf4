//! What the file says of some destinations only.

use std::collections::BTreeMap;

use slimta_core::queue::{ByDestination, DestinationPattern, Schedule};

use super::options::written;

/// The tables `[destination."PATTERN"]`.
pub(crate) type Destinations = BTreeMap<DestinationPattern, DestinationOptions>;

/// One of them. What it leaves out is as for all destinations.
#[derive(serde::Deserialize, Clone, Debug, Default)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct DestinationOptions {
    /// When to try again what failed for now.
    #[serde(deserialize_with = "written")]
    retry: Option<Schedule>,
}

/// The schedule of each destination.
pub(super) fn schedules(all: Schedule, destinations: Destinations) -> ByDestination<Schedule> {
    let rules = destinations.into_iter();
    let rules = rules.filter_map(|(pattern, options)| Some((pattern, options.retry?)));
    rules.fold(ByDestination::new(all), |schedules, (pattern, schedule)| {
        schedules.with_rule(pattern, schedule)
    })
}
