//! One attempt: a leased message goes to the relay bus, its report is judged,
//! and one commit settles it.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::message::{Content, Report, Response, StoredMessage, Submission};
use crate::relay::{Delivery, LeaseSignal};
use crate::storage::{Lease, Leased, Session, Settled, Settlement, StorageError};

use super::backoff::{Reached, not_tried};
use super::event::Event;
use super::judge::{Verdict, expired, judge};
use super::keeper::{keep, reliable_until};
use super::place::Place;
use super::room::{Taken, is_small};
use super::settle::{Conclusion, Telling, conclude};
use super::shared::{Phase, Shared};
use super::sites;
use super::split::split;
use super::suspend;

/// How long after the end of a lease a result is still offered to the storage:
/// it counts as long as nobody else has taken the message.
const SETTLE_GRACE: Duration = Duration::from_secs(600);
/// How long to wait before offering a result again.
const SETTLE_DELAY: Duration = Duration::from_secs(1);

/// A leased message that waits for its attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    leased: Leased,
    /// Known when the message has just been stored; read under the lease else.
    content: Option<Content>,
    place: Place,
    signal: LeaseSignal,
}

/// How the part of an attempt that can be cut short ended.
enum Tried {
    /// The relay said what became of it.
    Reported(Content, Report, Option<Taken>),
    /// Not attempted, because its destination is left alone: it is put off with
    /// this answer.
    PutOff(Content, Report, Option<Taken>),
    /// Not attempted; the message is given back.
    HandBack,
    /// Not attempted, and nothing is known about why: the lease runs out, which
    /// keeps a message that cannot be read from being tried in a tight loop.
    LeaveLeased,
}

impl Attempt {
    /// For a message whose lease was asked for at `asked` on the monotonic
    /// clock.
    pub(super) fn new(
        shared: &Shared,
        leased: Leased,
        content: Option<Content>,
        place: Place,
        asked: Duration,
    ) -> Self {
        let until = reliable_until(asked, shared.settings.lock_duration);
        Attempt {
            leased,
            content,
            place,
            signal: LeaseSignal::until(shared.world().clone(), until),
        }
    }

    /// Attempts and settles. Dropping this future leaves the message leased:
    /// it is due again when the lease ends.
    pub(super) async fn run(mut self, shared: &Shared) {
        let Ok(session) = shared.session().await else {
            return;
        };
        let Leased { lease, message } = self.leased;
        let message = Arc::new(message);
        let (content, place, signal) = (self.content, &mut self.place, &self.signal);
        let trying = async {
            match sites::join(shared, &message, place).await {
                true => deliver(shared, &*session, &message, content, place, signal).await,
                false => Tried::HandBack,
            }
        };
        let keeping = keep(
            &*session,
            lease.ticket(),
            shared.settings.lock_duration,
            &self.signal,
            shared.world(),
        );
        let tried = tokio::select! {
            biased;
            tried = trying => tried,
            () = shared.reached(Phase::Cut) => Tried::HandBack,
            never = keeping => match never {},
        };
        match tried {
            Tried::Reported(content, report, _room) => {
                let verdict = judged(shared, &*session, &message, &report);
                // However it ended, the observer was told.
                let _ = settle(shared, &*session, lease, &message, &content, &verdict).await;
            }
            Tried::PutOff(content, report, _room) => {
                let verdict = Verdict {
                    put_off: true,
                    ..judged(shared, &*session, &message, &report)
                };
                let _ = settle(shared, &*session, lease, &message, &content, &verdict).await;
            }
            Tried::HandBack => hand_back(shared, &*session, lease).await,
            Tried::LeaveLeased => {}
        }
    }
}

