//! Where clients connect, and what they may do there: the tables
//! `[listener.NAME]`, and `listen` and `listen-tls`, which are short for them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use slimta::edge::smtp::{AuthMode, RecipientsFile, Role, TlsMode};
use slimta_core::queue::DestinationPattern;

use super::domains::domains;
use super::written::{all_written, size_or_text};
use super::{EdgeAuth, EdgeSettings, EdgeTls, LISTEN_DEFAULT, Network, Options};
use crate::failure::Failure;
use crate::values;

/// The port where hosts hand mail to each other: no LMTP (RFC 2033 section 5).
pub(crate) const SMTP_PORT: u16 = 25;

const MAILBOXES_OF_NOTHING: &str =
    "it needs the domains that they are of: name them as accept-domains";

/// The tables `[listener.NAME]`.
pub(crate) type Listeners = BTreeMap<String, ListenerOptions>;

/// One of them. What it leaves out is as for all listeners.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ListenerOptions {
    /// Where it listens.
    #[serde(deserialize_with = "addresses")]
    address: Vec<SocketAddr>,
    /// What it takes mail for.
    role: RoleName,
    /// When its clients turn to TLS.
    tls: Option<TlsName>,
    /// Whether they may say who they are.
    auth: Option<bool>,
    /// Who need not.
    #[serde(deserialize_with = "some_networks")]
    permit: Option<Vec<Network>>,
    /// Largest message.
    #[serde(deserialize_with = "size_or_text")]
    message_bytes_max: Option<NonZeroUsize>,
    /// Most recipients of one message.
    recipients_max: Option<NonZeroUsize>,
    /// For which domains mail is taken from anybody.
    #[serde(deserialize_with = "some_domains")]
    accept_domains: Option<Vec<DestinationPattern>>,
    /// The mailboxes in them.
    recipients: Option<PathBuf>,
    /// Whose connections begin with a header that says whose they are.
    #[serde(deserialize_with = "all_written")]
    proxy_from: Vec<Network>,
}

/// A role as it is written.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "kebab-case")]
enum RoleName {
    #[default]
    Relay,
    Submission,
    Lmtp,
}

/// When clients turn to TLS, as it is written.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
enum TlsName {
    Off,
    Offered,
    Required,
    Implicit,
}

/// Where the options stand that a listener comes from. No two come from one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// `listen`
    Listen,
    /// `listen-tls`
    ListenTls,
    /// A table of that name.
    Table(String),
}

/// Where clients connect, and what holds there.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    /// Where it is said.
    pub(crate) origin: Origin,
    /// Which options its own table says, of those that others may say for it.
    own: Vec<&'static str>,
    /// One at least.
    pub(crate) addresses: Vec<SocketAddr>,
    /// What mail is taken for.
    pub(crate) role: Role,
    /// When clients turn to TLS; none if never.
    pub(crate) tls: Option<TlsMode>,
    /// Whether they may say who they are.
    pub(crate) has_auth: bool,
    /// Whose mail is taken whoever they are.
    pub(crate) permit: Vec<Network>,
    /// Largest message in bytes.
    pub(crate) message_bytes_max: usize,
    /// Most recipients of one message.
    pub(crate) recipients_max: usize,
    /// For which domains mail is taken from anybody.
    pub(crate) accept_domains: Vec<DestinationPattern>,
    /// The file of the mailboxes in them, if there is one and they are some.
    pub(crate) recipients: Option<PathBuf>,
    /// Whose connections begin with a header that says whose they are.
    pub(crate) proxy_from: Vec<Network>,
}

impl Listener {
    /// Whether `sendmail` on this host can hand mail in here.
    pub(crate) fn is_plain_smtp(&self) -> bool {
        let may_be_clear = matches!(self.tls, None | Some(TlsMode::Offered));
        self.role != Role::Lmtp && may_be_clear && self.proxy_from.is_empty()
    }

