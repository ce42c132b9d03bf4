//! What the clients of one address may do, as options say it.

use std::num::NonZeroUsize;

use slimta::edge::smtp;
use slimta_core::queue::Rate;

use super::Options;
use super::destinations::RateOrNone;

/// The limits of an address that is not permitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PerAddress(smtp::Limits);

impl PerAddress {
    /// The edge's own defaults hold where nothing was said.
    pub(super) fn of(options: &Options) -> Self {
        let defaults = smtp::Limits::default();
        let or =
            |said: Option<RateOrNone>, default: Option<Rate>| said.map_or(default, RateOrNone::get);
        let connections_max = options.connections_per_address_max;
        let connection_rate = options.connection_rate_per_address;
        PerAddress(smtp::Limits {
            connections_per_address_max: connections_max
                .map_or(defaults.connections_per_address_max, NonZeroUsize::get),
            connection_rate_per_address: or(connection_rate, defaults.connection_rate_per_address),
            message_rate_per_address: or(options.message_rate_per_address, None),
            recipient_rate_per_address: or(options.recipient_rate_per_address, None),
            ..defaults
        })
    }

    /// These, and the edge's defaults for all that is not of an address.
    pub(crate) fn limits(self) -> smtp::Limits {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> smtp::Limits {
        let options: Options = toml::from_str(text).unwrap();
        PerAddress::of(&options).limits()
    }

    #[test]
    fn a_rate_can_be_another_or_none() {
        let defaults = smtp::Limits::default();
        assert_eq!(limits(""), defaults);
        let said = limits(
            "connections-per-address-max = 7\n\
             connection-rate-per-address = \"none\"\n\
             message-rate-per-address = \"9/h\"\n\
             recipient-rate-per-address = \"99/h\"\n",
        );
        let expected = smtp::Limits {
            connections_per_address_max: 7,
            connection_rate_per_address: None,
            message_rate_per_address: Some("9/h".parse().unwrap()),
            recipient_rate_per_address: Some("99/h".parse().unwrap()),
            ..defaults
        };
        assert_eq!(said, expected);
    }
}
