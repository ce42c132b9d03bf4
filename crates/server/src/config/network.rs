//! A network of IP addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: an address and how many of its leading bits count, written
/// `192.0.2.0/24` or `2001:db8::/32`; a bare address is a network of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// Whether it is the whole Internet.
    pub(super) fn is_everybody(&self) -> bool {
        self.prefix_bits == 0
    }

    /// Whether `address` lies in it. IPv4 addresses that come mapped into
    /// IPv6, as on a socket that takes both, count as IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.prefix_bits);
                (own.to_bits() ^ other.to_bits())
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.prefix_bits);
                (own.to_bits() ^ other.to_bits())
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

/// The machine itself.
pub(super) fn loopback() -> Vec<Network> {
    vec![
        Network {
            address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
            prefix_bits: 8,
        },
        Network {
            address: IpAddr::V6(Ipv6Addr::LOCALHOST),
            prefix_bits: 128,
        },
    ]
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is not a network, such as 192.0.2.0/24, 2001:db8::/32 or 192.0.2.7")
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix_bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| wrong())?,
            None => prefix_bits_max,
        };
        (prefix_bits <= prefix_bits_max)
            .then_some(Network {
                address,
                prefix_bits,
            })
            .ok_or_else(wrong)
    }
}
