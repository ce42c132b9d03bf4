//! The local addresses of connections, as the file writes them.

use std::net::IpAddr;

use serde::de::{Deserialize, Deserializer, Error};
use slimta::relay::Sources;

/// One address, or a list.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Written {
    One(String),
    Several(Vec<String>),
}

pub(super) fn one_or_several<'de, D>(deserializer: D) -> Result<Vec<IpAddr>, D::Error>
where
    D: Deserializer<'de>,
{
    let texts = match Written::deserialize(deserializer)? {
        Written::One(text) => vec![text],
        Written::Several(texts) => texts,
    };
    let parsed = texts.iter().map(|text| {
        let wrong = |_| format!("{text:?} is not an IP address, such as 192.0.2.7 or 2001:db8::7");
        text.parse().map_err(wrong).map_err(D::Error::custom)
    });
    parsed.collect()
}

/// The same, one a family; an empty list lets the system choose.
pub(super) fn sources<'de, D>(deserializer: D) -> Result<Option<Sources>, D::Error>
where
    D: Deserializer<'de>,
{
    let addresses = one_or_several(deserializer)?;
    Sources::new(addresses).map(Some).map_err(D::Error::custom)
}
