//! A moment in time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment on the wall clock, in milliseconds since the Unix epoch (UTC).
///
/// Arithmetic saturates: no clock step can make it panic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Timestamp = Timestamp(0);
    /// Later than any real moment.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis)
    }

    /// From seconds since the Unix epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Timestamp(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(millis))
    }

    /// The moment `duration` earlier.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_sub(millis))
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub fn since(self, earlier: Timestamp) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }

    /// As in a Date header, in UTC: `Tue, 24 Nov 2026 08:17:29 +0000`
    /// (RFC 5322 section 3.3).
    pub fn rfc5322(self) -> String {
        self.zoned()
            .strftime("%a, %d %b %Y %H:%M:%S +0000")
            .to_string()
    }

    /// As in logs and JSON, in UTC: `2026-11-24T08:17:29.123Z` (RFC 3339).
    pub fn rfc3339(self) -> String {
        self.zoned().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// The same without milliseconds: `2026-11-24T08:17:29Z`.
    pub fn rfc3339_secs(self) -> String {
        self.zoned().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// The calendar's view; moments beyond year 9999 show as its end.
    fn zoned(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }
}

/// A text is not a moment.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{0}\" is not a time: times look like 2026-11-24T08:17:29.123Z")]
pub struct TimeError(String);

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let parsed: Result<jiff::Timestamp, _> = text.parse();
        parsed
            .map(|time| Timestamp(time.as_millisecond()))
            .map_err(|_| TimeError(text.chars().take(64).collect()))
    }
}

/// As in RFC 3339 where people read it, milliseconds where they do not.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(self),
            false => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return text.parse().map_err(serde::de::Error::custom);
        }
        Deserialize::deserialize(deserializer).map(Timestamp)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let t = Timestamp::from_millis(1_795_508_249_123);
        assert_eq!(t.rfc5322(), "Tue, 24 Nov 2026 08:17:29 +0000");
        assert_eq!(t.rfc3339(), "2026-11-24T08:17:29.123Z");
        assert_eq!(t.rfc3339().parse(), Ok(t));
        assert_eq!(t.rfc3339_secs(), "2026-11-24T08:17:29Z");
        assert!("tomorrow".parse::<Timestamp>().is_err());
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX.after(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::EPOCH.since(Timestamp::MAX), Duration::ZERO);
        assert!(!Timestamp::MAX.rfc5322().is_empty());
        assert!(!Timestamp::from_millis(i64::MIN).rfc3339().is_empty());
    }
}
