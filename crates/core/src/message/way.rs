//! Another way for mail that waits, as an operator names it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::address::is_mail_domain;
use super::{
    Destination, LmtpAddress, LmtpAddressError, LmtpPlace, NextHop, Past, PastKind, Response,
    StoredMessage,
};
use crate::world::Timestamp;

/// The port of SMTP between servers (RFC 5321 section 4.5.4.2).
pub(super) const SMTP_PORT: u16 = 25;
/// The port of SMTP that begins with TLS (RFC 8314 section 7.3).
const SMTPS_PORT: u16 = 465;
/// Longest name of a destination that is taken.
const NAME_BYTES_MAX: usize = 255;

/// A next hop by the name that `slimta queue list` shows: a domain or an address
/// in brackets, to which mail goes as all mail for it does; or `smtp://HOST:PORT`,
/// `smtps://HOST:PORT`, `lmtp://HOST:PORT` or `lmtp:/SOCKET`, which is connected to,
/// whatever the relay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Way {
    destination: Destination,
    fixed: Option<NextHop>,
}

/// A text names no next hop. What may hold a password is not repeated.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WayError {
    /// It is neither a domain nor a URL.
    #[error(
        "\"{0}\" is no next hop: name a domain such as example.org, an address such as [192.0.2.1], or a smarthost such as smtp://192.0.2.1:25"
    )]
    Unknown(String),
    /// An address that lacks its brackets.
    #[error("\"{0}\" is an address: write it as {1}, or name a smarthost, smtp://HOST:PORT")]
    Bare(IpAddr, String),
    /// A URL with a user or a password, which would be stored and shown.
    #[error(
        "a next hop is named without a user or a password: smtp://HOST:PORT; what stands before the \"@\" would be stored and shown"
    )]
    Secret,
    /// What follows `smtp://` or `smtps://` is not a host and a port.
    #[error("\"{0}\" lacks its host and port, as in smtp://192.0.2.1:25")]
    NoHost(String),
    /// What follows `lmtp:` names no server.
    #[error("\"{0}\" is no next hop: {1}")]
    Lmtp(String, LmtpAddressError),
    /// Longer than any domain.
    #[error("the name of a next hop has at most {NAME_BYTES_MAX} bytes")]
    Long,
}

impl Way {
    /// Sends a message this way, at once unless its sender asked for a later time,
    /// and writes that into its story. False if that is its way already. Its
    /// recipients and its tenant stay.
    pub(crate) fn give(&self, message: &mut StoredMessage, now: Timestamp) -> bool {
        if self.is_of(message) {
            return false;
        }
        let told = format!("from {} to {self}", message.destination.next_hop());
        let told = Response::new(250, None, told);
        let waiting = message.envelope.recipients.len();
        let past = Past::new(message, PastKind::Rerouted, waiting, (&told, None), now);
        message.history = message.history_with(past);
        message.destination = match message.destination.tenant() {
            Some(tenant) => self.destination.of_tenant(&tenant),
            None => self.destination.clone(),
        };
        message.envelope.next_hop.clone_from(&self.fixed);
        if !message.waits_for_release() {
            message.due = now;
        }
        true
    }

    /// Whether a message goes this way already.
    pub fn is_of(&self, message: &StoredMessage) -> bool {
        message.destination.next_hop() == self.destination.as_str()
            && message.envelope.next_hop == self.fixed
    }

    /// What its mail is grouped by, unless it is a tenant's.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }
}

impl FromStr for Way {
    type Err = WayError;

    fn from_str(text: &str) -> Result<Self, WayError> {
        if text.contains('@') {
            return Err(WayError::Secret);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(WayError::Long);
        }
        if let Some(fixed) = smarthost(text) {
            return Ok(Way {
                destination: Destination::new(text),
                fixed: Some(fixed?),
            });
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            let tag = if ip.is_ipv6() { "IPv6:" } else { "" };
            return Err(WayError::Bare(ip, format!("[{tag}{ip}]")));
        }
        let domain = text.to_lowercase();
        if !is_mail_domain(&domain) {
            return Err(WayError::Unknown(text.to_owned()));
        }
        Ok(Way {
            destination: Destination::new(domain),
            fixed: None,
        })
    }
}