/// Waits for a turn, then asks the relay.
async fn deliver(
    shared: &Shared,
    session: &dyn Session,
    message: &Arc<StoredMessage>,
    content: Option<Content>,
    place: &Place,
    signal: &LeaseSignal,
) -> Tried {
    let mut turning = pin!(place.turn(message.priority, message.size, shared.world()));
    let (turn, content) = match turning.as_mut().now_or_never() {
        Some(turn) => (turn, content),
        None => {
            // What waits for its turn takes no room: it is read again then.
            let content = content.filter(|_| is_small(message.size));
            let turn = tokio::select! {
                biased;
                turn = turning => turn,
                () = shared.reached(Phase::Draining) => return Tried::HandBack,
            };
            (turn, content)
        }
    };
    if !signal.is_alive() {
        return Tried::LeaveLeased;
    }
    // Suspended since it was leased: it is due again as it was.
    if suspend::keeps_back(shared, session, &message.destination).await {
        return Tried::HandBack;
    }
    let room = match &turn {
        Ok(_) => None,
        Err(_) => place.room.take(message.size).await,
    };
    let content = match content {
        Some(content) => Some(content),
        None => contents(session, message).await,
    };
    let Some(content) = content else {
        return Tried::LeaveLeased;
    };
    if message.is_expired(session.now()) {
        return Tried::Reported(content, expired(message), room);
    }
    let mut slot = match turn {
        Ok(slot) => slot,
        Err(last) => {
            let report = not_tried(&last, message.envelope.recipients.len());
            return Tried::PutOff(content, report, room);
        }
    };
    shared.observe(&Event::Attempted {
        id: message.id,
        destination: message.destination.clone(),
        attempt: message.attempts.saturating_add(1),
    });
    let delivery = Delivery {
        message: message.clone(),
        content: content.clone(),
        now: session.now(),
        lease: signal.clone(),
    };
    let report = ask_relay(shared, delivery).await;
    let (room, now) = (slot.take_room(), shared.world().monotonic());
    if let Some(news) = place.finish(slot, &Reached::of(&report), now) {
        shared.observe(&news.event(message.destination.of_all()));
    }
    Tried::Reported(content, report, room)
}

/// The contents, if they can be read.
async fn contents(session: &dyn Session, message: &StoredMessage) -> Option<Content> {
    let read = session.contents(message.id).await;
    read.unwrap_or_else(|error| {
        tracing::warn!(id = %message.id, %error, "contents could not be read, trying again later");
        None
    })
}

/// Sends one delivery to the relay bus. Whatever goes wrong on the way is a
/// failure for now: what became of the message is not known. A panic is caught
/// here, or it would cut the other attempts of the same work between the next
/// hop's 2yz and our record of it, and its own message would come back for ever
/// uncounted.
pub(super) async fn ask_relay(shared: &Shared, delivery: Delivery) -> Report {
    let recipients = delivery.message.envelope.recipients.len();
    // A fault of this host's own, which says nothing of the destination.
    let failed = |text: &str| Report::all(Response::transient(3, 0, text), recipients);
    let Some(relay_bus) = shared.rules.get().relay_bus.clone() else {
        return failed("There is no relay");
    };
    // What the relay left half done is its own: nothing of it is used here.
    let asking = AssertUnwindSafe(relay_bus.send(vec![delivery])).catch_unwind();
    let limit = shared.lanes.limits.get().attempt_time_max;
    match shared.world().timeout(limit, asking).await {
        Some(Ok(Ok(mut reports))) if reports.len() == 1 => reports.swap_remove(0),
        Some(Ok(Ok(_))) => failed("The relay gave a wrong number of answers"),
        Some(Ok(Err(error))) => {
            tracing::warn!(%error, "relay bus failed");
            failed("The relay gave no answer")
        }
        Some(Err(_panic)) => {
            tracing::error!("the relay panicked: this is a bug in it");
            failed("The relay failed")
        }
        None => Report::all(
            Response::transient(4, 2, "The attempt took too long"),
            recipients,
        ),
    }
}

/// Gives the message back as it was before the attempt.
async fn hand_back(shared: &Shared, session: &dyn Session, lease: Lease) {
    match session.unlock(&lease).await {
        Ok(Settled::Done) => shared.observe(&Event::HandedBack { id: lease.id() }),
        Ok(Settled::LeaseLost) => {}
        // It comes back when the lease ends.
        Err(error) => tracing::warn!(id = %lease.id(), %error, "lease could not be given back"),
    }
}

/// Judges the report.
fn judged(
    shared: &Shared,
    session: &dyn Session,
    message: &StoredMessage,
    report: &Report,
) -> Verdict {
    let verdict = judge(message, report, &*shared.rules.get().retry, session.now());
    if verdict.retry_broken {
        shared.observe(&Event::RetryBroken { id: message.id });
    }
    verdict
}

