//! Message ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::world::World;

/// A message's id: a UUID of version 7 (RFC 9562), so that ids sort by the
/// time they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; 16]);

/// A text is not a message id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{0}\" is not a message id: ids look like 018f3c5e-7a3b-7c11-9d2e-5b8a4f6c1d20")]
pub struct IdError(String);

impl MessageId {
    /// The id before all others.
    pub const MIN: MessageId = MessageId([0; 16]);

    /// A fresh id.
    pub fn new(world: &World) -> Self {
        let millis = u64::try_from(world.now().as_millis()).unwrap_or(0);
        let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &world.random());
        MessageId(uuid.into_uuid().into_bytes())
    }

    /// From its sixteen bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        MessageId(bytes)
    }

    /// Its sixteen bytes; they sort like the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for MessageId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        uuid::Uuid::try_parse(text)
            .map(|uuid| MessageId(uuid.into_bytes()))
            .map_err(|_| IdError(text.chars().take(64).collect()))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

/// A text where people read it, sixteen bytes where they do not.
impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(self),
            false => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return text.parse().map_err(serde::de::Error::custom);
        }
        Deserialize::deserialize(deserializer).map(MessageId)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{SeededRandom, Timestamp, VirtualClock};

    #[tokio::test(start_paused = true)]
    async fn ids_sort_by_time_and_survive_text() {
        let clock = VirtualClock::starting_at(Timestamp::from_secs(1_000));
        let world = World::new(clock, SeededRandom::new(1));
        let first = MessageId::new(&world);
        world.sleep(std::time::Duration::from_millis(1)).await;
        let second = MessageId::new(&world);
        assert!(first < second);
        assert_eq!(second.to_string().parse(), Ok(second));
        assert!("../../etc/passwd".parse::<MessageId>().is_err());
    }
}
