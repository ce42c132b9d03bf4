//! Retry schedules: delays in order, an end by age or by attempts, and jitter.

mod plan;
mod written;

use std::time::Duration;

use crate::message::{MessageId, Response, StoredMessage};
use crate::world::Timestamp;

use super::retry::RetryAlgorithm;

pub use plan::{Plan, Step};
pub use written::ScheduleError;

/// What jitter leaves of a delay at least, so that the time of each attempt
/// lies behind that of the last.
const DELAY_MIN: Duration = Duration::from_millis(1);

/// A retry schedule, written `1m,5m,15m,30m,1h,2h,4h..;until=5d;jitter=20%`, or
/// `1m*2..4h;until=5d;jitter=20%` if the delays grow by a factor.
///
/// Delays come in order. `..` behind the last repeats it; `*2..4h` behind it
/// makes each next one twice as long, up to four hours, which then repeat.
/// Else the message is given up after the last. `until` is the greatest age of
/// a message since it was received or, if its sender asked for a later time,
/// released, `attempts` how many it gets, with the first; a schedule that
/// repeats names one of them at least. `jitter` is how far a delay may be off
/// either way. `none` gives up at the first failure, the seed's default.
///
/// The jitter is drawn from the message's id and its attempts, so that the same
/// attempt always falls at the same time, and messages deferred together do not
/// come back together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    delays: Vec<Duration>,
    then: Then,
    until: Option<Duration>,
    attempts_max: Option<u32>,
    jitter_percent: u8,
}

/// What comes after the last delay of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    /// The message is given up.
    GiveUp,
    /// The last delay, again and again.
    Repeat,
    /// The last delay times the factor, times the factor, up to a delay that
    /// then repeats.
    Grow {
        factor_hundredths: u32,
        delay_max: Duration,
    },
}

impl Schedule {
    /// Gives up at the first failure.
    pub fn none() -> Self {
        Schedule {
            delays: Vec::new(),
            then: Then::GiveUp,
            until: None,
            attempts_max: None,
            jitter_percent: 0,
        }
    }

    /// The schedule of a mail server that is run as RFC 5321 section 4.5.4.1
    /// advises: soon at first, then every few hours, for five days.
    pub fn server_default() -> Self {
        const MINUTES: [u64; 7] = [1, 5, 15, 30, 60, 120, 240];
        Schedule {
            delays: MINUTES.map(|m| Duration::from_secs(m * 60)).to_vec(),
            then: Then::Repeat,
            until: Some(Duration::from_secs(5 * 86_400)),
            attempts_max: None,
            jitter_percent: 20,
        }
    }

    /// The delay before the attempt that follows `attempts` failures, without
    /// jitter; none when there is no such attempt, whatever the age.
    fn delay(&self, attempts: u32) -> Option<Duration> {
        if self.attempts_max.is_some_and(|most| attempts >= most) {
            return None;
        }
        let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
        if let Some(delay) = self.delays.get(index) {
            return Some(*delay);
        }
        let last = *self.delays.last()?;
        match self.then {
            Then::GiveUp => None,
            Then::Repeat => Some(last),
            Then::Grow {
                factor_hundredths,
                delay_max,
            } => {
                let times = i32::try_from(index + 1 - self.delays.len()).unwrap_or(i32::MAX);
                let factor = f64::from(factor_hundredths) / 100.0;
                let millis = (last.as_secs_f64() * 1000.0 * factor.powi(times)).round();
                // Too much for a number becomes the greatest one.
                Some(Duration::from_millis(millis as u64).min(delay_max))
            }
        }
    }

    /// The shortest and the longest that jitter makes of a delay, in whole
    /// milliseconds, as times are stored.
    fn bounds(&self, delay: Duration) -> (Duration, Duration) {
        let span = whole_millis(delay.mul_f64(f64::from(self.jitter_percent) / 100.0));
        let least = DELAY_MIN.min(delay);
        (delay.saturating_sub(span).max(least), delay + span)
    }

    /// A delay shifted by up to the jitter either way.
    fn jittered(&self, delay: Duration, id: MessageId, attempts: u32) -> Duration {
        let (least, most) = self.bounds(delay);
        least + whole_millis((most - least).mul_f64(spread(id, attempts)))
    }
}

fn whole_millis(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// A number from 0 to 1 that looks random, but is the same for the same
/// attempt.
pub(super) fn spread(id: MessageId, attempts: u32) -> f64 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(id.as_bytes());
    hash.update(&attempts.to_le_bytes());
    // The checksum alone moves little when only the attempts move.
    let mixed = hash
        .finalize()
        .wrapping_mul(0x9e37_79b9)
        .rotate_left(15)
        .wrapping_mul(0x85eb_ca6b);
    f64::from(mixed) / f64::from(u32::MAX)
}

impl RetryAlgorithm for Schedule {
    fn next_attempt(
        &self,
        message: &StoredMessage,
        _response: &Response,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let delay = self.delay(message.attempts)?;
        let next = now.after(self.jittered(delay, message.id, message.attempts));
        let too_late = self.expiry(message).is_some_and(|end| next > end);
        (!too_late).then_some(next)
    }

    fn expiry(&self, message: &StoredMessage) -> Option<Timestamp> {
        self.until.map(|until| message.released().after(until))
    }
}

#[cfg(test)]
mod tests;
