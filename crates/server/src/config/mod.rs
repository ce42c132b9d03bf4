//! The server's settings: what can be set, by flag or in the file, and what
//! holds when nothing is said.
//!
//! Flags and keys of the file are one list, [`Options`]: a key is the name of
//! its flag. What is not set by either has the default that the flag's help
//! names. Everything is parsed here, at the door, before a port or the storage
//! is opened.

mod bounds;
mod destinations;
mod dkim;
mod dns;
mod document;
mod domains;
mod edge_auth;
mod edge_tls;
mod file;
mod flags;
mod forward;
mod kept;
mod layers;
mod listeners;
mod logging;
mod machine;
mod network;
mod notices;
mod options;
mod origins;
mod per_address;
mod problem;
mod problems;
mod reading;
mod reference;
mod relay_login;
mod risks;
mod settle;
mod socks5;
mod sources;
mod spam_scan;
mod span;
mod suggest;
mod tables;
mod tenants;
mod tls_policies;
mod verify_senders;
mod written;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use slimta::policy::AssignTenant;
use slimta::relay::{Keeping, Origins, Sources, TlsLevel};
use slimta_core::queue::{ByDestination, DestinationPattern, Limits, Schedule};

use crate::failure::Failure;

pub(crate) use dkim::Dkim;
use dns::Dns;
pub(crate) use dns::warn_if_useless;
pub(crate) use edge_auth::EdgeAuth;
pub(crate) use edge_tls::EdgeTls;
pub(crate) use flags::Flags;
use forward::ForwardRules;
pub(crate) use listeners::{Listener, Origin, SMTP_PORT};
pub(crate) use logging::{LogFormat, LogLevel};
pub(crate) use machine::machine_name;
pub(crate) use network::Network;
use notices::Notices;
pub(crate) use options::Options;
use per_address::PerAddress;
pub(crate) use reading::Reading;
pub(crate) use reference::reference;
pub(crate) use relay_login::RelayLogin;
pub(crate) use socks5::Proxy;
use spam_scan::SpamScanOptions;
pub(crate) use span::Span;
pub(crate) use tls_policies::{TlsKept, TlsPolicies};
use verify_senders::VerifyOptions;

/// Where mail is taken by default.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2525);
/// How mail is handed on by default: by the recipient's domain.
const RELAY_DEFAULT: &str = "mx";
/// What asks for no relay at all.
const RELAY_NONE: &str = "none";
/// Where mail is kept by default.
pub(crate) const STORAGE_DEFAULT: &str = "embedded:./slimta-data";
/// When senders are told that their mail is late by default.
const DELAY_NOTICE_DEFAULT: Duration = Duration::from_secs(4 * 3600);
const LOCK_DURATION_DEFAULT: Duration = Duration::from_secs(120);
/// Shorter ones would run out while a busy storage renews them.
const LOCK_DURATION_MIN: Duration = Duration::from_secs(1);
const MESSAGE_BYTES_MAX_DEFAULT: usize = 50 << 20;
const RECIPIENTS_MAX_DEFAULT: usize = 1000;
const CONNECTIONS_MAX_DEFAULT: usize = 1000;
/// How long a message may be held for its sender unless told otherwise.
const HOLD_TIME_MAX_DEFAULT: Duration = Duration::from_secs(30 * 86_400);
const ATTEMPTS_PER_DESTINATION_MAX_DEFAULT: usize = 20;
const MESSAGES_PER_CONNECTION_DEFAULT: u32 = 100;