    /// The option that says something of it, which may stand in its table or not.
    pub(crate) fn key_of(&self, option: &str) -> String {
        match &self.origin {
            Origin::Table(name) if self.own.contains(&option) => key(name, option),
            _ => option.to_owned(),
        }
    }

    /// Reads the file of mailboxes, if it has one and they are of some domain.
    pub(crate) fn open_recipients(&self) -> Result<Option<RecipientsFile>, Failure> {
        let file = self.recipients.as_ref();
        let opened = file.filter(|_| !self.accept_domains.is_empty());
        let opened = opened.map(RecipientsFile::open).transpose();
        opened.map_err(|error| Failure::setting(self.key_of("recipients"), error))
    }

    /// Whether clients elsewhere can send a password before TLS, if one is taken there.
    pub(super) fn takes_passwords_in_clear(&self) -> bool {
        let may_be_clear = matches!(self.tls, None | Some(TlsMode::Offered));
        let is_reached = !self
            .addresses
            .iter()
            .all(|address| address.ip().is_loopback());
        self.has_auth && may_be_clear && is_reached
    }

    /// The same for all options but these.
    fn of(origin: Origin, addresses: Vec<SocketAddr>, edge: &EdgeSettings) -> Self {
        let tls = edge.tls.as_ref().map(EdgeTls::mode);
        Listener {
            origin,
            own: Vec::new(),
            addresses,
            role: Role::Relay,
            tls,
            has_auth: edge.auth.is_some(),
            permit: edge.permit.clone(),
            message_bytes_max: edge.message_bytes_max,
            recipients_max: edge.recipients_max,
            accept_domains: edge.accept_domains.clone(),
            recipients: edge.recipients.clone(),
            proxy_from: Vec::new(),
        }
    }

