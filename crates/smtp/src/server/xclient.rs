//! XCLIENT: a proxy in front of the server says whom it speaks for (Postfix's
//! XCLIENT_README). Who it is from then on decides what it may do, so only those
//! may say it whom the driver trusts.

use std::net::{IpAddr, Ipv6Addr};

use slimta_core::message::Response;

use super::Step;
use super::credentials::name;
use super::dispatch::Outcome;
use super::replies;
use super::session::{Session, State};
use crate::xtext;

/// What EHLO says to a proxy.
pub(super) const OFFER: &str = "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n";

/// How a proxy says that something is not known, for good or for now.
const UNKNOWN: [&str; 2] = ["[UNAVAILABLE]", "[TEMPUNAVAIL]"];

/// Longest name of a host, RFC 5321 section 4.5.3.1.2.
const NAME_BYTES_MAX: usize = 255;

/// What a proxy says of its client in one command.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct XClient {
    /// Its name by reverse look-up.
    pub name: Fact<String>,
    /// Its address.
    pub addr: Fact<IpAddr>,
    /// Its port.
    pub port: Fact<u16>,
    /// The name it gave with EHLO or HELO.
    pub helo: Fact<String>,
    /// Whether it said EHLO.
    pub is_extended: Fact<bool>,
    /// Who it has authenticated as.
    pub login: Fact<String>,
    /// The address that it connected to.
    pub destaddr: Fact<IpAddr>,
    /// The port that it connected to.
    pub destport: Fact<u16>,
}

/// What is said of one matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Fact<T> {
    /// Nothing: it is as it was.
    #[default]
    Untold,
    /// That it is not known.
    Unknown,
    /// This.
    Known(T),
}

impl<T> Fact<T> {
    fn read(value: &str, known: impl FnOnce(&str) -> Option<T>) -> Option<Self> {
        let mut words = UNKNOWN.iter();
        match words.any(|word| value.eq_ignore_ascii_case(word)) {
            true => Some(Fact::Unknown),
            false => known(value).map(Fact::Known),
        }
    }

    /// What is known after it was told.
    fn tell(self, known: &mut Option<T>) {
        match self {
            Fact::Untold => {}
            Fact::Unknown => *known = None,
            Fact::Known(fact) => *known = Some(fact),
        }
    }
}

impl XClient {
    fn parse(argument: &[u8]) -> Option<Self> {
        let argument = str::from_utf8(argument).ok()?;
        let mut told = XClient::default();
        for word in argument.split(' ').filter(|word| !word.is_empty()) {
            let (attribute, value) = word.split_once('=')?;
            let value = xtext::decode(value)?;
            match attribute.to_ascii_uppercase().as_str() {
                "NAME" => told.name = Fact::read(&value, host)?,
                "ADDR" => told.addr = Fact::read(&value, address)?,
                "PORT" => told.port = Fact::read(&value, port)?,
                "HELO" => told.helo = Fact::read(&value, host)?,
                "PROTO" => told.is_extended = Fact::read(&value, is_extended)?,
                "LOGIN" => told.login = Fact::read(&value, user)?,
                "DESTADDR" => told.destaddr = Fact::read(&value, address)?,
                "DESTPORT" => told.destport = Fact::read(&value, port)?,
                _ => return None,
            }
        }
        (told != XClient::default()).then_some(told)
    }
}

fn host(value: &str) -> Option<String> {
    let is_name = value.bytes().all(|b| b.is_ascii_graphic());
    (is_name && (1..=NAME_BYTES_MAX).contains(&value.len())).then(|| value.to_owned())
}

/// An address as Postfix writes it: IPv6 with a word before it.
fn address(value: &str) -> Option<IpAddr> {
    match value.split_at_checked("IPV6:".len()) {
        Some((word, ip)) if word.eq_ignore_ascii_case("IPV6:") => ip
            .parse::<Ipv6Addr>()
            .ok()
            .map(|ip| IpAddr::V6(ip).to_canonical()),
        _ => value.parse().ok().filter(IpAddr::is_ipv4),
    }
}

fn port(value: &str) -> Option<u16> {
    let is_number = value.bytes().all(|b| b.is_ascii_digit());
    value.parse().ok().filter(|_| is_number)
}

fn is_extended(value: &str) -> Option<bool> {
    match value.to_ascii_uppercase().as_str() {
        "SMTP" => Some(false),
        "ESMTP" => Some(true),
        _ => None,
    }
}

fn user(value: &str) -> Option<String> {
    name(value.as_bytes()).map(str::to_owned)
}

/// What is known of a client that a proxy speaks for.
#[derive(Debug, Default)]
pub(super) struct Behind {
    pub(super) name: Option<String>,
    pub(super) helo: Option<String>,
    pub(super) is_extended: Option<bool>,
    login: Option<String>,
}

impl Session {
    /// Says whether the client may be a proxy that speaks for others. Default:
    /// it may not, and XCLIENT is answered 550 5.7.0.
    #[must_use]
    pub fn with_xclient(mut self, may_be_proxy: bool) -> Self {
        self.may_be_proxy = may_be_proxy;
        self
    }

    pub(super) fn xclient(&mut self, argument: &[u8]) -> Outcome {
        if !self.may_be_proxy {
            return Err(replies::NO_PROXY);
        }
        if self.transaction.is_some() {
            return Err(replies::NO_AUTH_IN_MAIL);
        }
        let told = XClient::parse(argument).ok_or(replies::BAD_ARGUMENT)?;
        self.state = State::XClient(Box::new(told.clone()));
        Ok(Some(Step::XClient(Box::new(told))))
    }

    /// Believes what a proxy says. The session is at its beginning then: the
    /// driver greets the client, who may use MT-PRIORITY and hand in mail without
    /// saying who it is only if `is_permitted`.
    pub fn accept_xclient(&mut self, is_permitted: bool) {
        if !matches!(self.state, State::XClient(_)) {
            return;
        }
        let State::XClient(told) = std::mem::replace(&mut self.state, State::Command) else {
            return;
        };
        let behind = self.behind.get_or_insert_default();
        told.name.tell(&mut behind.name);
        told.helo.tell(&mut behind.helo);
        told.is_extended.tell(&mut behind.is_extended);
        told.login.tell(&mut behind.login);
        // Whoever authenticated here was another.
        self.user = behind.login.as_deref().map(Into::into);
        self.hello = None;
        self.has_priorities = is_permitted;
    }

    /// Refuses to believe it.
    pub fn refuse_xclient(&mut self, response: &Response) {
        if matches!(self.state, State::XClient(_)) {
            self.state = State::Command;
            self.refuse_with(response);
        }
    }
}
