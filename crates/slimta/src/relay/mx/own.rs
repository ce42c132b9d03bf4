//! Which exchanger is this host itself, whatever its name (RFC 5321 section 5.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::super::smtp::Endpoint;

/// Where this host takes mail. Who is connected to there is this host.
#[derive(Clone, Default, Debug)]
pub(super) struct OwnAddresses(Vec<SocketAddr>);

impl OwnAddresses {
    pub(super) fn new(addresses: Vec<SocketAddr>) -> Self {
        OwnAddresses(addresses)
    }

    /// Whether a connection to `endpoint` would come in here.
    pub(super) fn contain(&self, endpoint: &Endpoint) -> bool {
        let Endpoint::Tcp(address) = endpoint else {
            return false;
        };
        let ip = address.ip().to_canonical();
        let mut here = self.0.iter();
        here.any(|own| {
            let is_alike = || own.is_ipv6() || ip.is_ipv4();
            own.port() == address.port()
                && match own.ip().to_canonical() {
                    any if any.is_unspecified() => is_alike() && is_of_this_host(ip),
                    own => own == ip,
                }
        })
    }
}

/// Whether the system sends what is for `ip` to itself: it chooses the address of its
/// end, which is the same then. Whether it lets us bind it says less, for some hosts
/// may bind what is not theirs. An address that stands beside another of its network
/// is not found out. Nothing is sent.
fn is_of_this_host(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let towards = || {
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((ip, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    ip.is_loopback() || ip.is_unspecified() || towards() == Some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contain(own: &str, address: &str) -> bool {
        let own = OwnAddresses::new(vec![own.parse().unwrap()]);
        own.contain(&Endpoint::Tcp(address.parse().unwrap()))
    }

    #[test]
    fn a_connection_comes_in_here_where_this_host_listens() {
        for (own, address) in [
            ("192.0.2.1:25", "192.0.2.1:25"),
            ("192.0.2.1:25", "[::ffff:192.0.2.1]:25"),
            ("[2001:db8::1]:25", "[2001:db8::1]:25"),
            ("0.0.0.0:25", "127.0.0.1:25"),
            ("[::]:25", "127.0.0.2:25"),
            ("[::]:25", "[::1]:25"),
        ] {
            assert!(contain(own, address), "{own} {address}");
        }
        for (own, address) in [
            ("192.0.2.1:587", "192.0.2.1:25"),
            ("192.0.2.1:25", "192.0.2.2:25"),
            ("0.0.0.0:25", "[::1]:25"),
            ("0.0.0.0:587", "127.0.0.1:25"),
            // Documents' own, which nobody has.
            ("0.0.0.0:25", "192.0.2.1:25"),
            ("[::]:25", "[2001:db8::1]:25"),
        ] {
            assert!(!contain(own, address), "{own} {address}");
        }
    }
}
