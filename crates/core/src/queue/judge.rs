//! The judge: what a report means. Every rule of mail failure is in this file,
//! and it is pure.
//!
//! - 2yz: delivered. Only that.
//! - 5yz: failed for good.
//! - When the time is over that its sender gave a message (DELIVERBY), it goes back
//!   untried; until then no attempt waits for longer than that time.
//! - 4yz, and everything that proves nothing (no answer, too many answers, a
//!   code that is no outcome): failed for now; the retry algorithm says when to
//!   try again, or gives up, and then it is failed for good.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::message::{Class, OnSuccess, Recipient, Report, Response, StoredMessage};
use crate::storage::Deferral;
use crate::world::Timestamp;

use super::retry::RetryAlgorithm;

/// When a retry algorithm fails, the message waits this long.
const FALLBACK_DELAY: Duration = Duration::from_secs(300);
/// A retry further away than this is a mistake of the algorithm.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(3650 * 86_400);
/// What a response gets when the retry algorithm gives up, as the original
/// writes it.
const GIVEN_UP: &str = " (Too many retries)";

/// What becomes of each recipient after an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// The next hop took responsibility.
    pub delivered: Vec<(Recipient, Response)>,
    /// Failed for good, or given up.
    pub failed: Vec<(Recipient, Response)>,
    /// Failed for now.
    pub deferred: Vec<(Recipient, Response)>,
    /// How those that failed for now wait; none if there are none.
    pub deferral: Option<Deferral>,
    /// Until when they are tried, if the retry algorithm knows.
    pub retry_until: Option<Timestamp>,
    /// Whether recipients failed because the retry algorithm gave up.
    pub given_up: bool,
    /// Whether the retry algorithm panicked or named an impossible time.
    pub retry_broken: bool,
    /// The next hop that answered, if one did.
    pub remote: Option<String>,
    /// Who tells of success.
    pub on_success: OnSuccess,
    /// Whether no attempt was made, because the destination is left alone.
    pub put_off: bool,
}

/// Judges one attempt.
pub fn judge(
    message: &StoredMessage,
    report: &Report,
    retry: &dyn RetryAlgorithm,
    now: Timestamp,
) -> Verdict {
    let mut verdict = Verdict {
        remote: report.remote.clone(),
        on_success: report.on_success,
        ..Verdict::default()
    };
    let recipients = &message.envelope.recipients;
    for (index, recipient) in recipients.iter().enumerate() {
        let response = outcome(report, index, recipients.len());
        let pile = match response.class() {
            Class::Success => &mut verdict.delivered,
            Class::Permanent => &mut verdict.failed,
            Class::Transient | Class::Intermediate => &mut verdict.deferred,
        };
        pile.push((recipient.clone(), response));
    }
    defer_or_give_up(message, retry, now, &mut verdict);
    verdict
}

/// The response of one recipient, as far as the report proves anything.
fn outcome(report: &Report, index: usize, recipients: usize) -> Response {
    if report.responses.len() > recipients {
        // Which answer belongs to whom is unknown: none counts.
        return Response::transient(3, 0, "The relay gave too many answers");
    }
    match report.responses.get(index) {
        Some(response) if response.class() == Class::Intermediate => {
            Response::transient(3, 0, format!("Unexpected reply: {response}"))
        }
        Some(response) => response.clone(),
        None => Response::transient(3, 0, "The relay gave no answer"),
    }
}

/// Asks the retry algorithm about those that failed for now.
fn defer_or_give_up(
    message: &StoredMessage,
    retry: &dyn RetryAlgorithm,
    now: Timestamp,
    verdict: &mut Verdict,
) {
    let Some((_, response)) = verdict.deferred.first().cloned() else {
        return;
    };
    let mut waiting = message.clone();
    waiting.attempts = message.attempts.saturating_add(1);
    waiting.envelope.recipients = verdict.deferred.iter().map(|(r, _)| r.clone()).collect();
    // A retry algorithm is a stranger's code: its panic must not lose a message.
    let asked = catch_unwind(AssertUnwindSafe(|| {
        let next = retry.next_attempt(&waiting, &response, now);
        (next, retry.expiry(&waiting))
    }));
    let due = match asked {
        Ok((Some(due), until)) if due <= now.after(RETRY_DELAY_MAX) => {
            verdict.retry_until = earlier(until, message.returned_at());
            Some(due)
        }
        Ok((None, _)) => None,
        _ => {
            verdict.retry_broken = true;
            Some(now.after(FALLBACK_DELAY))
        }
    };
    match due {
        Some(due) => {
            let by = message.envelope.deliver_by;
            let due = by.map_or(due, |by| by.bounds(due, now));
            verdict.deferral = Some(Deferral {
                recipients: waiting.envelope.recipients,
                attempts: waiting.attempts,
                due,
                response,
                delay_told: message.delay_told,
                history: message.history.clone(),
            });
        }
        None => {
            verdict.given_up = true;
            let given_up = verdict.deferred.drain(..).map(|(recipient, mut response)| {
                response.text.push_str(GIVEN_UP);
                (recipient, response)
            });
            verdict.failed.extend(given_up);
        }
    }
}