/// Commits a verdict under its lease and tells the observer what happened.
/// Gives whether it was recorded.
pub(super) async fn settle(
    shared: &Shared,
    session: &dyn Session,
    lease: Lease,
    message: &StoredMessage,
    content: &Content,
    verdict: &Verdict,
) -> Result<Settled, StorageError> {
    let rules = shared.rules.keep();
    let now = session.now();
    let telling = Telling {
        builder: &*rules.bounce,
        reporting: &rules.hostname,
        delay_notice_after: rules.delay_notice_after,
        now,
    };
    let conclusion = conclude(message, content, verdict, &telling);
    let stored = |notice| split(notice, &*rules.router, shared.world(), now);
    let id_of = |notice: &Submission| notice.messages.first().map(|m| m.id);
    let Conclusion {
        change,
        bounce,
        delay_notice,
        success_notice,
    } = conclusion;
    let notices = [bounce, delay_notice, success_notice].map(|notice| notice.and_then(stored));
    let [bounce_id, delay_notice_id, success_notice_id] = notices
        .each_ref()
        .map(|notice| notice.as_ref().and_then(id_of));
    let settlement = Settlement {
        lease,
        change,
        notices: notices.into_iter().flatten().collect(),
    };
    let outcome = offer(shared, session, &settlement).await;
    let delivered = verdict.delivered.iter();
    let delivered = delivered.map(|(recipient, _)| recipient.address.clone());
    let delivered = delivered.collect();
    let id = message.id;
    match &outcome {
        Ok(Settled::Done) => {
            tell(shared, message, verdict, bounce_id);
            if let Some(notice) = delay_notice_id {
                shared.observe(&Event::DelayTold { id, notice });
            }
            if let Some(notice) = success_notice_id {
                shared.observe(&Event::SuccessTold { id, notice });
            }
            for notice in &settlement.notices {
                shared.observe_received(notice);
            }
        }
        Ok(Settled::LeaseLost) => shared.observe(&Event::LeaseLost { id, delivered }),
        Err(error) => shared.observe(&Event::Unsettled {
            id,
            delivered,
            error: error.to_string(),
        }),
    }
    outcome
}

/// Offers a settlement to the storage until it answers, or until there is no
/// hope left that the lease has not been taken.
async fn offer(
    shared: &Shared,
    session: &dyn Session,
    settlement: &Settlement,
) -> Result<Settled, StorageError> {
    let patience = shared.settings.lock_duration + SETTLE_GRACE;
    let give_up_at = shared.world().monotonic() + patience;
    loop {
        let answers = session.settle(std::slice::from_ref(settlement)).await;
        let answer = answers.and_then(|mut answers| answers.pop().transpose());
        let error = match answer {
            // An engine that answers nothing has promised nothing.
            Ok(answer) => return Ok(answer.unwrap_or(Settled::LeaseLost)),
            Err(error) => error,
        };
        let hopeless = matches!(
            error,
            StorageError::Closed | StorageError::Poisoned(_) | StorageError::Invalid(_)
        );
        if hopeless || shared.world().monotonic() >= give_up_at {
            return Err(error);
        }
        tracing::warn!(id = %settlement.lease.id(), %error, "result could not be recorded, trying again");
        shared.world().sleep(SETTLE_DELAY).await;
    }
}

/// One event a recipient.
pub(super) fn tell(
    shared: &Shared,
    message: &StoredMessage,
    verdict: &Verdict,
    notice: Option<crate::message::MessageId>,
) {
    let id = message.id;
    for (recipient, response) in &verdict.delivered {
        shared.observe(&Event::Delivered {
            id,
            recipient: recipient.address.clone(),
            response: response.clone(),
            remote: verdict.remote.clone(),
            age: shared.world().now().since(message.received),
        });
    }
    if let Some(deferral) = &verdict.deferral {
        for (recipient, response) in &verdict.deferred {
            shared.observe(&Event::Deferred {
                id,
                recipient: recipient.address.clone(),
                response: response.clone(),
                attempts: deferral.attempts,
                due: deferral.due,
            });
        }
    }
    for (recipient, response) in &verdict.failed {
        let (recipient, response) = (recipient.address.clone(), response.clone());
        shared.observe(&if message.envelope.sender.is_null() {
            Event::DoubleBounced {
                id,
                recipient,
                response,
            }
        } else {
            Event::Bounced {
                id,
                recipient,
                response,
                notice,
            }
        });
    }
}
