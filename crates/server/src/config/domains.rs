//! Domains for which mail is taken, as options write them.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use slimta_core::message::Address;
use slimta_core::queue::DestinationPattern;

/// What stands before a domain if those below it are meant.
const BELOW: &str = "*.";

/// A domain, `example.org`, or those below one, `*.example.org`.
pub(super) fn domain(text: &str) -> Result<DestinationPattern, String> {
    let name = text.strip_prefix(BELOW).unwrap_or(text);
    // Whatever a recipient can have behind its @.
    let address = Address::parse(&format!("x@{name}"));
    let is_one = address.is_ok_and(|address| address.domain() == Some(name));
    let pattern = text.parse().ok().filter(|_| is_one);
    pattern.ok_or_else(|| format!("{text:?} is no domain, such as example.org or *.example.org"))
}

/// A list of them.
pub(super) fn domains<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<DestinationPattern>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parsed = texts
        .iter()
        .map(|text| domain(text).map_err(D::Error::custom));
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_what_recipients_have() {
        for text in ["example.org", "*.Example.org", "[192.0.2.1]", "localhost"] {
            assert!(domain(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "*",
            "*.",
            ".example.org",
            "a@b",
            "example.org.",
            "smtp://a",
            "a b",
        ] {
            let why = domain(text).unwrap_err();
            assert!(why.contains("is no domain, such as example.org"), "{why}");
        }
    }
}
