//! Mailboxes as SMTP writes them (RFC 5321 section 4.1.2, RFC 6531).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest local-part taken. RFC 5321 asks for at least 64 octets; variable
/// envelope return paths in real use are longer.
const LOCAL_PART_BYTES_MAX: usize = 256;
/// Longest domain, RFC 5321 section 4.5.3.1.2.
const DOMAIN_BYTES_MAX: usize = 255;

/// A valid mailbox, `local-part@domain`, kept exactly as it was written:
/// the case and the quoting of the local-part belong to its owner.
///
/// The one mailbox without a domain is `postmaster` (RFC 5321 section 4.5.1).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    text: Box<str>,
    /// Where the `@` between local-part and domain is.
    at: Option<usize>,
}

/// Why a text is not a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is nothing.
    #[error("the address is empty")]
    Empty,
    /// No `@`, and not `postmaster`.
    #[error("the address has no domain")]
    NoDomain,
    /// The part before the `@` is not a dot-string or a quoted string.
    #[error("the local-part is not valid")]
    LocalPart,
    /// The part behind the `@` is not a domain name or an address literal.
    #[error("the domain is not valid")]
    Domain,
    /// A part is longer than the limit.
    #[error("the address is too long")]
    TooLong,
}

impl Address {
    /// Reads a mailbox, without angle brackets.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.eq_ignore_ascii_case("postmaster") {
            return Ok(Address {
                text: text.into(),
                at: None,
            });
        }
        // A quoted local-part may hold an `@`; a domain never does.
        let at = text.rfind('@').ok_or(AddressError::NoDomain)?;
        let (local_part, domain) = (&text[..at], &text[at + 1..]);
        if local_part.len() > LOCAL_PART_BYTES_MAX || domain.len() > DOMAIN_BYTES_MAX {
            return Err(AddressError::TooLong);
        }
        if !is_dot_string(local_part) && !is_quoted_string(local_part) {
            return Err(AddressError::LocalPart);
        }
        if !is_domain(domain) && !is_address_literal(domain) {
            return Err(AddressError::Domain);
        }
        Ok(Address {
            text: text.into(),
            at: Some(at),
        })
    }

    /// The whole mailbox as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the `@`, with its quotes if it has any.
    pub fn local_part(&self) -> &str {
        self.at.map_or(&*self.text, |at| &self.text[..at])
    }

    /// The part behind the `@`; none for a bare `postmaster`.
    pub fn domain(&self) -> Option<&str> {
        self.at.map(|at| &self.text[at + 1..])
    }

    /// Whether it can be sent to a peer without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

/// `Atom *("." Atom)`; octets above ASCII as RFC 6531 section 3.3 allows.
fn is_dot_string(text: &str) -> bool {
    text.split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_text(c)
}

/// What RFC 6531 adds: anything beyond ASCII but control and invisible
/// line-breaking characters, which could forge a line in a log.
fn is_utf8_text(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && c != '\u{2028}' && c != '\u{2029}'
}

fn is_quoted_string(text: &str) -> bool {
    let inner = match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) if text.len() >= 2 => inner,
        _ => return false,
    };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let valid = match c {
            '\\' => matches!(chars.next(), Some(' '..='~')),
            '"' => false,
            ' '..='~' => true,
            c => is_utf8_text(c),
        };
        if !valid {
            return false;
        }
    }
    true
}

/// What may stand behind the `@` of a mailbox.
pub(super) fn is_mail_domain(text: &str) -> bool {
    is_domain(text) || is_address_literal(text)
}

/// Labels of letters, digits, hyphens and (met in practice) underscores. A
/// trailing dot is not part of a mailbox.
fn is_domain(text: &str) -> bool {
    text.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || is_utf8_text(c))
    })
}

/// `[192.0.2.1]`, `[IPv6:2001:db8::1]` (RFC 5321 section 4.1.3).
fn is_address_literal(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else {
        return false;
    };
    if inner.parse::<std::net::Ipv4Addr>().is_ok() {
        return true;
    }
    inner
        .get(..5)
        .filter(|tag| tag.eq_ignore_ascii_case("IPv6:"))
        .is_some_and(|_| inner[5..].parse::<std::net::Ipv6Addr>().is_ok())
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Address::parse(text)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Address::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.text.into()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

/// Where notices about a message go: a mailbox, or nowhere (`<>`), which a
/// notice itself carries so that no notice is ever sent about it
/// (RFC 5321 section 4.5.5).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum ReversePath {
    /// `<>`
    #[default]
    Null,
    /// `<mailbox>`
    Mailbox(Address),
}

