//! The local addresses from which next hops are connected to.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpSocket;

/// The addresses of this host from which connections to next hops are made, one
/// a family at most. The system chooses for a family that has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sources {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

/// Two source addresses are of one family.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the source addresses {0} and {1} are of one family: name one IPv4 address, one IPv6 address, or one of each"
)]
pub struct SourcesError(IpAddr, IpAddr);

impl Sources {
    /// All of `addresses`.
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Result<Self, SourcesError> {
        let mut sources = Sources::default();
        for address in addresses {
            let before = match address.to_canonical() {
                IpAddr::V4(v4) => sources.v4.replace(v4).map(IpAddr::V4),
                IpAddr::V6(v6) => sources.v6.replace(v6).map(IpAddr::V6),
            };
            if let Some(before) = before {
                return Err(SourcesError(before, address));
            }
        }
        Ok(sources)
    }

    /// Fails if this host does not have one of them.
    pub fn check(&self) -> io::Result<()> {
        let own = [self.v4.map(IpAddr::V4), self.v6.map(IpAddr::V6)];
        own.into_iter()
            .flatten()
            .try_for_each(|source| bound(source).map(drop))
    }

    /// From which of them `address` is connected to, if from a certain one.
    pub(super) fn towards(&self, address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(_) => self.v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }

    /// Under what connections from them are kept: never one for mail that is to
    /// come from elsewhere.
    pub(super) fn key(&self, next_hop: &str) -> String {
        match self {
            Sources { v4: None, v6: None } => next_hop.to_owned(),
            _ => format!("{next_hop} from {self}"),
        }
    }
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.v4, self.v6) {
            (None, None) => f.write_str("any"),
            (Some(v4), None) => v4.fmt(f),
            (None, Some(v6)) => v6.fmt(f),
            (Some(v4), Some(v6)) => write!(f, "{v4},{v6}"),
        }
    }
}

/// A socket at `source`, on any port. Its error names the address.
pub(super) fn bound(source: IpAddr) -> io::Result<TcpSocket> {
    let socket = match source {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    };
    let bind = |socket: TcpSocket| {
        socket.bind(SocketAddr::new(source, 0))?;
        Ok(socket)
    };
    socket.and_then(bind).map_err(|error| {
        io::Error::other(Unusable {
            source_address: source,
            error,
        })
    })
}

/// The source address of a connection could not be taken: this host's own
/// fault.
#[derive(Debug, thiserror::Error)]
#[error("the source address {source_address} cannot be used: {error}")]
pub(super) struct Unusable {
    source_address: IpAddr,
    error: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(addresses: &[&str]) -> Result<Sources, SourcesError> {
        Sources::new(addresses.iter().map(|address| address.parse().unwrap()))
    }

    #[test]
    fn each_family_has_its_own_source() {
        let both = sources(&["192.0.2.7", "2001:db8::7"]).unwrap();
        for (peer, source) in [("198.51.100.1", "192.0.2.7"), ("::1", "2001:db8::7")] {
            let towards = both.towards(peer.parse().unwrap());
            assert_eq!(towards, Some(source.parse().unwrap()));
        }
        let one = sources(&["192.0.2.7"]).unwrap();
        assert_eq!(one.towards("::1".parse().unwrap()), None);
    }

    #[test]
    fn two_of_one_family_are_refused() {
        for two in [["192.0.2.7", "192.0.2.8"], ["::1", "::2"]] {
            let error = sources(&two).unwrap_err().to_string();
            assert!(two.iter().all(|address| error.contains(address)), "{error}");
        }
        sources(&["::ffff:192.0.2.7", "192.0.2.7"]).unwrap_err();
    }

    #[test]
    fn connections_from_different_sources_are_kept_apart() {
        let sets: [&[&str]; 4] = [&[], &["192.0.2.7"], &["::1"], &["192.0.2.7", "::1"]];
        let keys = sets.map(|set| sources(set).unwrap().key("mx.example"));
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
    }

    #[tokio::test]
    async fn an_address_of_another_host_is_named() {
        sources(&["127.0.0.1"]).unwrap().check().unwrap();
        let error = sources(&["192.0.2.7"]).unwrap().check().unwrap_err();
        assert!(error.to_string().contains("192.0.2.7"), "{error}");
    }
}
