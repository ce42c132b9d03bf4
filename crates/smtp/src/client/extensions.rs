//! What a server offers in its answer to EHLO (RFC 5321 section 4.1.1.1).

use std::num::NonZeroU32;

use slimta_core::message::Response;

/// Most digits of a limit (RFC 9422 section 4).
const LIMIT_DIGITS_MAX: usize = 6;

/// The extensions that the client end makes use of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extensions {
    /// The session may be encrypted (RFC 3207).
    pub starttls: bool,
    /// A client may say who it is by PLAIN (RFC 4954, RFC 4616).
    pub auth_plain: bool,
    /// The same by LOGIN.
    pub auth_login: bool,
    /// Commands may be sent in batches (RFC 2920).
    pub pipelining: bool,
    /// Octets above 127 in the body (RFC 6152).
    pub eight_bit_mime: bool,
    /// Contents in chunks of a given length (RFC 3030 section 2).
    pub chunking: bool,
    /// Any octets in the body, in chunks (RFC 3030 section 3).
    pub binary_mime: bool,
    /// UTF-8 in addresses and headers (RFC 6531).
    pub smtputf8: bool,
    /// Delivery status notifications (RFC 3461).
    pub dsn: bool,
    /// MAIL may say which messages go first (RFC 6710).
    pub mt_priority: bool,
    /// MAIL may say by when a message is to be delivered (RFC 2852).
    pub deliver_by: bool,
    /// The least time, in seconds, within which the server takes mail that goes back
    /// if it is late.
    pub deliver_by_min: Option<u32>,
    /// MAIL may require TLS on all of the way (RFC 8689).
    pub require_tls: bool,
    /// Most recipients of a transaction, if the server names a number (RFC 9422).
    pub recipients_max: Option<NonZeroU32>,
    /// Most transactions of a connection, if the server names a number (RFC 9422).
    pub transactions_max: Option<NonZeroU32>,
    /// Most domains of recipients in a connection, if the server names a number
    /// (RFC 9422).
    pub recipient_domains_max: Option<NonZeroU32>,
    /// MAIL may name the size of the message (RFC 1870).
    pub size: bool,
    /// The largest message in bytes, if the server names one.
    pub size_max: Option<u64>,
}

impl Extensions {
    /// Reads the lines behind the greeting.
    pub(super) fn read(response: &Response) -> Self {
        let mut extensions = Extensions::default();
        for line in response.text.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "STARTTLS" => extensions.starttls = true,
                "PIPELINING" => extensions.pipelining = true,
                "8BITMIME" => extensions.eight_bit_mime = true,
                "CHUNKING" => extensions.chunking = true,
                "BINARYMIME" => extensions.binary_mime = true,
                "SMTPUTF8" => extensions.smtputf8 = true,
                "DSN" => extensions.dsn = true,
                "MT-PRIORITY" => extensions.mt_priority = true,
                "REQUIRETLS" => extensions.require_tls = true,
                "LIMITS" => extensions.read_limits(words),
                "DELIVERBY" => {
                    extensions.deliver_by = true;
                    // Something may follow it (RFC 2852 section 2).
                    let least = words.next().and_then(|word| word.split(',').next());
                    extensions.deliver_by_min = least.and_then(|least| least.parse().ok());
                }
                "SIZE" => {
                    extensions.size = true;
                    // Zero says that there is no fixed limit.
                    let named = words.next().and_then(|word| word.parse().ok());
                    extensions.size_max = named.filter(|size| *size > 0);
                }
                "AUTH" => extensions.add_mechanisms(words),
                _ => {
                    // As clients of old want it.
                    if let Some(first) = keyword.strip_prefix("AUTH=") {
                        extensions.add_mechanisms(std::iter::once(first).chain(words));
                    }
                }
            }
        }
        extensions
    }

    /// Whether it takes bodies of any octets: one extension is nothing without the
    /// other (RFC 3030 section 3).
    pub fn takes_binary(&self) -> bool {
        self.chunking && self.binary_mime
    }

    fn add_mechanisms<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            self.auth_plain |= name.eq_ignore_ascii_case("PLAIN");
            self.auth_login |= name.eq_ignore_ascii_case("LOGIN");
        }
    }

    /// Limits that are not known, or make no sense, are none (RFC 9422 section 4).
    fn read_limits<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        for (name, number) in words.filter_map(|word| word.split_once('=')) {
            let is_number = number.len() <= LIMIT_DIGITS_MAX;
            let is_number = is_number && number.bytes().all(|b| b.is_ascii_digit());
            let number = is_number.then(|| number.parse().ok()).flatten();
            match name.to_ascii_uppercase().as_str() {
                "RCPTMAX" => self.recipients_max = number,
                "MAILMAX" => self.transactions_max = number,
                "RCPTDOMAINMAX" => self.recipient_domains_max = number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_read_in_any_case_and_with_any_parameters() {
        let text = "mx.example greets you\npipelining\nSIZE 1000 x\nX-ODD a b\nDeliverBy 60\nDSN\nStartTLS\nMT-Priority MIXER\n\nSMTPUTF8";
        let read = Extensions::read(&Response::new(250, None, text));
        let expected = Extensions {
            starttls: true,
            pipelining: true,
            smtputf8: true,
            dsn: true,
            mt_priority: true,
            deliver_by: true,
            deliver_by_min: Some(60),
            size: true,
            size_max: Some(1000),
            ..Extensions::default()
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn mechanisms_are_read_in_both_forms() {
        for (line, plain, login) in [
            ("AUTH PLAIN", true, false),
            ("auth cram-md5 login", false, true),
            ("AUTH=LOGIN PLAIN", true, true),
            ("AUTH", false, false),
            ("AUTHPLAIN", false, false),
            ("X PLAIN", false, false),
        ] {
            let text = format!("mx.example\n{line}");
            let read = Extensions::read(&Response::new(250, None, text));
            assert_eq!((read.auth_plain, read.auth_login), (plain, login), "{line}");
        }
    }

    #[test]
    fn the_greeting_offers_nothing_and_no_number_is_no_limit() {
        let of = |text| Extensions::read(&Response::new(250, None, text));
        assert_eq!(of("PIPELINING"), Extensions::default());
        assert_eq!(of("x\nSIZE 0").size_max, None);
        for (said, least) in [("60,x,y", Some(60)), (",x", None), ("x", None)] {
            let text = format!("x\nDELIVERBY {said}");
            let read = Extensions::read(&Response::new(250, None, text));
            assert!(read.deliver_by);
            assert_eq!(read.deliver_by_min, least, "{said}");
        }
        let limits = of("x\nLimits RcptMax=20 MAILMAX=0 RCPTDOMAINMAX=x MAILMAX");
        assert_eq!(limits.recipients_max, NonZeroU32::new(20));
        assert_eq!(limits.transactions_max, None);
        assert_eq!(limits.recipient_domains_max, None);
        let limits = of("x\nLIMITS RCPTMAX=1000000 MAILMAX=+5 RCPTDOMAINMAX=1 X=1 Y");
        assert_eq!(
            (limits.recipients_max, limits.transactions_max),
            (None, None)
        );
        assert_eq!(limits.recipient_domains_max, NonZeroU32::new(1));
        assert_eq!(of("x\nSIZE 99999999999999999999999").size_max, None);
    }
}