    /// What a table says, over what holds for all.
    fn of_table(name: &str, table: ListenerOptions, edge: &EdgeSettings) -> Result<Self, Failure> {
        let wrong = |option: &str, why: &str| Failure::setting(key(name, option), why);
        let mut own = Listener::of(Origin::Table(name.to_owned()), table.address, edge);
        own.own = [
            table.permit.as_ref().map(|_| "permit"),
            table.recipients.as_ref().map(|_| "recipients"),
            Some("proxy-from"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if own.addresses.is_empty() {
            return Err(Failure::setting(
                format!("listener.{name}"),
                "a listener needs an address, such as \"0.0.0.0:587\"",
            ));
        }
        own.role = table.role.into();
        if own.role == Role::Lmtp && own.addresses.iter().any(|at| at.port() == SMTP_PORT) {
            return Err(wrong(
                "role",
                "LMTP is never spoken on port 25 (RFC 2033 section 5)",
            ));
        }
        if let Some(tls) = table.tls {
            own.tls = tls.into();
        }
        if own.tls.is_some() && edge.tls.is_none() {
            return Err(wrong(
                "tls",
                "it needs a certificate: name its files as tls-certificate and tls-key",
            ));
        }
        own.has_auth = table.auth.unwrap_or(own.has_auth);
        if own.has_auth && edge.auth.is_none() {
            return Err(wrong(
                "auth",
                "it needs a file of users: name it as credentials",
            ));
        }
        let under_tls_only = edge.auth.as_ref().map(EdgeAuth::mode) == Some(AuthMode::UnderTls);
        if table.auth == Some(true) && own.tls.is_none() && under_tls_only {
            return Err(wrong(
                "auth",
                "it needs TLS, or nobody can use it: say tls, or take passwords in the clear \
                 by auth-in-clear = true",
            ));
        }
        own.permit = table.permit.unwrap_or(own.permit);
        let bytes_max = table.message_bytes_max.map(NonZeroUsize::get);
        own.message_bytes_max = bytes_max.unwrap_or(own.message_bytes_max);
        let recipients_max = table.recipients_max.map(NonZeroUsize::get);
        own.recipients_max = recipients_max.unwrap_or(own.recipients_max);
        own.proxy_from = table.proxy_from;
        own.accept_domains = table.accept_domains.unwrap_or(own.accept_domains);
        if table.recipients.is_some() && own.accept_domains.is_empty() {
            return Err(wrong("recipients", MAILBOXES_OF_NOTHING));
        }
        own.recipients = table.recipients.or_else(|| edge.recipients.clone());
        Ok(own)
    }
}

impl Origin {
    /// The option or the table.
    pub(super) fn key(&self) -> String {
        match self {
            Origin::Listen => "listen".to_owned(),
            Origin::ListenTls => "listen-tls".to_owned(),
            Origin::Table(name) => format!("listener.{name}"),
        }
    }

    /// The option that says where it listens.
    pub(super) fn address_key(&self) -> String {
        match self {
            Origin::Table(name) => key(name, "address"),
            flag => flag.key(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Listen => f.write_str("--listen"),
            Origin::ListenTls => f.write_str("--listen-tls"),
            Origin::Table(name) => write!(f, "[listener.{name}]"),
        }
    }
}

/// An option of the table of that name.
fn key(name: &str, option: &str) -> String {
    format!("listener.{name}.{option}")
}

impl Options {
    /// What is wrong with each table.
    pub(super) fn problems_of_listeners(&self) -> Vec<Failure> {
        // What is wrong with all of them is told by itself.
        let Ok(edge) = self.edge() else {
            return Vec::new();
        };
        let tables = self.listener.iter();
        let read = tables.map(|(name, table)| Listener::of_table(name, table.clone(), &edge));
        let wrong = read.filter_map(Result::err);
        wrong.chain(self.listeners(&edge).err()).collect()
    }

    /// All listeners, those of flags first.
    pub(super) fn listeners(&self, edge: &EdgeSettings) -> Result<Vec<Listener>, Failure> {
        let mut listeners = Vec::new();
        if !self.listen.is_empty() {
            let listen = self.listen.clone();
            listeners.push(Listener::of(Origin::Listen, listen, edge));
        }
        if !self.listen_tls.is_empty() {
            let listen = self.listen_tls.clone();
            let mut encrypted = Listener::of(Origin::ListenTls, listen, edge);
            encrypted.tls = Some(TlsMode::Implicit);
            listeners.push(encrypted);
        }
        for (name, table) in &self.listener {
            listeners.push(Listener::of_table(name, table.clone(), edge)?);
        }
        if listeners.is_empty() {
            let listen = vec![LISTEN_DEFAULT];
            listeners.push(Listener::of(Origin::Listen, listen, edge));
        }
        if edge.recipients.is_some() && listeners.iter().all(|l| l.accept_domains.is_empty()) {
            return Err(Failure::setting("recipients", MAILBOXES_OF_NOTHING));
        }
        Ok(listeners)
    }
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Relay => Role::Relay,
            RoleName::Submission => Role::Submission,
            RoleName::Lmtp => Role::Lmtp,
        }
    }
}

impl From<TlsName> for Option<TlsMode> {
    fn from(name: TlsName) -> Self {
        match name {
            TlsName::Off => None,
            TlsName::Offered => Some(TlsMode::Offered),
            TlsName::Required => Some(TlsMode::Required),
            TlsName::Implicit => Some(TlsMode::Implicit),
        }
    }
}

/// One address, or a list.
fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        Several(Vec<String>),
    }
    let texts = match Written::deserialize(deserializer)? {
        Written::One(text) => vec![text],
        Written::Several(texts) => texts,
    };
    let parsed = texts
        .iter()
        .map(|text| values::listen(text).map_err(D::Error::custom));
    parsed.collect()
}

/// A list that may be empty, and says so then.
fn some_networks<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Network>>, D::Error> {
    all_written(deserializer).map(Some)
}

/// The same for domains.
fn some_domains<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<DestinationPattern>>, D::Error> {
    domains(deserializer).map(Some)
}
