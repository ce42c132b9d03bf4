//! So many messages in so long a time.
//!
//! Each destination with a rate has a bucket of tokens, one an attempt; they
//! come evenly, and a few are saved up. What has no token is not leased: it
//! stays due in the store. Of a bucket all that is kept is when it will be full
//! again, and nothing once it is.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::message::Destination;

const SECOND: Duration = Duration::from_secs(1);
/// How a rate names its time.
const UNITS: [(&str, Duration); 3] = [
    ("s", SECOND),
    ("min", Duration::from_secs(60)),
    ("h", Duration::from_secs(3600)),
];
/// More than this is no limit.
const MESSAGES_MAX: u32 = 1_000_000;
/// A bucket holds what comes in a second, and so much at least.
const BUCKET_MIN: u64 = 2;
/// Buckets that are kept before full ones are looked for.
const BUCKETS_MIN: usize = 1_000;

/// So many messages in so long a time: `5/s`, `100/min`, `1000/h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    messages: NonZeroU32,
    /// One of [`UNITS`].
    per: Duration,
}

/// A text is not a rate.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "\"{0}\" is not a rate: it is a number from 1 to 1000000 and its time, such as 5/s, 100/min or 1000/h"
)]
pub struct RateError(String);

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let read = || {
            let (messages, unit) = text.split_once('/')?;
            let (_, per) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
            // A sign is no part of a number of messages.
            let is_number = messages.bytes().all(|b| b.is_ascii_digit());
            let messages: NonZeroU32 = messages.parse().ok().filter(|_| is_number)?;
            (messages.get() <= MESSAGES_MAX).then_some(Rate { messages, per })
        };
        read().ok_or_else(|| RateError(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, per)| *per == self.per);
        write!(f, "{}/{}", self.messages, unit.map_or("", |(name, _)| name))
    }
}

/// What one of several managers may take of a rate.
#[derive(Clone, Copy, Debug)]
struct Share {
    /// How often a token comes.
    interval: Duration,
    /// How many are saved up.
    size: u64,
}

impl Rate {
    /// So many a minute; none if that is none at all, or more than a million.
    pub fn per_minute(count: u32) -> Option<Self> {
        let messages = NonZeroU32::new(count).filter(|count| count.get() <= MESSAGES_MAX)?;
        let per = Duration::from_secs(60);
        Some(Rate { messages, per })
    }

    /// How many.
    pub fn count(self) -> NonZeroU32 {
        self.messages
    }

    /// In how long a time: a second, a minute or an hour.
    pub fn per(self) -> Duration {
        self.per
    }

    /// The same in messages an hour.
    pub(super) fn per_hour(self) -> u64 {
        let times = 3600 / self.per.as_secs().max(1);
        u64::from(self.messages.get()).saturating_mul(times)
    }

    fn share(self, managers: usize) -> Share {
        let managers = u32::try_from(managers.max(1)).unwrap_or(u32::MAX);
        let (per, messages) = (self.per.saturating_mul(managers), self.messages.get());
        let interval = per.as_nanos().div_ceil(messages.into());
        let in_a_second = u128::from(messages) * SECOND.as_nanos() / per.as_nanos().max(1);
        Share {
            interval: Duration::from_nanos(u64::try_from(interval).unwrap_or(u64::MAX)),
            size: u64::try_from(in_a_second)
                .unwrap_or(u64::MAX)
                .max(BUCKET_MIN),
        }
    }
}

/// The buckets of all destinations.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// When each is full again, on the monotonic clock, of those that are not.
    full_at: BTreeMap<Destination, Duration>,
    /// At how many full ones are taken out.
    sweep_at: usize,
}

/// What is in the bucket of one destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Level {
    /// Tokens that are there.
    pub(super) tokens: usize,
    /// Those that fresh mail may take: the upper half. Else it would overtake
    /// what waits, by coming just when a token does.
    pub(super) fresh: usize,
    /// Until the next token comes; zero while one is there.
    pub(super) wait: Duration,
}

impl Meter {
    /// What is in a bucket at `now`, by this manager's share of `rate`.
    pub(super) fn level(
        &self,
        next_hop: &str,
        rate: Rate,
        managers: usize,
        now: Duration,
    ) -> Level {
        let Share { interval, size } = rate.share(managers);
        let full_at = self.full_at.get(next_hop).copied().unwrap_or_default();
        let missing = full_at.saturating_sub(now);
        let taken = missing.as_nanos().div_ceil(interval.as_nanos().max(1));
        let taken = u64::try_from(taken).unwrap_or(u64::MAX);
        let tokens = size.saturating_sub(taken);
        let saved = u32::try_from(size - 1).unwrap_or(u32::MAX);
        Level {
            tokens: usize::try_from(tokens).unwrap_or(usize::MAX),
            fresh: usize::try_from(tokens.saturating_sub(size / 2)).unwrap_or(usize::MAX),
            wait: missing.saturating_sub(interval.saturating_mul(saved)),
        }
    }

