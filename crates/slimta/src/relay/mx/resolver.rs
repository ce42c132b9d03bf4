//! What the relay asks of the DNS.

use std::net::IpAddr;

use async_trait::async_trait;

/// Looks names up.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// The MX records of a domain, in any order.
    async fn exchangers(&self, domain: &str) -> Result<Vec<Exchanger>, LookupError>;

    /// The addresses of a host, IPv4 and IPv6; those of a family in the order in
    /// which to try them.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError>;
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
    /// The DNS gave no answer, or one that proves nothing.
    #[error("the look-up failed: {0}")]
    Failed(String),
}
