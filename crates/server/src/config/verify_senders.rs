//! What the file says of mail of strangers: whether it is from whom it says.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use slimta::policy::{SealArc, SignDkim, VerifyRules, VerifySenders};
use slimta::relay::Dns;
use slimta::world::World;

use super::Settings;
use super::machine::is_host_name;
use super::network::Network;
use super::span::Span;
use super::written::{all_written, written};
use crate::failure::Failure;

/// The edge tells its client after 30 seconds that the message is not stored, so
/// looking has to end before.
const TIME_MAX: Duration = Duration::from_secs(25);

/// The table `[verify-senders]`.
#[derive(Clone, Debug)]
pub(crate) struct VerifyOptions {
    table: Table,
    rules: VerifyRules,
}

/// As it is written.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    /// In whose name the results are told.
    authserv_id: Option<String>,
    /// Whether mail is refused whose author's domain asks for it.
    dmarc_reject: bool,
    /// Whether mail is refused whose sender's domain takes no mail itself.
    null_mx_reject: bool,
    /// Whose mail is not looked at, by address.
    #[serde(deserialize_with = "some_written")]
    trusted: Option<Vec<Network>>,
    /// The name server that is asked.
    name_server: Option<SocketAddr>,
    /// How long the look-ups for a message may take.
    #[serde(deserialize_with = "written")]
    time_max: Option<Span>,
    /// The domain whose key seals what is passed on.
    arc_seal: Option<String>,
    /// Most messages at the same time.
    at_once_max: Option<NonZeroUsize>,
}

impl VerifyOptions {
    /// What looks at mail of everybody.
    pub(crate) fn open(
        &self,
        settings: &Settings,
        world: &World,
    ) -> Result<VerifySenders, Failure> {
        let dns = match self.table.name_server {
            Some(server) => Dns::at(server),
            None => Dns::of_system(),
        };
        let key = match self.table.name_server {
            Some(_) => "verify-senders.name-server",
            None => "verify-senders",
        };
        let name = self.authserv_id(settings);
        let verify = dns.and_then(|dns| VerifySenders::new(name, &dns, self.rules, world.clone()));
        verify.map_err(|error| Failure::setting(key, error))
    }

    /// Whose mail is not looked at: who is named, or else who is permitted anyway.
    pub(crate) fn trusted<'a>(&'a self, permit: &'a [Network]) -> &'a [Network] {
        self.table.trusted.as_deref().unwrap_or(permit)
    }
}

impl VerifyOptions {
    /// What seals it, if something does.
    pub(crate) fn seal(
        &self,
        settings: &Settings,
        dkim: &SignDkim,
    ) -> Result<Option<SealArc>, Failure> {
        let Some(domain) = &self.table.arc_seal else {
            return Ok(None);
        };
        let seal = dkim.seal_arc(domain, self.authserv_id(settings));
        let unusable = |error| {
            let why = format!("{error}: write a table [dkim.{domain:?}]");
            Failure::setting("verify-senders.arc-seal", why)
        };
        seal.map(Some).map_err(unusable)
    }

    /// What is wrong with each part of it.
    pub(crate) fn problems(&self, settings: &Settings, world: &World) -> Vec<Failure> {
        // What is wrong with keys is told by itself.
        let seal = settings.dkim.signer().ok();
        let seal = seal.and_then(|dkim| self.seal(settings, &dkim).err());
        let policy = self.open(settings, world).err();
        policy.into_iter().chain(seal).collect()
    }

    /// In whose name it speaks.
    fn authserv_id<'a>(&'a self, settings: &'a Settings) -> &'a str {
        let name = self.table.authserv_id.as_ref();
        name.unwrap_or(&settings.hostname)
    }
}

impl Table {
    fn rules(&self) -> Result<VerifyRules, String> {
        if let Some(name) = self.authserv_id.as_ref().filter(|name| !is_host_name(name)) {
            return Err(format!(
                "authserv-id = {name:?}: it is the name of a host or of a site, such as mx.example"
            ));
        }
        let defaults = VerifyRules::default();
        let time_max = self.time_max.map_or(defaults.time_max, Span::get);
        if time_max > TIME_MAX {
            return Err(format!(
                "time-max = {time_max:?}: it is {TIME_MAX:?} at most, for clients wait no longer"
            ));
        }
        let at_once_max = self.at_once_max.map(NonZeroUsize::get);
        Ok(VerifyRules {
            dmarc_reject: self.dmarc_reject,
            null_mx_reject: self.null_mx_reject,
            time_max,
            at_once_max: at_once_max.unwrap_or(defaults.at_once_max),
        })
    }
}

/// Networks, of which none are another thing than nothing said.
fn some_written<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Network>>, D::Error> {
    all_written(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for VerifyOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let rules = table.rules();
        let rules = rules.map_err(|why| D::Error::custom(format!("{why} ([verify-senders])")))?;
        Ok(VerifyOptions { table, rules })
    }
}
