//! Schedules as they are written and read.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Schedule, Then};

/// Most delays that a written schedule may have.
const DELAYS_MAX: usize = 1000;
/// Longest delay or age that can be written: ten years.
const DURATION_MAX: Duration = Duration::from_secs(3650 * 86_400);
/// Most attempts that can be written.
const ATTEMPTS_MAX: u32 = 100_000;
/// Factors that can be written, in hundredths: what is less does not grow.
const FACTORS: std::ops::RangeInclusive<u32> = 101..=10_000;

/// A text is not a retry schedule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "\"{part}\" in the retry schedule {problem}; a schedule looks like 1m,5m,1h..;until=5d;jitter=20%, or 1m*2..4h;attempts=20, or none"
)]
pub struct ScheduleError {
    part: String,
    problem: &'static str,
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
        let bounded = schedule.until.is_some() || schedule.attempts_max.is_some();
        if schedule.then != Then::GiveUp && !bounded {
            let problem = "would retry for ever: add ;until=AGE or ;attempts=N";
            return Err(wrong(delays, problem));
        }
        Ok(schedule)
    }
}

impl Schedule {
    fn read_delays(&mut self, text: &str) -> Result<(), ScheduleError> {
        let (list, last) = match text.rsplit_once(',') {
            Some((list, last)) => (Some(list), last.trim()),
            None => (None, text),
        };
        for part in list.into_iter().flat_map(|list| list.split(',')) {
            // The last one needs room, too.
            if self.delays.len() + 1 == DELAYS_MAX {
                return Err(wrong(part, "is one delay too many"));
            }
            self.delays.push(duration(part.trim())?);
        }
        let (delay, then) = last_delay(last)?;
        if then != Then::GiveUp && delay.is_zero() {
            return Err(wrong(last, "repeats a delay of zero"));
        }
        self.delays.push(delay);
        self.then = then;
        Ok(())
    }

    fn read_option(&mut self, part: &str) -> Result<(), ScheduleError> {
        match part.split_once('=') {
            Some(("until", age)) => self.until = Some(duration(age)?),
            Some(("attempts", count)) => self.attempts_max = Some(attempts(count)?),
            Some(("jitter", share)) => self.jitter_percent = percent(share)?,
            _ => return Err(wrong(part, "is not until=AGE, attempts=N or jitter=N%")),
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

/// `4h`, `4h..` or `1m*2..4h`.
fn last_delay(text: &str) -> Result<(Duration, Then), ScheduleError> {
    if let Some((first, growth)) = text.split_once('*') {
        let Some((factor, most)) = growth.split_once("..") else {
            return Err(wrong(text, "lacks its longest delay, as in 1m*2..4h"));
        };
        let (first, delay_max) = (duration(first)?, duration(most)?);
        if delay_max < first {
            return Err(wrong(text, "grows to less than it begins with"));
        }
        let factor_hundredths = factor_hundredths(factor)?;
        return Ok((
            first,
            Then::Grow {
                factor_hundredths,
                delay_max,
            },
        ));
    }
    match text.strip_suffix("..") {
        Some(delay) => Ok((duration(delay)?, Then::Repeat)),
        None => Ok((duration(text)?, Then::GiveUp)),
    }
}

/// `2`, `1.5`, `1.25`.
fn factor_hundredths(text: &str) -> Result<u32, ScheduleError> {
    let (whole, parts) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let fits = digits(whole) && digits(parts) && parts.len() <= 2;
    fits.then(|| {
        let whole: u32 = whole.parse().ok()?;
        let parts: u32 = format!("{parts:0<2}").parse().ok()?;
        whole.checked_mul(100)?.checked_add(parts)
    })
    .flatten()
    .filter(|factor| FACTORS.contains(factor))
    .ok_or_else(|| wrong(text, "is not a factor from 1.01 to 100, such as 2 or 1.5"))
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

fn attempts(text: &str) -> Result<u32, ScheduleError> {
    let number = text.parse().ok();
    number
        .filter(|n| (1..=ATTEMPTS_MAX).contains(n))
        .ok_or_else(|| wrong(text, "is not a number of attempts from 1 to 100000"))
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
        match self.then {
            Then::GiveUp => {}
            Then::Repeat => f.write_str("..")?,
            Then::Grow {
                factor_hundredths,
                delay_max,
            } => {
                let factor = f64::from(factor_hundredths) / 100.0;
                write!(f, "*{factor}..{}", Written(delay_max))?;
            }
        }
        if let Some(until) = self.until {
            write!(f, ";until={}", Written(until))?;
        }
        if let Some(attempts) = self.attempts_max {
            write!(f, ";attempts={attempts}")?;
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
