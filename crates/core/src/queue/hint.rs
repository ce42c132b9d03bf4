//! Next hops that say when to come again.
//!
//! No standard gives a reply a place for a time, so it stands in the text:
//! `try again in 300 seconds`. Greylisting (RFC 6647) often says only that it
//! is that; it takes a message that comes again after some minutes.

use std::time::Duration;

use crate::message::{Class, EnhancedCode, Response, StoredMessage};
use crate::world::Timestamp;

use super::retry::RetryAlgorithm;
use super::schedule::spread;

/// What greylisting wants that names no time (RFC 6647 section 5 advises
/// receivers to want less).
const GREYLIST_WAIT: Duration = Duration::from_secs(300);
/// Never come back sooner than this, whatever a reply says.
const WAIT_MIN: Duration = Duration::from_secs(30);
/// Never come back later than this because a reply says so.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// After so many failures the schedule's patience is wiser than the reply.
const SOONER_MAX: u32 = 3;
/// So much later than asked, at most, so that messages deferred together do not
/// come back together.
const LATER_SHARE: f64 = 0.1;
/// Words that may stand between `again` and the number.
const WORDS_BETWEEN_MAX: usize = 4;

/// Lets the next hop move the next attempt: a reply that names a time, or is
/// typical greylisting, is heeded within bounds.
///
/// - The attempt comes at least 30 seconds later.
/// - It is put off by an hour at most, never behind the end that the schedule
///   knows, and brought forward only after one of the first three failures.
/// - An attempt that would be the last is not brought forward: a reply must not
///   make the message fail sooner.
/// - What the schedule gives up is given up.
#[derive(Clone, Debug)]
pub struct HeedReplies<R>(pub R);

impl<R: RetryAlgorithm> RetryAlgorithm for HeedReplies<R> {
    fn next_attempt(
        &self,
        message: &StoredMessage,
        response: &Response,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let planned = self.0.next_attempt(message, response, now)?;
        let Some(wait) = retry_hint(response) else {
            return Some(planned);
        };
        let wait = wait.max(WAIT_MIN);
        let share = LATER_SHARE * spread(message.id, message.attempts);
        let told = now.after(wait.saturating_add(wait.mul_f64(share)));
        if told > planned {
            let end = self.expiry(message).unwrap_or(Timestamp::MAX);
            let latest = now.after(WAIT_MAX).min(end);
            return Some(told.min(latest).max(planned));
        }
        let mut later = message.clone();
        later.attempts = message.attempts.saturating_add(1);
        let would_be_last = self.0.next_attempt(&later, response, told).is_none();
        let sooner = message.attempts <= SOONER_MAX && !would_be_last;
        Some(if sooner { told } else { planned })
    }

    fn expiry(&self, message: &StoredMessage) -> Option<Timestamp> {
        self.0.expiry(message)
    }
}

/// How long the next hop wants us to wait before the next attempt, as far as
/// its reply says so.
pub fn retry_hint(response: &Response) -> Option<Duration> {
    if response.class() != Class::Transient {
        return None;
    }
    let text = response.text.to_ascii_lowercase();
    let words: Vec<_> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != ':')
        .filter(|word| !word.is_empty())
        .collect();
    let named = (0..words.len())
        .filter(|at| asks_to_come_again(&words[..=*at]))
        .find_map(|at| named_time(&words[at..]));
    named.or_else(|| is_greylisting(response, &words).then_some(GREYLIST_WAIT))
}

/// Whether the last of these words is one that a time may follow.
fn asks_to_come_again(words: &[&str]) -> bool {
    match words {
        [.., "come", "back"] => true,
        [.., last] => {
            let asks = ["again", "retry", "retrying", "resend", "wait", "deferred"];
            asks.contains(last) || names_greylisting(words)
        }
        [] => false,
    }
}

/// The time that follows closely behind the first of these words.
fn named_time(words: &[&str]) -> Option<Duration> {
    let last = words.len().min(WORDS_BETWEEN_MAX + 2);
    (1..last).find_map(|at| {
        let before = ["in", "after", "for", "least", "another", "about", "wait"];
        let (word, rest) = (words[at], &words[at + 1..]);
        before
            .contains(&words[at - 1])
            .then(|| time(word, rest.first().copied()))
            .flatten()
    })
}

/// `300 seconds`, `300s`, `5 min`, `00:05:00`.
fn time(word: &str, next: Option<&str>) -> Option<Duration> {
    if let [hours, minutes, seconds] = word.split(':').collect::<Vec<_>>()[..] {
        let number = |text: &str| text.parse::<u32>().ok().map(u64::from);
        let minutes = number(hours)? * 60 + number(minutes)?;
        return Some(Duration::from_secs(minutes * 60 + number(seconds)?));
    }
    let unit_at = word.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = word.split_at(unit_at.unwrap_or(word.len()));
    let unit = if unit.is_empty() { next? } else { unit };
    let unit_seconds = match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
        _ => return None,
    };
    let number: u32 = number.parse().ok()?;
    Some(Duration::from_secs(u64::from(number) * unit_seconds))
}

/// A reply that says so, or has the code that most programs give it.
fn is_greylisting(response: &Response, words: &[&str]) -> bool {
    let usual = matches!(response.code.get(), 450 | 451)
        && response.enhanced == Some(EnhancedCode::new(4, 7, 1));
    usual || (1..=words.len()).any(|end| names_greylisting(&words[..end]))
}

fn names_greylisting(words: &[&str]) -> bool {
    match words {
        [.., "grey" | "gray", last] => last.starts_with("list"),
        [.., last] => last.starts_with("greylist") || last.starts_with("graylist"),
        [] => false,
    }
}

#[cfg(test)]
#[path = "hint_tests.rs"]
mod tests;
