//! How fast a command goes through many messages, how it says how far it is,
//! and how it is stopped.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{IsTerminal, Write as _};
use std::pin::pin;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::signals::Signals;

/// How often it says how far it is, where lines stay.
const TOLD_EVERY: u64 = 10_000;
/// Most messages that are let go at once, so that they are spread over the
/// second.
const AT_ONCE_MAX: f64 = 500.0;

/// So many messages in a length of time: `50/s`, `600/m`, `1000/h`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Rate {
    per_second: f64,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = BTreeMap::from([("s", 1.0), ("m", 60.0), ("h", 3600.0)]);
        let (number, unit) = text.split_once('/').unwrap_or_default();
        let number = number.parse::<u32>().ok().filter(|number| *number > 0);
        number
            .zip(seconds.get(unit))
            .map(|(number, seconds)| Rate {
                per_second: f64::from(number) / seconds,
            })
            .ok_or_else(|| {
                format!("{text:?} is not a rate: say how many a second, minute or hour, such as 50/s, 600/m or 1000/h")
            })
    }
}

impl Rate {
    /// How many are let go at once.
    pub(super) fn at_once(self) -> usize {
        // A fifth of a second's worth: whole, at least one and few.
        (self.per_second / 5.0).clamp(1.0, AT_ONCE_MAX) as usize
    }

    fn time_of(self, messages: u64) -> Duration {
        // Neither is negative, nor is the rate zero.
        Duration::from_secs_f64(messages as f64 / self.per_second)
    }
}

/// The way of one command.
pub(super) struct Pace {
    signals: Signals,
    rate: Option<Rate>,
    begun: Instant,
    is_stopping: bool,
    told: u64,
    is_terminal: bool,
}

impl Pace {
    pub(super) fn new(rate: Option<Rate>) -> Result<Self, Failure> {
        Ok(Pace {
            signals: Signals::new()?,
            rate,
            begun: Instant::now(),
            is_stopping: false,
            told: 0,
            is_terminal: std::io::stderr().is_terminal(),
        })
    }

    /// Whether somebody wants it to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// Does one step to its end, also if somebody wants it to stop meanwhile.
    /// Whoever insists does not wait for the step.
    pub(super) async fn step<T>(
        &mut self,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut step = pin!(step);
        loop {
            tokio::select! {
                biased;
                done = &mut step => return done,
                _ = self.signals.next() => {
                    if self.is_stopping {
                        let why = "stopped: whether the last step was done is not known";
                        return Err(Failure::Failed(why.to_owned()));
                    }
                    self.is_stopping = true;
                }
            }
        }
    }

    /// Waits until so many in all are no more than the rate allows.
    pub(super) async fn keep(&mut self, messages: u64) {
        let Some(rate) = self.rate.filter(|_| !self.is_stopping) else {
            return;
        };
        let at = self.begun + rate.time_of(messages);
        tokio::select! {
            biased;
            _ = self.signals.next() => self.is_stopping = true,
            () = tokio::time::sleep_until(at.into()) => {}
        }
    }

    /// Says how far it is: on a terminal in one line that is written anew, else
    /// now and then.
    pub(super) fn tell(&mut self, messages: u64, done: &str) {
        if self.is_terminal {
            eprint!("\r{messages} messages {done} so far\x1b[K");
            let _ = std::io::stderr().flush();
            self.told = messages;
        } else if messages >= self.told + TOLD_EVERY {
            eprintln!("slimta: {messages} messages {done} so far");
            self.told = messages;
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn end(&self) {
        if self.is_terminal && self.told > 0 {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_says_how_long_so_many_take() {
        for (text, at_once, seconds_of_600) in [
            ("50/s", 10, 12),
            ("600/m", 2, 60),
            ("1000000/s", 500, 0),
            ("1/h", 1, 2_160_000),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.at_once(), at_once, "{text}");
            assert_eq!(rate.time_of(600).as_secs(), seconds_of_600, "{text}");
        }
        for text in ["", "50", "0/s", "-1/s", "1/d", "/s", "1.5/s", "5/"] {
            assert!(text.parse::<Rate>().is_err(), "{text:?}");
        }
    }
}
