//! Buckets of tokens by origin or user, of which only the time is kept at which each is
//! full again.
//!
//! They stand in two generations. When the young one is as large as it may get
//! it becomes the old one, and that is forgotten: so nothing is ever searched,
//! what is kept is bounded, and who comes again and again is never forgotten.

use std::collections::HashMap;
use std::mem;
use std::time::Duration;

use slimta_core::queue::Rate;

use super::{Counted, Whose};

/// Most buckets of a generation, each of some 60 bytes.
const GENERATION_MAX: usize = 20_000;

/// Whose bucket, and of what.
pub(super) type Key = (Counted, Whose);

/// The buckets that are not full, and some that are.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    young: HashMap<Key, Duration>,
    old: HashMap<Key, Duration>,
}

impl Buckets {
    /// Takes a token, if one is there. A bucket holds what comes in the whole
    /// time of its rate, so a client that was away may have all of it at once.
    pub(super) fn take(&mut self, key: Key, rate: Rate, now: Duration) -> bool {
        let kept = self.young.get(&key).or_else(|| self.old.get(&key));
        let before = kept.copied().unwrap_or_default().max(now);
        let after = before.saturating_add(rate.per() / rate.count().get());
        let has_token = after.saturating_sub(now) <= rate.per();
        if self.young.len() >= GENERATION_MAX && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young
            .insert(key, if has_token { after } else { before });
        has_token
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(number: usize) -> Key {
        let ip = Ipv4Addr::from_bits(u32::try_from(number).unwrap());
        (Counted::Connection, Whose::Origin(ip.into()))
    }

    #[test]
    fn what_a_rate_allows_may_come_at_once_and_then_evenly() {
        for (text, count, seconds) in [("7/s", 7, 1), ("60/min", 60, 1), ("3600/h", 3600, 1)] {
            let (rate, mut buckets) = (text.parse().unwrap(), Buckets::default());
            let takes = |buckets: &mut Buckets, now| {
                (0..)
                    .take_while(|_| buckets.take(key(1), rate, now))
                    .count()
            };
            assert_eq!(takes(&mut buckets, SECOND), count, "{text}");
            assert!(buckets.take(key(2), rate, SECOND));
            let later = SECOND + seconds * SECOND;
            let again = if text == "7/s" { 7 } else { 1 };
            assert_eq!(takes(&mut buckets, later), again, "{text}");
            assert_eq!(takes(&mut buckets, later + 7200 * SECOND), count, "{text}");
        }
    }

    #[test]
    fn many_origins_take_no_more_room_and_hide_nobody() {
        let (rate, mut buckets) = ("2/h".parse().unwrap(), Buckets::default());
        let greedy = key(0);
        for _ in 0..2 {
            assert!(buckets.take(greedy.clone(), rate, SECOND));
        }
        for number in 1..5 * GENERATION_MAX {
            assert!(buckets.take(key(number), rate, SECOND));
            if number % 1000 == 0 {
                assert!(!buckets.take(greedy.clone(), rate, SECOND), "{number}");
            }
        }
        assert!(buckets.young.len() + buckets.old.len() <= 2 * GENERATION_MAX);
    }
}
