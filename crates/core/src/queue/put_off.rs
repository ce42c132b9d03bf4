//! What is due for a destination that is left alone is put off: many messages in
//! one commit, without reading their contents; and when the destination is back,
//! what was put off for long is due at once.
//!
//! Some go by their own schedule, so that one of them comes to probe. The others
//! wait for up to an hour, whatever their schedule says: a million messages for a
//! dead host would else be written anew every few minutes, for nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::message::{Destination, Response};
use crate::storage::{
    Action, Change, Deferral, Filter, Leased, Page, Session, Settled, Settlement, State,
    StorageError,
};
use crate::world::Timestamp;

use super::attempt::{Attempt, tell};
use super::backoff::{BY_SCHEDULE_MAX, not_tried};
use super::judge::{Verdict, judge};
use super::place::Place;
use super::schedule::spread;
use super::settle::{history, is_late};
use super::shared::{Phase, Shared};

/// The longest that others wait, if their schedule does not wait longer.
const PUT_OFF_TIME_MAX: Duration = Duration::from_secs(3600);
/// Messages made due in one step.
const DUE_PAGE: usize = 500;

/// Leased messages of a destination that is left alone.
#[derive(Debug)]
pub(super) struct PutOff {
    destination: Destination,
    /// Why it is left alone.
    last: Response,
    leased: Vec<(Leased, Place)>,
    /// When the leases were asked for, on the monotonic clock.
    asked: Duration,
}

impl PutOff {
    pub(super) fn new(
        destination: Destination,
        last: Response,
        leased: Vec<(Leased, Place)>,
        asked: Duration,
    ) -> Self {
        PutOff {
            destination,
            last,
            leased,
            asked,
        }
    }

    /// Puts them off in one commit. Those of which somebody must be told take
    /// the way of an attempt, which the pause cuts short. If the commit fails,
    /// the leases run out: nothing was tried, so nothing has to be remembered.
    pub(super) async fn run(self, shared: &Shared) {
        let Ok(session) = shared.session().await else {
            return;
        };
        let now = session.now();
        let before = shared
            .lanes
            .count_put_off(&self.destination, self.leased.len());
        let (mut settlements, mut verdicts, mut attempts) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = Vec::new();
        for (number, (leased, place)) in self.leased.into_iter().enumerate() {
            let by_schedule = before + number < BY_SCHEDULE_MAX;
            match decide(shared, &leased, &self.last, by_schedule, now) {
                Some((deferral, verdict)) => {
                    let Leased { lease, message } = leased;
                    settlements.push(Settlement {
                        lease,
                        change: Change::Defer(deferral),
                        notices: Vec::new(),
                    });
                    verdicts.push((message, verdict));
                    places.push(place);
                }
                None => attempts.push(Attempt::new(shared, leased, None, place, self.asked)),
            }
        }
        let settled = match settlements.is_empty() {
            true => Ok(Vec::new()),
            false => session.settle(&settlements).await,
        };
        match settled {
            Ok(answers) => {
                for ((message, verdict), answer) in verdicts.iter().zip(answers) {
                    match answer {
                        Ok(Settled::Done) => tell(shared, message, verdict, None),
                        Ok(Settled::LeaseLost) => {}
                        Err(error) => could_not(&self.destination, &error),
                    }
                }
            }
            Err(error) => could_not(&self.destination, &error),
        }
        drop(places);
        join_all(attempts.into_iter().map(|attempt| attempt.run(shared))).await;
    }
}

fn could_not(destination: &Destination, error: &StorageError) {
    tracing::warn!(%destination, %error, "mail for a destination that is left alone could not be put off; it comes back when its lease ends");
}

/// How long a message waits; none if somebody must be told that it failed or is
/// late.
fn decide(
    shared: &Shared,
    leased: &Leased,
    last: &Response,
    by_schedule: bool,
    now: Timestamp,
) -> Option<(Deferral, Verdict)> {
    let message = &leased.message;
    let rules = shared.rules.get();
    let report = not_tried(last, message.envelope.recipients.len());
    let mut verdict = judge(message, &report, &*rules.retry, now);
    let odd = verdict.retry_broken || !verdict.failed.is_empty();
    if odd || is_late(message, rules.delay_notice_after, now) {
        return None;
    }
    verdict.put_off = true;
    let mut deferral = verdict.deferral.take()?;
    if !by_schedule {
        let half = PUT_OFF_TIME_MAX / 2;
        let wait = half + half.mul_f64(spread(message.id, message.attempts));
        let latest = verdict.retry_until.unwrap_or(Timestamp::MAX);
        let due = deferral.due.max(now.after(wait).min(latest));
        let by = message.envelope.deliver_by;
        deferral.due = by.map_or(due, |by| by.bounds(due, now));
    }
    deferral.history = history(message, &verdict, &deferral, now);
    verdict.deferral = Some(deferral.clone());
    Some((deferral, verdict))
}

/// Makes all mail of destinations due that are back, one after the other.
pub(super) async fn make_due(shared: Arc<Shared>, destinations: Vec<Destination>) {
    let Ok(session) = shared.session().await else {
        return;
    };
    for destination in destinations {
        make_one_due(&shared, &*session, destination).await;
    }
}

/// The same of one, as long as it is back.
async fn make_one_due(shared: &Shared, session: &dyn Session, destination: Destination) {
    let filter = Filter {
        destination: Some(destination.clone()),
        state: Some(State::Deferred),
        ..Filter::default()
    };
    let mut page = Page::first(DUE_PAGE);
    while shared.phase() == Phase::Running {
        let now = shared.world().monotonic();
        if shared.lanes.pause(&destination, now).is_some() {
            return;
        }
        let action = Action::SetDue(session.now());
        match session.act(&filter, page, &action).await {
            Ok(acted) if acted.next.is_none() => return,
            Ok(acted) => page.after = acted.next,
            Err(error) => {
                tracing::warn!(%destination, %error, "mail of a destination that is back could not be made due; it waits for its own time");
                return;
            }
        }
    }
}
