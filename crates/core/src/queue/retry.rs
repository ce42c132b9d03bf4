//! When to try again: the retry algorithm and its written form.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::message::{MessageId, Response, StoredMessage};
use crate::world::Timestamp;

/// Says when a message that failed for now is tried again, or that it is given
/// up (the seed's `set_retry_algorithm`).
///
/// `message.attempts` counts the failure that was just seen. A time in the past
/// means at once.
pub trait RetryAlgorithm: Send + Sync + 'static {
    /// The time of the next attempt; none to give up and bounce.
    fn next_attempt(
        &self,
        message: &StoredMessage,
        response: &Response,
        now: Timestamp,
    ) -> Option<Timestamp>;
}

/// Any closure of message and response, as in the seed.
impl<F> RetryAlgorithm for F
where
    F: Fn(&StoredMessage, &Response) -> Option<Timestamp> + Send + Sync + 'static,
{
    fn next_attempt(
        &self,
        message: &StoredMessage,
        response: &Response,
        _now: Timestamp,
    ) -> Option<Timestamp> {
        self(message, response)
    }
}

/// Most delays that a written schedule may have.
const DELAYS_MAX: usize = 1000;
/// Longest delay or age that can be written: ten years.
const DURATION_MAX: Duration = Duration::from_secs(3650 * 86_400);

/// A retry schedule, written `1m,5m,15m,30m,1h,2h,4h..;until=5d;jitter=20%`:
/// delays in order, the last repeated if `..` follows it, else the message is
/// given up after it; `until` is its greatest age, `jitter` how far a delay may
/// be off either way. `none` gives up at the first failure, the seed's default.
///
/// The jitter is drawn from the message's id and its attempts, so that the same
/// attempt always falls at the same time, and messages deferred together do not
/// come back together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    delays: Vec<Duration>,
    repeat_last: bool,
    until: Option<Duration>,
    jitter_percent: u8,
}

/// A text is not a retry schedule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "\"{part}\" in the retry schedule {problem}; a schedule looks like 1m,5m,1h..;until=5d;jitter=20%, or none"
)]
pub struct ScheduleError {
    part: String,
    problem: &'static str,
}

impl Schedule {
    /// Gives up at the first failure.
    pub fn none() -> Self {
        Schedule {
            delays: Vec::new(),
            repeat_last: false,
            until: None,
            jitter_percent: 0,
        }
    }

    /// The schedule of a mail server that is run as RFC 5321 section 4.5.4.1
    /// advises: soon at first, then every few hours, for five days.
    pub fn server_default() -> Self {
        const MINUTES: [u64; 7] = [1, 5, 15, 30, 60, 120, 240];
        Schedule {
            delays: MINUTES.map(|m| Duration::from_secs(m * 60)).to_vec(),
            repeat_last: true,
            until: Some(Duration::from_secs(5 * 86_400)),
            jitter_percent: 20,
        }
    }

    /// The delay before the attempt that follows `attempts` failures, without
    /// jitter; none when there is no such attempt.
    fn delay(&self, attempts: u32) -> Option<Duration> {
        let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
        let last = self.delays.last().filter(|_| self.repeat_last);
        self.delays.get(index).or(last).copied()
    }

    /// A delay shifted by up to the jitter either way.
    fn jittered(&self, delay: Duration, id: MessageId, attempts: u32) -> Duration {
        let span = delay.mul_f64(f64::from(self.jitter_percent) / 100.0);
        let chance = f64::from(spread(id, attempts)) / f64::from(u32::MAX);
        (delay - span) + (span * 2).mul_f64(chance)
    }
}

/// A number that looks random, but is the same for the same attempt.
fn spread(id: MessageId, attempts: u32) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(id.as_bytes());
    hash.update(&attempts.to_le_bytes());
    // The checksum alone moves little when only the attempts move.
    hash.finalize()
        .wrapping_mul(0x9e37_79b9)
        .rotate_left(15)
        .wrapping_mul(0x85eb_ca6b)
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
        match self.until {
            Some(until) if next > message.received.after(until) => None,
            _ => Some(next),
        }
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let mut schedule = Schedule::none();
        let mut parts = text.split(';').map(str::trim);
        let delays = parts.next().unwrap_or_default();
        if delays != "none" {
            schedule.read_delays(delays)?;
        }
        for part in parts {
            schedule.read_option(part)?;
        }
        Ok(schedule)
    }
}

impl Schedule {
    fn read_delays(&mut self, text: &str) -> Result<(), ScheduleError> {
        let (list, repeat) = match text.strip_suffix("..") {
            Some(list) => (list, true),
            None => (text, false),
        };
        self.repeat_last = repeat;
        for part in list.split(',') {
            if self.delays.len() == DELAYS_MAX {
                return Err(wrong(part, "is one delay too many"));
            }
            self.delays.push(duration(part.trim())?);
        }
        if repeat && self.delays.last().is_some_and(Duration::is_zero) {
            return Err(wrong(text, "repeats a delay of zero"));
        }
        Ok(())
    }

    fn read_option(&mut self, part: &str) -> Result<(), ScheduleError> {
        match part.split_once('=') {
            Some(("until", age)) => self.until = Some(duration(age)?),
            Some(("jitter", share)) => self.jitter_percent = percent(share)?,
            _ => return Err(wrong(part, "is neither until=AGE nor jitter=N%")),
        }
        Ok(())
    }
}

fn wrong(part: &str, problem: &'static str) -> ScheduleError {
    ScheduleError {
        part: part.chars().take(64).collect(),
        problem,
    }
}

/// `500ms`, `90s`, `5m`, `4h`, `2d`.
fn duration(text: &str) -> Result<Duration, ScheduleError> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(|| wrong(text, "lacks its unit (ms, s, m, h or d)"))?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong(text, "is not a time such as 90s, 5m, 4h or 2d")),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| wrong(text, "is not a time such as 90s, 5m, 4h or 2d"))?;
    let duration = Duration::from_millis(number.saturating_mul(unit_ms));
    if duration > DURATION_MAX {
        return Err(wrong(text, "is longer than ten years"));
    }
    Ok(duration)
}

fn percent(text: &str) -> Result<u8, ScheduleError> {
    let number = text.strip_suffix('%').and_then(|n| n.parse().ok());
    number
        .filter(|n| *n <= 100)
        .ok_or_else(|| wrong(text, "is not a share from 0% to 100%"))
}

/// As it is written.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.delays.is_empty() {
            f.write_str("none")?;
        }
        for (i, delay) in self.delays.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}", Written(*delay))?;
        }
        if self.repeat_last {
            f.write_str("..")?;
        }
        if let Some(until) = self.until {
            write!(f, ";until={}", Written(until))?;
        }
        if self.jitter_percent > 0 {
            write!(f, ";jitter={}%", self.jitter_percent)?;
        }
        Ok(())
    }
}

/// A duration in the largest unit that fits it.
struct Written(Duration);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1000, "s"),
        ];
        let fits = |unit: &&(u128, &str)| millis >= unit.0 && millis.is_multiple_of(unit.0);
        match units.iter().find(fits) {
            Some((unit, name)) => write!(f, "{}{name}", millis / unit),
            None if millis == 0 => f.write_str("0s"),
            None => write!(f, "{millis}ms"),
        }
    }
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