/// Everything the server needs to know, complete and parsed.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where clients connect; one at least.
    pub(crate) listeners: Vec<Listener>,
    /// The URL of the relay; none to store only.
    pub(crate) relay: Option<String>,
    /// The URLs of the relays that some destinations have of their own.
    pub(crate) routes: Vec<(DestinationPattern, String)>,
    /// Who this host says it is to the server that the URL names.
    pub(crate) relay_login: Option<RelayLogin>,
    /// The same of relays that destinations have of their own.
    pub(crate) route_logins: BTreeMap<DestinationPattern, RelayLogin>,
    /// The URL of the storage.
    pub(crate) storage: String,
    /// Where the admin socket lies, if not in the directory of the storage.
    pub(crate) admin_socket: Option<PathBuf>,
    /// The name of this host in greetings, trace headers and notices.
    pub(crate) hostname: String,
    /// When what failed for now is tried again.
    pub(crate) retry: ByDestination<Schedule>,
    /// The age at which senders are told that their message is late, if they
    /// are.
    pub(crate) delay_notice: Option<Duration>,
    /// What they are told of failures.
    pub(crate) notices: Notices,
    /// Whether replies may move the next attempt.
    pub(crate) heed_replies: bool,
    /// How long a lease lasts unless it is renewed.
    pub(crate) lock_duration: Duration,
    /// What the edge grants its clients.
    pub(crate) edge: EdgeSettings,
    /// How many messages one connection to a next hop carries.
    pub(crate) messages_per_connection: ByDestination<u32>,
    /// How long such a connection is kept.
    pub(crate) keeping: Keeping,
    /// The local addresses that next hops are connected to from.
    pub(crate) sources: ByDestination<Sources>,
    /// All local addresses that options name, each with its option.
    pub(crate) sources_said: Vec<(String, Sources)>,
    /// What goes from elsewhere, and what this host calls itself.
    pub(crate) origins: Origins,
    /// Through which proxies they are connected to.
    pub(crate) proxies: ByDestination<Option<Proxy>>,
    /// How connections to next hops are encrypted.
    pub(crate) tls: ByDestination<TlsLevel>,
    /// The name servers that are asked.
    pub(crate) dns: Dns,
    /// The file of the roots that are trusted, if not those of the system.
    pub(crate) tls_roots: Option<PathBuf>,
    /// Whose policies on that are heeded.
    pub(crate) tls_policies: TlsPolicies,
    /// What names the tenant of a message, if something does.
    pub(crate) tenant: Option<AssignTenant>,
    /// How mail of strangers is verified, if it is.
    pub(crate) verify_senders: Option<VerifyOptions>,
    /// Which spam filter is asked, if one is.
    pub(crate) spam_scan: Option<SpamScanOptions>,
    /// Which recipients are rewritten.
    pub(crate) forward: ForwardRules,
    /// What signs for which domains.
    pub(crate) dkim: Dkim,
    /// The bounds of the queue.
    pub(crate) limits: Limits,
    /// How the log is written.
    pub(crate) log_format: LogFormat,
    /// What is worth a line.
    pub(crate) log_level: LogLevel,
}

/// What the edge grants its clients.
#[derive(Clone, Debug)]
pub(crate) struct EdgeSettings {
    /// Whose mail is taken, by address; never empty.
    pub(crate) permit: Vec<Network>,
    /// For which domains mail is taken from anybody.
    pub(crate) accept_domains: Vec<DestinationPattern>,
    /// The file of the mailboxes in them, if there is one.
    pub(crate) recipients: Option<PathBuf>,
    /// Largest message in bytes.
    pub(crate) message_bytes_max: usize,
    /// Most recipients of one message.
    pub(crate) recipients_max: usize,
    /// Most connections at the same time.
    pub(crate) connections_max: usize,
    /// What the clients of one address may do.
    pub(crate) per_address: PerAddress,
    /// Who may speak for others.
    pub(crate) xclient_from: Vec<Network>,
    /// How long a message may be held for its sender, if at all.
    pub(crate) hold_time_max: Option<Duration>,
    /// What it encrypts connections with; none to offer no TLS.
    pub(crate) tls: Option<EdgeTls>,
    /// Who may hand mail in from elsewhere; none to offer no AUTH.
    pub(crate) auth: Option<EdgeAuth>,
}

impl Settings {
    /// From the flags, and from the file that they name, if they name one:
    /// flags win. The files that they name are not looked at.
    pub(crate) fn read(flags: impl Into<Flags>) -> Result<Self, Failure> {
        let mut reading = Reading::begin(flags.into())?;
        let settings = reading.settings();
        reading.verdict()?;
        settings.ok_or_else(|| Failure::Config("the configuration cannot be used".to_owned()))
    }
}

/// Which storage is meant, and where its server can be asked.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The URL of the storage.
    pub(crate) storage: String,
    /// The admin socket, if it is not in the directory of the storage.
    pub(crate) admin_socket: Option<PathBuf>,
    /// The name of this host in notices.
    pub(crate) hostname: String,
    /// What senders are told of failures.
    pub(crate) notices: Notices,
    /// What signs it.
    pub(crate) dkim: Dkim,
}

/// What commands beside the server need of its settings.
pub(crate) fn place(flags: Options) -> Result<Place, Failure> {
    let settings = Settings::read(flags)?;
    Ok(Place {
        storage: settings.storage,
        admin_socket: settings.admin_socket,
        hostname: settings.hostname,
        notices: settings.notices,
        dkim: settings.dkim,
    })
}

/// Reads the text of a configuration file, for the fuzzer.
pub(crate) fn understand(text: &str) -> Result<(), String> {
    let mut reading = Reading::of_text(Flags::default(), "the file".to_owned(), text.to_owned());
    reading.settings();
    let verdict = reading.verdict();
    verdict.map_err(|failure| failure.to_string())
}