impl ReversePath {
    /// Reads what stands between the angle brackets of MAIL FROM.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Ok(ReversePath::Null);
        }
        Address::parse(text).map(ReversePath::Mailbox)
    }

    /// Without angle brackets; empty for the null reverse-path.
    pub fn as_str(&self) -> &str {
        match self {
            ReversePath::Null => "",
            ReversePath::Mailbox(address) => address.as_str(),
        }
    }

    /// Whether it is `<>`.
    pub fn is_null(&self) -> bool {
        matches!(self, ReversePath::Null)
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Address> for ReversePath {
    fn from(address: Address) -> Self {
        ReversePath::Mailbox(address)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn valid_mailboxes_keep_their_writing() {
        for text in [
            "a@b",
            "User.Name+tag@Example.COM",
            "\"quoted @ \\\" local\"@example.com",
            "\"\"@example.com",
            "x@[192.0.2.1]",
            "x@[IPv6:2001:db8::1]",
            "PostMaster",
            "grå@exämple.org",
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.as_str(), text);
        }
        let address = Address::parse("\"a@b\"@c.d").unwrap();
        assert_eq!(address.local_part(), "\"a@b\"");
        assert_eq!(address.domain(), Some("c.d"));
        assert_eq!(Address::parse("postmaster").unwrap().domain(), None);
    }

    #[test]
    fn invalid_mailboxes_say_why() {
        for (text, why) in [
            ("", AddressError::Empty),
            ("nobody", AddressError::NoDomain),
            ("@b", AddressError::LocalPart),
            ("a..b@c", AddressError::LocalPart),
            ("a b@c", AddressError::LocalPart),
            ("a\r\nb@c", AddressError::LocalPart),
            ("\"a\0\"@c", AddressError::LocalPart),
            ("\"a\\\"@c", AddressError::LocalPart),
            ("\"@c", AddressError::LocalPart),
            ("a@", AddressError::Domain),
            ("a@b.", AddressError::Domain),
            ("a@-b", AddressError::Domain),
            ("a@b c", AddressError::Domain),
            ("a@b\r\n", AddressError::Domain),
            ("a@[1.2.3]", AddressError::Domain),
            ("a@[IPv6:zz]", AddressError::Domain),
        ] {
            assert_eq!(Address::parse(text), Err(why), "{text:?}");
        }
        let long = format!("{}@example.com", "a".repeat(257));
        assert_eq!(Address::parse(&long), Err(AddressError::TooLong));
    }

    /// Mailboxes as the grammar makes them.
    pub(in crate::message) fn any_mailbox() -> impl Strategy<Value = String> {
        let local = prop_oneof![
            "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~\u{e6}-]{1,20}(\\.[a-z0-9]{1,9}){0,3}",
            r#""([ !#-\[\]-~\u{e6}]|\\[ -~]){0,20}""#,
        ];
        let domain = prop_oneof![
            "[a-z0-9\u{e6}]{1,9}(\\.[a-zA-Z0-9]([a-z_-]{0,9}[a-z0-9])?){0,3}",
            any::<std::net::Ipv4Addr>().prop_map(|ip| format!("[{ip}]")),
            any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[IPv6:{ip}]")),
        ];
        (local, domain).prop_map(|(local, domain)| format!("{local}@{domain}"))
    }

    proptest! {
        #[test]
        fn every_mailbox_of_the_grammar_is_read_and_written_alike(text in any_mailbox()) {
            let address = Address::parse(&text).unwrap();
            prop_assert_eq!(address.to_string(), text.as_str());
            let parts = (address.local_part(), address.domain().unwrap());
            prop_assert_eq!(format!("{}@{}", parts.0, parts.1), text);
        }

        #[test]
        fn what_is_taken_ends_no_line_and_closes_no_bracket(
            text in prop_oneof![any::<String>(), "[a\"\\\\@.<>\\[\r\n\0 \u{85}\u{2028}-]{0,12}"],
        ) {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(address.as_str(), text);
                prop_assert!(!address.as_str().contains(|c: char| c.is_control()));
                let is_quoted = address.local_part().starts_with('"');
                prop_assert!(is_quoted || !address.as_str().contains(['<', '>', ' ']));
            }
        }
    }
}
