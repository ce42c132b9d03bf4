//! What relays ask of the DNS.

use std::net::IpAddr;

use async_trait::async_trait;

use super::Tlsa;

/// Looks names up.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// The MX records of a domain, in any order.
    async fn exchangers(&self, domain: &str) -> Result<Answer<Exchanger>, LookupError>;

    /// The addresses of a host, IPv4 and IPv6; those of a family in the order in
    /// which to try them.
    async fn addresses(&self, host: &str) -> Result<Answer<IpAddr>, LookupError>;

    /// The name that a host is an alias of (CNAME): the next on the way, not the last.
    /// Default: it is none.
    async fn alias(&self, _host: &str) -> Result<Answer<String>, LookupError> {
        Err(LookupError::NoRecords)
    }

    /// The TLSA records of the service at a TCP port of a host (RFC 6698 section
    /// 3). Default: there are none.
    async fn tlsa(&self, _host: &str, _port: u16) -> Result<Answer<Tlsa>, LookupError> {
        Err(LookupError::NoRecords)
    }
}

/// Records that the DNS gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer<T> {
    /// The records: one at least, unless somebody else made this.
    pub records: Vec<T>,
    /// The name that has them, without the last dot: another than was asked for
    /// if that is an alias (CNAME).
    pub name: String,
    /// Whether they are from who the name belongs to.
    pub origin: AnswerOrigin,
}

/// What is known of where an answer comes from (RFC 4033 section 5). One that is
/// not from who the name belongs to is none: its look-up has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerOrigin {
    /// DNSSEC proves that it is from who the name belongs to.
    Secure,
    /// The name is not signed, or nobody looked whether it is.
    Insecure,
}

/// An MX record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exchanger {
    /// The lower, the sooner it is tried.
    pub preference: u16,
    /// The name of the host, without the last dot; empty for the root, which
    /// says that the domain takes no mail (RFC 7505).
    pub host: String,
}

/// Why there are no records.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The DNS says that there is no such name.
    #[error("there is no such name")]
    NoSuchName,
    /// The name exists, but has no records of this kind.
    #[error("the name has no such records")]
    NoRecords,
    /// The DNS gave no answer, or one that proves nothing, as where the signatures of
    /// DNSSEC are bad or missing.
    #[error("the look-up failed: {0}")]
    Failed(String),
}
