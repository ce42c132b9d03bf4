//! How long a destination is left alone that cannot be reached.
//!
//! Each message has its own schedule, but a million messages for a host that is
//! down say the same a million times. After some failures in a row to reach it
//! at all, nothing is sent there for a while; then one attempt probes, and with
//! each that fails the while is twice as long. What is due meanwhile is put off
//! by its own schedule with the last answer, as if it had been tried, so that
//! it is given up when its time is over.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::message::{Class, Destination, Report, Response};

use super::event::Event;
use super::limits::Limits;

/// So many failures in a row are more than one bad message or moment.
const FAILURES_MAX: u32 = 5;
/// Doubling beyond this is longer than any limit.
const DOUBLINGS_MAX: u32 = 20;
/// So many messages of a pause are put off by their own schedule; only if there
/// are more, all are made due when the destination is back.
pub(super) const BY_SCHEDULE_MAX: usize = 100;
/// Mail of so many tenants is made due then; that of others waits for its time.
const TENANTS_MAX: usize = 32;

/// What an attempt says of the destination, whatever it says of the message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reached {
    /// It took or refused somebody for good: it works.
    Works,
    /// It was there, and said "not now".
    Answers,
    /// It was not there.
    Absent(Response),
    /// Nothing: what failed is our own.
    Nothing,
}

/// What is known of a destination.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// What the last of them said.
    last: Option<Response>,
    pause: Option<Pause>,
    /// Whose messages were put off, of all tenants that send there.
    put_off: BTreeSet<Destination>,
    /// Whether they wait longer than their schedule says.
    long: bool,
}

/// The destination is left alone.
#[derive(Clone, Debug)]
struct Pause {
    /// On the monotonic clock.
    until: Duration,
    /// Why.
    last: Response,
    /// How many messages were put off since it began.
    put_off: usize,
}

/// What is new of the destination after an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// It is left alone for so long from now on.
    Pauses(Duration, Response),
    /// It was left alone, and was reached.
    Resumes,
}

impl News {
    /// What observers are told.
    pub(super) fn event(self, destination: Destination) -> Event {
        match self {
            News::Pauses(length, response) => Event::Paused {
                destination,
                length,
                response,
            },
            News::Resumes => Event::Resumed { destination },
        }
    }
}

impl Reached {
    /// Reads it from the report. It is absent only if no host took the message
    /// up, because none was found or opened a session. A connection that was
    /// lost later may be the message's own fault.
    pub(super) fn of(report: &Report) -> Self {
        let responses = &report.responses;
        if responses.iter().any(is_final) {
            return Reached::Works;
        }
        let Some(first) = responses.first() else {
            return Reached::Nothing;
        };
        if report.remote.is_some() {
            Reached::Answers
        } else if responses.iter().all(is_absence) {
            Reached::Absent(first.clone())
        } else if responses.iter().all(is_ours) {
            Reached::Nothing
        } else {
            Reached::Answers
        }
    }
}

/// What a relay says of the host it runs on, before it spoke to another: no
/// descriptors, no lock, a bug (RFC 3463: X.3).
fn is_ours(response: &Response) -> bool {
    let enhanced = response.enhanced.as_ref();
    enhanced.is_some_and(|code| code.subject == 3)
}

fn is_final(response: &Response) -> bool {
    matches!(response.class(), Class::Success | Class::Permanent)
}

/// No answer from the host, no answer from the DNS, no route (RFC 3463: X.4.1,
/// X.4.3, X.4.4), or a greeting that sends us away (RFC 5321: 421).
fn is_absence(response: &Response) -> bool {
    let enhanced = response.enhanced.as_ref();
    response.code.get() == 421
        || enhanced.is_some_and(|code| code.subject == 4 && matches!(code.detail, 1 | 3 | 4))
}

impl Backoff {
    /// For how long nothing is sent there from `now`, and why; none when it may
    /// be tried.
    pub(super) fn pause(&self, now: Duration) -> Option<(Duration, &Response)> {
        let pause = self.pause.as_ref()?;
        (now < pause.until).then(|| (pause.until.saturating_sub(now), &pause.last))
    }

    /// Failures to reach it since it was last reached.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// What the last of them said.
    pub(super) fn last(&self) -> Option<&Response> {
        self.last.as_ref()
    }

    /// Counts messages that are put off because of the pause; gives how many
    /// were before.
    pub(super) fn count_put_off(&mut self, of: &Destination, messages: usize) -> usize {
        let Some(pause) = &mut self.pause else {
            return 0;
        };
        let before = pause.put_off;
        pause.put_off = before.saturating_add(messages);
        self.long |= pause.put_off > BY_SCHEDULE_MAX;
        if self.long && self.put_off.len() < TENANTS_MAX && !self.put_off.contains(of) {
            self.put_off.insert(of.clone());
        }
        before
    }

    /// Whose messages waited longer than their schedule says, for the last time.
    pub(super) fn take_long(&mut self) -> Option<BTreeSet<Destination>> {
        let put_off = std::mem::take(&mut self.put_off);
        std::mem::take(&mut self.long).then_some(put_off)
    }

    /// Ends the pause: the next attempt probes.
    pub(super) fn end_pause(&mut self, now: Duration) {
        if let Some(pause) = &mut self.pause {
            pause.until = pause.until.min(now);
        }
    }

    /// A probe that was none is made again, by one message as before.
    fn probe_again(&mut self, now: Duration, limits: &Limits) {
        if let Some(pause) = &mut self.pause
            && pause.until <= now
        {
            pause.until = now.saturating_add(limits.backoff_min);
        }
    }