/// The server that a URL names, if it names one.
fn smarthost(text: &str) -> Option<Result<NextHop, WayError>> {
    if text.starts_with("lmtp:") {
        let address = text.parse().map(LmtpAddress::into_place);
        let wrong = |error| WayError::Lmtp(text.to_owned(), error);
        return Some(address.map(lmtp).map_err(wrong));
    }
    let schemes = [("smtp", SMTP_PORT), ("smtps", SMTPS_PORT)];
    let (scheme, authority) = text.split_once("://")?;
    let (_, default_port) = schemes.into_iter().find(|(known, _)| *known == scheme)?;
    let found = host_and_port(authority, default_port);
    let found = found.map(|(host, port)| NextHop {
        // As mail was rerouted before there were others.
        relayer: (scheme != "smtp").then(|| scheme.to_owned()),
        host: Some(host),
        port: Some(port),
    });
    Some(found.ok_or_else(|| WayError::NoHost(text.to_owned())))
}

fn lmtp(place: LmtpPlace) -> NextHop {
    let (host, port) = match place {
        LmtpPlace::Tcp { host, port } => (host, Some(port)),
        LmtpPlace::Unix(path) => (path.display().to_string(), None),
    };
    NextHop {
        relayer: Some("lmtp".to_owned()),
        host: Some(host),
        port,
    }
}

impl TryFrom<String> for Way {
    type Error = WayError;

    fn try_from(text: String) -> Result<Self, WayError> {
        text.parse()
    }
}

impl From<Way> for String {
    fn from(way: Way) -> String {
        way.destination.into()
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.destination.fmt(f)
    }
}

/// What follows `smtp://` and its like: `host`, `host:port`, `[2001:db8::1]`,
/// `[2001:db8::1]:port`. If the port is left out it is `default_port`.
pub fn host_and_port(authority: &str, default_port: u16) -> Option<(String, u16)> {
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => {
            let at = authority.find(':').unwrap_or(authority.len());
            authority.split_at(at)
        }
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None if port.is_empty() => default_port,
        None => return None,
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let valid = !host.is_empty() && host.chars().all(is_name);
    valid.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_a_domain_an_address_or_a_smarthost() {
        let way = |text: &str| text.parse::<Way>().unwrap();
        for name in ["example.org", "[192.0.2.1]", "[ipv6:2001:db8::1]"] {
            let way = way(name);
            assert_eq!((way.destination.as_str(), &way.fixed), (name, &None));
        }
        assert_eq!(way("Example.ORG").to_string(), "example.org");
        let smarthost = way("smtp://[2001:db8::1]:2525");
        assert_eq!(smarthost.to_string(), "smtp://[2001:db8::1]:2525");
        let fixed = smarthost.fixed.unwrap();
        assert_eq!(fixed.host.as_deref(), Some("2001:db8::1"));
        assert_eq!(fixed.port, Some(2525));
    }

    #[test]
    fn a_smarthost_says_how_it_is_talked_to() {
        let fixed = |text: &str| {
            let way: Way = text.parse().unwrap();
            assert_eq!(way.to_string(), text);
            let fixed = way.fixed.unwrap();
            (fixed.relayer, fixed.host.unwrap(), fixed.port)
        };
        let lmtp = || Some("lmtp".to_owned());
        let expected = (None, "mx.example".to_owned(), Some(25));
        assert_eq!(fixed("smtp://mx.example"), expected);
        let expected = (Some("smtps".to_owned()), "mx.example".to_owned(), Some(465));
        assert_eq!(fixed("smtps://mx.example"), expected);
        let expected = (lmtp(), "::1".to_owned(), Some(24));
        assert_eq!(fixed("lmtp://[::1]:24"), expected);
        let expected = (lmtp(), "/run/dovecot/lmtp".to_owned(), None);
        assert_eq!(fixed("lmtp:/run/dovecot/lmtp"), expected);
    }

    #[test]
    fn what_is_no_way_is_told_what_is_wrong() {
        let error = |text: &str| text.parse::<Way>().unwrap_err().to_string();
        for text in ["", "a b", "a..b", "mx:", "maildir:x", "example.org#acme"] {
            assert!(error(text).contains("name a domain"), "{text}");
        }
        assert!(error("192.0.2.1").contains("[192.0.2.1]"));
        assert!(error("2001:db8::1").contains("[IPv6:2001:db8::1]"));
        assert!(error("smtp://:25").contains("host and port"));
        assert!(error("smtp://a:0").contains("host and port"));
        assert!(error("smtps://").contains("host and port"));
        assert!(error("lmtp://a").contains("host and port"));
        assert!(error("lmtp:socket").contains("whole path"));
        assert!(error("lmtp://a:25").contains("RFC 2033"));
        assert!(error("http://a").contains("name a domain"));
        assert!(error(&"a.".repeat(200)).contains("at most"));
        for secret in ["smtp://user:hunter2@relay.example:25", "u:hunter2@relay"] {
            let error = error(secret);
            assert!(error.contains("password") && !error.contains("hunter2"));
        }
    }
}
