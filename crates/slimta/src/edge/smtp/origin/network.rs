//! Whose address it is.

use std::net::{IpAddr, Ipv6Addr};

/// The part of an IPv6 address that names its network. Its owner has all
/// addresses in there.
const NETWORK_MASK: u128 = !0 << 64;

/// What counts together with an address: an IPv4 address alone, an IPv6 address
/// with its network of 64 bits.
pub(in crate::edge::smtp) fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & NETWORK_MASK).into(),
    }
}