    /// Learns from an attempt that ended at `now`.
    pub(super) fn learn(
        &mut self,
        reached: &Reached,
        now: Duration,
        limits: &Limits,
    ) -> Option<News> {
        let last = match reached {
            Reached::Absent(last) => last,
            Reached::Nothing => {
                self.probe_again(now, limits);
                return None;
            }
            Reached::Works | Reached::Answers => {
                (self.failures, self.last) = (0, None);
                return self.pause.take().map(|_| News::Resumes);
            }
        };
        self.last = Some(last.clone());
        if self.pause(now).is_some() {
            // It began before the pause.
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let doublings = self.failures.checked_sub(FAILURES_MAX)?.min(DOUBLINGS_MAX);
        let length = limits
            .backoff_min
            .saturating_mul(1 << doublings)
            .min(limits.backoff_max);
        if length.is_zero() {
            return None;
        }
        self.pause = Some(Pause {
            until: now.saturating_add(length),
            last: last.clone(),
            put_off: 0,
        });
        Some(News::Pauses(length, last.clone()))
    }
}

/// The report on a message that was not sent because of the pause.
pub(super) fn not_tried(last: &Response, recipients: usize) -> Report {
    let text = format!(
        "Not tried, the next hop was not there lately: {}",
        last.text
    );
    let response = Response {
        text,
        ..last.clone()
    };
    Report::all(response, recipients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::OnSuccess;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> Limits {
        Limits {
            backoff_min: 10 * SECOND,
            backoff_max: 35 * SECOND,
            ..Limits::default()
        }
    }

    fn absent() -> Reached {
        Reached::of(&Report::all(Response::transient(4, 1, "refused"), 2))
    }

    /// How long the pause is that the next failure at `now` begins.
    fn fails(backoff: &mut Backoff, now: Duration) -> Option<u64> {
        match backoff.learn(&absent(), now, &limits()) {
            Some(News::Pauses(length, _)) => Some(length.as_secs()),
            Some(News::Resumes) => panic!("it did not resume"),
            None => None,
        }
    }

    #[test]
    fn pauses_grow_until_the_destination_is_reached() {
        let mut backoff = Backoff::default();
        let first: Vec<_> = (0..5).map(|_| fails(&mut backoff, SECOND)).collect();
        assert_eq!(first, [None, None, None, None, Some(10)]);
        assert!(backoff.pause(10 * SECOND).is_some());
        assert!(backoff.pause(11 * SECOND).is_none(), "time for a probe");
        let later = [11, 31, 66].map(|at| fails(&mut backoff, at * SECOND));
        assert_eq!(later, [Some(20), Some(35), Some(35)]);
        let answer = Reached::of(&Report::all(Response::new(451, None, "later"), 1));
        let news = backoff.learn(&answer, 101 * SECOND, &limits());
        assert_eq!(news, Some(News::Resumes));
        assert_eq!(fails(&mut backoff, 101 * SECOND), None, "all anew");
    }

    #[test]
    fn attempts_that_began_before_the_pause_do_not_lengthen_it() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            fails(&mut backoff, SECOND);
        }
        assert_eq!(fails(&mut backoff, 2 * SECOND), None);
        assert_eq!(fails(&mut backoff, 11 * SECOND), Some(20));
    }

    #[test]
    fn what_fails_here_says_nothing_of_the_destination() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            fails(&mut backoff, SECOND);
        }
        let ours = Reached::of(&Report::all(Response::transient(3, 0, "no descriptors"), 1));
        assert_eq!(backoff.learn(&ours, 2 * SECOND, &limits()), None);
        assert!(backoff.pause(2 * SECOND).is_some(), "it is still away");
        assert_eq!(backoff.learn(&ours, 11 * SECOND, &limits()), None);
        assert!(backoff.pause(20 * SECOND).is_some(), "to be probed again");
        assert_eq!(fails(&mut backoff, 21 * SECOND), Some(20));
    }

    #[test]
    fn who_wants_no_pauses_hears_nothing_of_them() {
        let none = Limits {
            backoff_max: Duration::ZERO,
            ..limits()
        };
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            assert_eq!(backoff.learn(&absent(), SECOND, &none), None);
        }
        assert_eq!(backoff.learn(&Reached::Works, SECOND, &none), None);
    }

    #[test]
    fn only_what_says_so_for_all_is_absence() {
        let of = |responses: &[&Response]| {
            let responses = responses.iter().map(|r| (*r).clone()).collect();
            Reached::of(&Report {
                responses,
                remote: None,
                on_success: OnSuccess::default(),
            })
        };
        let absent = Response::transient(4, 1, "refused");
        let busy = Response::new(421, None, "too many");
        let taken = Response::success(0, 0, "taken");
        let full = Response::transient(2, 2, "mailbox full");
        assert_eq!(of(&[&absent, &busy]), Reached::Absent(absent.clone()));
        assert_eq!(of(&[&absent, &taken]), Reached::Works);
        assert_eq!(of(&[&absent, &full]), Reached::Answers);
        assert_eq!(of(&[]), Reached::Nothing);
        let ours = Response::transient(3, 0, "no file descriptors");
        assert_eq!(of(&[&ours, &ours]), Reached::Nothing);
        assert_eq!(of(&[&ours, &absent]), Reached::Answers);
        let lost = Response::transient(4, 2, "connection lost");
        assert_eq!(of(&[&lost]), Reached::Answers);
        let said = Report {
            remote: Some("mx.example".to_owned()),
            ..Report::all(absent, 1)
        };
        assert_eq!(Reached::of(&said), Reached::Answers, "it was there");
        let theirs = Report {
            responses: vec![ours],
            ..said
        };
        assert_eq!(
            Reached::of(&theirs),
            Reached::Answers,
            "it said so of itself"
        );
    }
}