    /// Takes a token at `now`, or says when one comes.
    pub(super) fn take(
        &mut self,
        destination: &Destination,
        rate: Rate,
        managers: usize,
        now: Duration,
    ) -> Result<(), Duration> {
        let level = self.level(destination.as_str(), rate, managers, now);
        if level.tokens == 0 {
            return Err(level.wait);
        }
        let interval = rate.share(managers).interval;
        match self.full_at.get_mut(destination) {
            Some(full_at) => *full_at = now.max(*full_at).saturating_add(interval),
            None => {
                self.sweep(now);
                let full_at = now.saturating_add(interval);
                self.full_at.insert(destination.clone(), full_at);
            }
        }
        Ok(())
    }

    /// Destinations whose bucket is not full at `now`.
    pub(super) fn used(&self, now: Duration) -> impl Iterator<Item = &Destination> {
        let used = self
            .full_at
            .iter()
            .filter(move |(_, full_at)| **full_at > now);
        used.map(|(destination, _)| destination)
    }

    /// Forgets those that are full, once there are many.
    fn sweep(&mut self, now: Duration) {
        if self.full_at.len() < self.sweep_at.max(BUCKETS_MIN) {
            return;
        }
        self.full_at.retain(|_, full_at| *full_at > now);
        self.sweep_at = self.full_at.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    fn to(name: impl AsRef<str>) -> Destination {
        Destination::new(name)
    }

    #[test]
    fn rates_are_read_as_they_are_shown() {
        for text in ["1/s", "100/min", "1000000/h"] {
            assert_eq!(rate(text).to_string(), text);
        }
        for text in [
            "",
            "5",
            "/s",
            "0/s",
            "-1/s",
            "+1/s",
            "1.5/s",
            "1/d",
            "1 /s",
            "1/ s",
            "1/S",
            "1000001/h",
            "99999999999/h",
            "5/s/s",
        ] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.contains("100/min"), "{text:?}: {error}");
        }
    }

    /// How many tokens are taken in so many milliseconds, by taking all that
    /// are there every millisecond.
    fn taken(text: &str, managers: usize, millis: u64) -> usize {
        let (mut meter, mut taken) = (Meter::default(), 0);
        for now in (0..millis).map(Duration::from_millis) {
            while meter.take(&to("a"), rate(text), managers, now).is_ok() {
                taken += 1;
            }
        }
        taken
    }

    #[test]
    fn no_more_is_taken_than_the_rate_and_a_full_bucket() {
        assert_eq!(taken("60/min", 1, 60_000), 60 + 1);
        assert_eq!(taken("5/s", 1, 10_000), 50 + 4);
        assert_eq!(taken("7/s", 1, 10_000), 70 + 6);
        assert_eq!(taken("500/s", 1, 2_000), 1000 + 499);
        assert_eq!(taken("30/s", 3, 10_000), 100 + 9, "a third of it");
        assert_eq!(taken("60/min", 7, 70_000), 10 + 1, "a seventh");
    }

    #[test]
    fn it_says_when_the_next_token_comes() {
        let mut meter = Meter::default();
        let minutely = rate("60/min");
        let at = Duration::from_millis;
        for (now, expected) in [
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(at(1000))),
            (250, Err(at(750))),
            (1000, Ok(())),
            (1000, Err(at(1000))),
            (9000, Ok(())),
            (9000, Ok(())),
            (9999, Err(at(1))),
        ] {
            assert_eq!(
                meter.take(&to("a"), minutely, 1, at(now)),
                expected,
                "{now}"
            );
        }
        assert!(meter.take(&to("b"), minutely, 1, at(9999)).is_ok());
    }

    #[test]
    fn fresh_mail_takes_what_nobody_waits_for() {
        let mut meter = Meter::default();
        let fresh = |meter: &Meter, now| {
            let now = Duration::from_secs(now);
            let level = meter.level("a", rate("60/min"), 1, now);
            (level.tokens, level.fresh)
        };
        assert_eq!(fresh(&meter, 0), (2, 1));
        meter
            .take(&to("a"), rate("60/min"), 1, Duration::ZERO)
            .unwrap();
        assert_eq!(fresh(&meter, 0), (1, 0));
        assert_eq!(fresh(&meter, 1), (2, 1));
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let mut meter = Meter::default();
        for number in 0..10 * BUCKETS_MIN as u64 {
            let now = Duration::from_millis(number);
            let name = number.to_string();
            meter.take(&to(name), rate("100/s"), 1, now).unwrap();
            assert!(meter.full_at.len() <= BUCKETS_MIN);
        }
        assert_eq!(meter.used(Duration::from_millis(9999)).count(), 10);
    }
}