/// The earlier of two ends, if there is one.
pub(super) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The report on a message that must not be handed on any more (RFC 2852
/// section 4.1).
pub(super) fn expired(message: &StoredMessage) -> Report {
    let text = match &message.last_response {
        Some(last) => format!("Delivery time expired; the last attempt ended with: {last}"),
        None => "Delivery time expired".to_owned(),
    };
    let response = Response::permanent(4, 7, text);
    Report::all(response, message.envelope.recipients.len())
}

#[cfg(test)]
#[path = "deliver_by_tests.rs"]
mod deliver_by_tests;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Address, Envelope, ReversePath};
    use crate::queue::{Schedule, sample};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn message(recipients: &[&str]) -> StoredMessage {
        let recipients = recipients.iter().map(|r| r.parse::<Address>().unwrap());
        StoredMessage {
            envelope: Envelope::new(ReversePath::Null, recipients),
            ..sample::message(NOW, 2, 1)
        }
    }

    fn judged(codes: &[u16], retry: impl RetryAlgorithm) -> Verdict {
        let message = message(&["a@example.org", "b@example.org", "c@example.org"]);
        let responses = codes.iter().map(|c| Response::new(*c, None, "said"));
        let report = Report {
            responses: responses.collect(),
            remote: None,
            on_success: OnSuccess::default(),
        };
        judge(&message, &report, &retry, NOW)
    }

    fn names(pile: &[(Recipient, Response)]) -> String {
        pile.iter().map(|(r, _)| &r.address.as_str()[..1]).collect()
    }

    #[test]
    fn each_recipient_has_its_own_outcome() {
        let in_an_hour = NOW.after(Duration::from_secs(3600));
        let verdict = judged(&[250, 550, 451], move |m: &StoredMessage, r: &Response| {
            assert_eq!((m.attempts, r.code.get()), (3, 451));
            Some(in_an_hour)
        });
        assert_eq!(names(&verdict.delivered), "a");
        assert_eq!(names(&verdict.failed), "b");
        assert_eq!(names(&verdict.deferred), "c");
        let deferral = verdict.deferral.unwrap();
        assert_eq!((deferral.attempts, deferral.due), (3, in_an_hour));
        assert_eq!(deferral.recipients.len(), 1);
    }

    #[test]
    fn giving_up_fails_what_was_deferred() {
        let verdict = judged(&[250, 451, 421], Schedule::none());
        assert_eq!(names(&verdict.failed), "bc");
        assert!(verdict.given_up && verdict.deferral.is_none());
        let text = &verdict.failed[0].1.text;
        assert!(text.ends_with(" (Too many retries)"), "{text}");
    }

    #[test]
    fn what_proves_nothing_is_never_delivered_and_never_final() {
        let soon = |_: &StoredMessage, _: &Response| Some(NOW);
        assert_eq!(names(&judged(&[250, 250], soon).deferred), "c");
        assert_eq!(names(&judged(&[], soon).deferred), "abc");
        assert_eq!(names(&judged(&[250; 4], soon).deferred), "abc");
        assert_eq!(names(&judged(&[354, 250, 250], soon).deferred), "a");
    }

    #[test]
    fn a_broken_retry_algorithm_neither_loses_nor_bounces() {
        let five_minutes = NOW.after(FALLBACK_DELAY);
        let panics = |_: &StoredMessage, _: &Response| -> Option<Timestamp> { panic!("bug") };
        let verdict = judged(&[451; 3], panics);
        assert!(verdict.retry_broken);
        assert_eq!(verdict.deferral.unwrap().due, five_minutes);
        let never = |_: &StoredMessage, _: &Response| Some(Timestamp::MAX);
        assert_eq!(judged(&[451; 3], never).deferral.unwrap().due, five_minutes);
    }
}
