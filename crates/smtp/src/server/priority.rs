//! Which messages go first, as clients say it (RFC 6710).
//!
//! Of its nineteen priorities three are kept apart, those of the profile MIXER
//! (RFC 6710 appendix B, from X.400): urgent, normal and non-urgent mail.

use slimta_core::message::Priority;

use super::replies::{self, Reply};

/// The line of EHLO.
pub(super) const OFFER: &str = "250-MT-PRIORITY MIXER\r\n";

/// What MAIL says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Requested {
    /// -9 to 9.
    said: i8,
    /// Whether mail of this client may go before that of others.
    may_raise: bool,
}

impl Requested {
    /// Reads the value of MT-PRIORITY (RFC 6710 section 7).
    pub(super) fn parse(value: &str) -> Result<Self, Reply> {
        let digits = value.strip_prefix('-').unwrap_or(value);
        let is_negative = digits.len() < value.len();
        match digits.as_bytes() {
            [b'0'] if !is_negative => Ok(Requested::new(0)),
            [digit @ b'1'..=b'9'] => {
                let number = (digit - b'0').cast_signed();
                Ok(Requested::new(if is_negative { -number } else { number }))
            }
            _ => Err(replies::BAD_PARAMETER),
        }
    }

    fn new(said: i8) -> Self {
        Requested {
            said,
            may_raise: true,
        }
    }

    /// The same by a client that is not trusted: it may let its mail stand behind that
    /// of others, and no more (RFC 6710 section 4.1).
    pub(super) fn by_stranger(self) -> Self {
        Requested {
            may_raise: false,
            ..self
        }
    }

    /// What is made of it: the next higher one of the three, or else the highest
    /// (RFC 6710 section 5).
    pub(super) fn granted(self) -> Priority {
        match self.said {
            ..=-4 => Priority::Low,
            1.. if self.may_raise => Priority::High,
            -3.. => Priority::Normal,
        }
    }

    /// The reply to MAIL: it names the new priority if that is another
    /// (RFC 6710 section 4.1), for that is what next hops hear.
    pub(super) fn reply(self) -> Reply {
        match (self.said, self.granted()) {
            (-4, Priority::Low) | (0, Priority::Normal) | (4, Priority::High) => replies::SENDER_OK,
            (_, Priority::Low) => replies::NOW_LOW,
            (_, Priority::Normal) => replies::NOW_NORMAL,
            (_, Priority::High) => replies::NOW_HIGH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_priorities_become_three() {
        for (value, granted, reply) in [
            ("-9", Priority::Low, replies::NOW_LOW),
            ("-4", Priority::Low, replies::SENDER_OK),
            ("-5", Priority::Low, replies::NOW_LOW),
            ("-3", Priority::Normal, replies::NOW_NORMAL),
            ("-1", Priority::Normal, replies::NOW_NORMAL),
            ("0", Priority::Normal, replies::SENDER_OK),
            ("1", Priority::High, replies::NOW_HIGH),
            ("3", Priority::High, replies::NOW_HIGH),
            ("4", Priority::High, replies::SENDER_OK),
            ("9", Priority::High, replies::NOW_HIGH),
        ] {
            let requested = Requested::parse(value).unwrap();
            assert_eq!(
                (requested.granted(), requested.reply()),
                (granted, reply),
                "{value}"
            );
        }
        for (value, granted, reply) in [
            ("9", Priority::Normal, replies::NOW_NORMAL),
            ("1", Priority::Normal, replies::NOW_NORMAL),
            ("0", Priority::Normal, replies::SENDER_OK),
            ("-3", Priority::Normal, replies::NOW_NORMAL),
            ("-4", Priority::Low, replies::SENDER_OK),
        ] {
            let requested = Requested::parse(value).unwrap().by_stranger();
            assert_eq!((requested.granted(), requested.reply()), (granted, reply));
        }
        for value in [
            "", "-", "-0", "+1", "10", "-10", "01", "1.5", "high", "\u{661}",
        ] {
            assert_eq!(
                Requested::parse(value),
                Err(replies::BAD_PARAMETER),
                "{value}"
            );
        }
    }
}
