//! What the clients of one address, or of one user, may do, as options say it.

use std::num::NonZeroUsize;
use std::time::Duration;

use slimta::edge::smtp;
use slimta_core::queue::Rate;

use super::Options;
use super::destinations::RateOrNone;
use super::span::SpanOrNone;
use crate::failure::Failure;

/// Hosts give up after five minutes (RFC 5321 section 4.5.3.2.1).
const GREETING_WAIT_MAX: Duration = Duration::from_secs(60);

/// The limits of an address that is not permitted, and of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PerAddress(smtp::Limits);

impl PerAddress {
    /// The edge's own defaults hold where nothing was said.
    pub(super) fn of(options: &Options) -> Result<Self, Failure> {
        let defaults = smtp::Limits::default();
        let or =
            |said: Option<RateOrNone>, default: Option<Rate>| said.map_or(default, RateOrNone::get);
        let connections_max = options.connections_per_address_max;
        let connection_rate = options.connection_rate_per_address;
        let greeting_wait = options.greeting_wait.and_then(SpanOrNone::get);
        if let Some(wait) = greeting_wait.filter(|wait| *wait > GREETING_WAIT_MAX) {
            let why = format!("{wait:?} is longer than many hosts wait: give 1m or less");
            return Err(Failure::setting("greeting-wait", why));
        }
        Ok(PerAddress(smtp::Limits {
            connections_per_address_max: connections_max
                .map_or(defaults.connections_per_address_max, NonZeroUsize::get),
            connection_rate_per_address: or(connection_rate, defaults.connection_rate_per_address),
            greeting_wait,
            message_rate_per_address: or(options.message_rate_per_address, None),
            recipient_rate_per_address: or(options.recipient_rate_per_address, None),
            message_rate_per_user: or(options.message_rate_per_user, None),
            recipient_rate_per_user: or(options.recipient_rate_per_user, None),
            ..defaults
        }))
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
        PerAddress::of(&options).unwrap().limits()
    }

    #[test]
    fn a_rate_can_be_another_or_none() {
        let defaults = smtp::Limits::default();
        assert_eq!(limits(""), defaults);
        let said = limits(
            "connections-per-address-max = 7\n\
             connection-rate-per-address = \"none\"\n\
             greeting-wait = \"6s\"\n\
             message-rate-per-address = \"9/h\"\n\
             recipient-rate-per-address = \"99/h\"\n\
             message-rate-per-user = \"8/h\"\n\
             recipient-rate-per-user = \"88/h\"\n",
        );
        let expected = smtp::Limits {
            connections_per_address_max: 7,
            connection_rate_per_address: None,
            greeting_wait: Some(Duration::from_secs(6)),
            message_rate_per_address: Some("9/h".parse().unwrap()),
            recipient_rate_per_address: Some("99/h".parse().unwrap()),
            message_rate_per_user: Some("8/h".parse().unwrap()),
            recipient_rate_per_user: Some("88/h".parse().unwrap()),
            ..defaults
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn no_host_waits_for_its_greeting_for_ever() {
        let options: Options = toml::from_str("greeting-wait = \"61s\"\n").unwrap();
        let refused = PerAddress::of(&options).unwrap_err().to_string();
        assert!(refused.contains("greeting-wait"), "{refused}");
    }
}
