//! What the file says of some destinations only.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

use slimta::relay::{Sources, TlsLevel};
use slimta_core::queue::{ByDestination, DestinationPattern, Rate, Schedule};

use super::RELAY_NONE;
use super::relay_login::{RelayLogin, Said};
use super::socks5::ProxyOrNone;
use super::sources::sources;
use super::written::written;
use crate::failure::Failure;

/// The tables `[destination."PATTERN"]`.
pub(crate) type Destinations = BTreeMap<DestinationPattern, DestinationOptions>;

/// One of them. What it leaves out is as for all destinations.
#[derive(serde::Deserialize, Clone, Debug, Default)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct DestinationOptions {
    /// When to try again what failed for now.
    #[serde(deserialize_with = "written")]
    pub(super) retry: Option<Schedule>,
    /// Most attempts at the same time.
    pub(super) attempts_max: Option<NonZeroUsize>,
    /// Most attempts in a time.
    #[serde(deserialize_with = "written")]
    pub(super) rate: Option<RateOrNone>,
    /// Most messages that a connection carries.
    pub(super) messages_per_connection: Option<NonZeroU32>,
    /// The addresses of this host that connections to it are made from.
    #[serde(deserialize_with = "sources")]
    pub(super) source_address: Option<Sources>,
    /// The pool of addresses that they are made from.
    pub(super) source_pool: Option<String>,
    /// What this host calls itself on them.
    pub(super) ehlo_name: Option<String>,
    /// The proxy that they are made through.
    #[serde(deserialize_with = "written")]
    pub(super) socks5: Option<ProxyOrNone>,
    /// Who this host says it is there.
    pub(super) socks5_user: Option<String>,
    /// The file of its password.
    pub(super) socks5_password_file: Option<PathBuf>,
    /// How connections to it are encrypted.
    #[serde(deserialize_with = "written")]
    pub(super) tls: Option<TlsLevel>,
    /// The URL of the relay that hands its mail on.
    relay: Option<String>,
    /// Who this host says it is to that relay's server.
    relay_user: Option<String>,
    /// The file of its password.
    relay_password_file: Option<PathBuf>,
    /// Whether that is sent in clear, too.
    relay_auth_in_clear: Option<bool>,
}

/// The value of one option for each destination: for all, and where its table
/// says another.
pub(super) fn by_destination<T>(
    all: T,
    destinations: &Destinations,
    option: impl Fn(&DestinationOptions) -> Option<T>,
) -> ByDestination<T> {
    let rules = destinations.iter();
    let rules = rules.filter_map(|(pattern, options)| Some((pattern.clone(), option(options)?)));
    rules.fold(ByDestination::new(all), |values, (pattern, value)| {
        values.with_rule(pattern, value)
    })
}

/// The relays that destinations have of their own, by URL.
pub(super) fn routes(
    destinations: Destinations,
) -> Result<Vec<(DestinationPattern, String)>, Failure> {
    let rules = destinations.into_iter();
    let rules = rules.filter_map(|(pattern, options)| Some((pattern, options.relay?)));
    let checked = rules.map(|(pattern, url)| match url.as_str() {
        RELAY_NONE => Err(Failure::setting(
            format!("destination.\"{pattern}\".relay"),
            "one destination cannot be kept only; hold its mail instead (`slimta queue suspend`)",
        )),
        _ => Ok((pattern, url)),
    });
    checked.collect()
}

/// Who this host says it is to them. A table's relay hears nothing that was said
/// of another.
pub(super) fn route_logins(
    destinations: &Destinations,
) -> Result<BTreeMap<DestinationPattern, RelayLogin>, Failure> {
    let mut logins = BTreeMap::new();
    for (pattern, options) in destinations {
        let login = RelayLogin::of(&Said {
            user: &options.relay_user,
            password_file: &options.relay_password_file,
            in_clear: options.relay_auth_in_clear,
            relay: options.relay.as_deref(),
            table: &format!("destination.\"{pattern}\"."),
        })?;
        logins.extend(login.map(|login| (pattern.clone(), login)));
    }
    Ok(logins)
}

/// A rate, or `none`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RateOrNone(Option<Rate>);

impl RateOrNone {
    /// The rate, if there is one.
    pub(crate) fn get(self) -> Option<Rate> {
        self.0
    }
}

impl FromStr for RateOrNone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(RateOrNone(None));
        }
        let rate = text.parse().map_err(|why| format!("{why}; or none"))?;
        Ok(RateOrNone(Some(rate)))
    }
}
