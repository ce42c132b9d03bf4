//! What the file says of a spam filter.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use slimta::policy::{OnScanFailure, SpamRules, SpamScan, SpamScanner, open_scanner};
use slimta::world::World;

use super::span::Span;
use super::written::{size_or_text, written};

/// The edge tells its client after 30 seconds that the message is not stored, so
/// a scan has to end before.
const TIME_MAX: Duration = Duration::from_secs(25);

/// The table `[spam-scan]`.
#[derive(Clone)]
pub(crate) struct SpamScanOptions {
    server: String,
    scanner: Arc<dyn SpamScanner>,
    rules: SpamRules,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    /// The URL of the filter.
    server: String,
    /// The score from which on messages are refused.
    reject_score: Option<f64>,
    /// What becomes of mail that could not be scanned.
    #[serde(default, deserialize_with = "written")]
    failure: Option<Failure>,
    /// How long a message may take.
    #[serde(default, deserialize_with = "written")]
    time_max: Option<Span>,
    /// The largest message that is scanned.
    #[serde(default, deserialize_with = "size_or_text")]
    bytes_max: Option<NonZeroUsize>,
    /// Most scans at the same time.
    at_once_max: Option<NonZeroUsize>,
}

struct Failure(OnScanFailure);

impl SpamScanOptions {
    /// What asks the filter.
    pub(crate) fn policy(&self, world: World) -> SpamScan {
        SpamScan::new(self.scanner.clone(), self.rules, world)
    }
}

impl FromStr for Failure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "accept" => Ok(Failure(OnScanFailure::Accept)),
            "defer" => Ok(Failure(OnScanFailure::Defer)),
            _ => Err(format!("failure = {text:?}: it is accept or defer")),
        }
    }
}

impl Table {
    fn rules(&self) -> Result<SpamRules, String> {
        let defaults = SpamRules::default();
        if let Some(score) = self.reject_score.filter(|score| !score.is_finite()) {
            return Err(format!(
                "reject-score = {score}: it is a number, such as 10.0"
            ));
        }
        let time_max = self.time_max.map_or(defaults.time_max, Span::get);
        if time_max > TIME_MAX {
            return Err(format!(
                "time-max = {time_max:?}: it is {TIME_MAX:?} at most, for clients wait no longer"
            ));
        }
        let count = |said: Option<NonZeroUsize>, default| said.map_or(default, NonZeroUsize::get);
        Ok(SpamRules {
            reject_score: self.reject_score,
            on_failure: self.failure.as_ref().map_or(defaults.on_failure, |f| f.0),
            time_max,
            bytes_max: count(self.bytes_max, defaults.bytes_max),
            at_once_max: count(self.at_once_max, defaults.at_once_max),
        })
    }
}

impl<'de> Deserialize<'de> for SpamScanOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let mistaken = |why: String| D::Error::custom(format!("{why} ([spam-scan])"));
        let scanner = open_scanner(&table.server)
            .map_err(|error| mistaken(format!("server = {:?}: {error}", table.server)))?;
        Ok(SpamScanOptions {
            rules: table.rules().map_err(mistaken)?,
            server: table.server,
            scanner,
        })
    }
}

impl fmt::Debug for SpamScanOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpamScanOptions")
            .field("server", &self.server)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
