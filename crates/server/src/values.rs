//! Values of flags, parsed at the door. Each error says what would have been
//! right; clap adds the name of the flag.

use std::net::SocketAddr;

use slimta_core::message::{Address, ReversePath};

/// An address to listen on: `127.0.0.1:2525`, `[::1]:2525`.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "an address to listen on is IP:PORT, such as 127.0.0.1:2525 or [::1]:2525; \
         port 0 takes a free one"
            .to_owned()
    })
}

/// Where a server is: `HOST:PORT`, the host a name or an IP address.
#[derive(Clone, Debug)]
pub(crate) struct ServerAddress(pub(crate) String);

impl std::str::FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let valid = text.rsplit_once(':').is_some_and(|(host, port)| {
            let literal = host.starts_with('[') && host.ends_with(']');
            let named = !host.is_empty() && !host.contains([':', ' ', '/']);
            (literal || named) && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        valid
            .then(|| ServerAddress(text.to_owned()))
            .ok_or_else(|| {
                "a server is HOST:PORT, such as localhost:2525, 127.0.0.1:25 or [::1]:25".to_owned()
            })
    }
}

/// A reverse-path, with or without its brackets; `<>` or nothing is null.
pub(crate) fn reverse_path(text: &str) -> Result<ReversePath, String> {
    ReversePath::parse(without_brackets(text)).map_err(|error| error.to_string())
}

/// A recipient, with or without brackets.
pub(crate) fn recipient(text: &str) -> Result<Address, String> {
    Address::parse(without_brackets(text)).map_err(|error| error.to_string())
}

/// The name of one destination, for a filter.
pub(crate) fn destination(text: &str) -> Result<String, String> {
    match text.contains('*') {
        true => Err("a filter names one destination, as `slimta queue list` shows it".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn without_brackets(text: &str) -> &str {
    text.strip_prefix('<')
        .and_then(|t| t.strip_suffix('>'))
        .unwrap_or(text)
}

/// A size in bytes: `1024`, `10k`, `1m` (powers of 1024).
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.to_ascii_lowercase().strip_suffix(['k', 'm']) {
        Some(digits) if text.ends_with(['k', 'K']) => (digits.to_owned(), 1 << 10),
        Some(digits) => (digits.to_owned(), 1 << 20),
        None => (text.to_owned(), 1),
    };
    digits
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "a size is a number of bytes, such as 1024, 10k or 1m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_nobody_can_use_are_refused_with_what_would_be_right() {
        for text in ["", "2525", "localhost:25", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(listen(text).unwrap_err().contains("127.0.0.1:2525"));
        }
        for text in ["", "host", ":25", "host:0", "host:x", "::1:25", "a b:25"] {
            assert!(text.parse::<ServerAddress>().is_err(), "{text}");
        }
        for text in ["localhost:25", "[::1]:25", "192.0.2.1:2525"] {
            assert!(text.parse::<ServerAddress>().is_ok(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("10k"), Ok(10_240));
        assert_eq!(size("1M"), Ok(1_048_576));
        assert_eq!(size("77"), Ok(77));
        for text in ["", "k", "-1", "1g", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_null_reverse_path_can_be_written() {
        assert_eq!(reverse_path("<>"), Ok(ReversePath::Null));
        assert_eq!(reverse_path(""), Ok(ReversePath::Null));
        assert_eq!(reverse_path("<a@b>").unwrap().as_str(), "a@b");
        assert!(recipient("<>").is_err());
    }
}
