//! A length of time as flags and the file write it.

use std::str::FromStr;
use std::time::Duration;

/// Longest time that can be written.
const SPAN_MAX: Duration = Duration::from_secs(365 * 86_400);

/// A length of time: `500ms`, `30s`, `5m`, `2h`, `1d`; longer than zero, at
/// most a year.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span(Duration);

impl Span {
    /// As a duration.
    pub(crate) fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit_ms = match &text[digits.len()..] {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            "d" => Some(86_400_000),
            _ => None,
        };
        let number = digits.parse::<u64>().ok();
        number
            .zip(unit_ms)
            .and_then(|(number, unit_ms)| number.checked_mul(unit_ms))
            .map(Duration::from_millis)
            .filter(|span| !span.is_zero() && *span <= SPAN_MAX)
            .map(Span)
            .ok_or_else(|| {
                format!("{text:?} is not a time: it is a number with its unit, such as 500ms, 30s, 5m, 2h or 1d")
            })
    }
}

/// A length of time, or `none`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SpanOrNone(Option<Span>);

impl SpanOrNone {
    /// As a duration.
    pub(crate) fn get(self) -> Option<Duration> {
        self.0.map(Span::get)
    }
}

impl FromStr for SpanOrNone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(SpanOrNone(None));
        }
        let span = text.parse().map_err(|why| format!("{why}; or none"))?;
        Ok(SpanOrNone(Some(span)))
    }
}
