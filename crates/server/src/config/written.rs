//! Values as the file writes them: as their flags do, wherever that is possible.

use std::num::NonZeroUsize;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};

use crate::values;

/// A number of bytes as flags write it, more than zero.
pub(super) fn size(text: &str) -> Result<NonZeroUsize, String> {
    NonZeroUsize::new(values::size(text)?).ok_or_else(|| "it must be more than zero".to_owned())
}

/// A value that the file writes as its flag does.
pub(super) fn written<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

/// The same, several times.
pub(super) fn all_written<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: std::fmt::Display>,
{
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parsed = texts
        .iter()
        .map(|text| text.parse().map_err(D::Error::custom));
    parsed.collect()
}

/// A number of bytes, or a text such as "50m".
pub(super) fn size_or_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NonZeroUsize>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(NonZeroUsize),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Number(bytes) => Ok(Some(bytes)),
        Written::Text(text) => size(&text).map(Some).map_err(D::Error::custom),
    }
}
