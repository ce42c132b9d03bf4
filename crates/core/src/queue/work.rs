//! Work: what [`accept`](super::Queue::accept) and [`retry`](super::Queue::retry)
//! hand out.
//!
//! It is returned, not spawned: the caller decides when, where and whether it
//! runs, and a test that drops it has simulated a crash.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::bus::Reply;
use crate::message::{
    Destination, EnhancedCode, Message, Priority, Response, StoredMessage, Submission,
};
use crate::storage::{FirstLeases, Session, StorageError};

use super::attempt::Attempt;
use super::lane::For;
use super::place::Place;
use super::shared::{Phase, Shared};
use super::split::split;
use super::suspend;

/// Something to do, in two steps: store, then attempt. Running it does both.
#[must_use = "work does nothing until it is run"]
pub struct Work {
    shared: Arc<Shared>,
    step: Step,
}

enum Step {
    /// Messages from the edge that are not stored yet.
    Store {
        messages: Vec<Message>,
        reply: Reply<Response>,
    },
    /// Leased messages that wait for their attempt.
    Attempt(Vec<Attempt>),
}

impl Work {
    pub(super) fn store_all(
        shared: Arc<Shared>,
        messages: Vec<Message>,
        reply: Reply<Response>,
    ) -> Self {
        Work {
            shared,
            step: Step::Store { messages, reply },
        }
    }

    pub(super) fn attempt_all(shared: Arc<Shared>, attempts: Vec<Attempt>) -> Self {
        Work {
            shared,
            step: Step::Attempt(attempts),
        }
    }

    /// Stores, answers the edge, attempts, settles.
    pub async fn run(self) {
        self.store().await.attempt().await;
    }

    /// The first step alone: stores each message and answers the edge, one
    /// response a message in their order. What is left of the work is to
    /// attempt what could be leased.
    ///
    /// One failure never fails the others. The edge may be gone by then: what
    /// is stored stays stored.
    pub async fn store(self) -> Work {
        let (messages, reply) = match self.step {
            Step::Store { messages, reply } => (messages, reply),
            Step::Attempt(_) => return self,
        };
        let storing = messages.into_iter().map(|m| store_one(&self.shared, m));
        let (responses, attempts): (Vec<_>, Vec<_>) = join_all(storing).await.into_iter().unzip();
        if let Err(error) = reply.send(responses) {
            tracing::error!(%error, "edge bus could not be answered");
        }
        Work {
            step: Step::Attempt(attempts.into_iter().flatten().collect()),
            shared: self.shared,
        }
    }

    /// The second step alone, without storing: attempts what is leased.
    pub async fn attempt(self) {
        if let Step::Attempt(attempts) = self.step {
            join_all(attempts.into_iter().map(|a| a.run(&self.shared))).await;
        }
    }
}

/// Stores one message, split by destination, and leases what there is room to
/// attempt at once.
async fn store_one(shared: &Shared, message: Message) -> (Response, Vec<Attempt>) {
    let session = match shared.session().await {
        Ok(session) => session,
        Err(error) => return refused(&error),
    };
    let router = shared.rules.get().router.clone();
    let Some(submission) = split(message, &*router, shared.world(), session.now()) else {
        let no_recipients = Some(EnhancedCode::new(5, 5, 1));
        return (
            Response::new(554, no_recipients, "No recipients"),
            Vec::new(),
        );
    };
    match store(shared, &*session, submission.clone()).await {
        Ok(attempts) => {
            shared.observe_received(&submission);
            (queued(&submission), attempts)
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &StorageError) -> (Response, Vec<Attempt>) {
    tracing::error!(%error, "message could not be stored");
    (not_queued(error), Vec::new())
}

async fn store(
    shared: &Shared,
    session: &dyn Session,
    submission: Submission,
) -> Result<Vec<Attempt>, StorageError> {
    if shared.has_relay() {
        suspend::refresh(shared, session).await?;
    }
    let places = places(shared, session, &submission);
    let content = submission.content.clone();
    let lease = (!places.is_empty()).then_some(FirstLeases {
        count: places.len(),
        lease: shared.settings.lock_duration,
    });
    let asked = shared.world().monotonic();
    let urgent = match waits(session, &submission) {
        true => Vec::new(),
        false => urgent(shared, &submission, places.len()),
    };
    let leased = session.store(submission, lease).await?;
    for destination in &urgent {
        shared.lanes.note_urgent(destination);
    }
    let attempts = leased.into_iter().zip(places);
    Ok(attempts
        .map(|(leased, place)| Attempt::new(shared, leased, Some(content.clone()), place, asked))
        .collect())
}

/// Whether it is not to be attempted yet. Its messages have one due time.
fn waits(session: &dyn Session, submission: &Submission) -> bool {
    let first = submission.messages.first();
    first.is_some_and(|message| message.due > session.now())
}

/// A place for each message from the first on, as far as there is room and the
/// destination is not suspended. The store is the overflow: what gets no place is due, and the scheduler claims
/// it later.
fn places(shared: &Shared, session: &dyn Session, submission: &Submission) -> Vec<Place> {
    if !shared.has_relay() || shared.phase() != Phase::Running || waits(session, submission) {
        return Vec::new();
    }
    let (now, wall) = (shared.world().monotonic(), session.now());
    let enter = |message: &StoredMessage| {
        let whom = For::Fresh(message.priority);
        shared.lanes.try_enter(&message.destination, whom, now)
    };
    let suspended = |message: &&StoredMessage| {
        let suspension = shared.suspended.look(&message.destination, wall);
        suspension.is_some()
    };
    let messages = submission.messages.iter();
    messages
        .take_while(|message| !suspended(message))
        .map_while(enter)
        .collect()
}

/// Where mail goes that has no place and should be the next that gets one: of high
/// priority, or of a tenant that has less than its share.
fn urgent(shared: &Shared, submission: &Submission, places: usize) -> Vec<Destination> {
    if !shared.has_relay() {
        return Vec::new();
    }
    let now = shared.world().monotonic();
    let without = submission.messages.iter().skip(places);
    let urgent = without.filter(|message| {
        let (to, whom) = (&message.destination, For::Fresh(message.priority));
        let is_short = shared.lanes.note_wanted(to, whom, now);
        is_short || message.priority == Priority::High
    });
    urgent.map(|message| message.destination.clone()).collect()
}

/// What the client hears when its message is safe.
fn queued(submission: &Submission) -> Response {
    let id = submission
        .messages
        .first()
        .map(|m| m.submission.to_string());
    let text = format!("Message queued as {}", id.as_deref().unwrap_or_default());
    Response {
        data: id,
        ..Response::success(6, 0, text)
    }
}

/// What the client hears when it is not: to try again, without internals.
fn not_queued(error: &StorageError) -> Response {
    let (code, subject, detail) = match error {
        StorageError::Full(_) => (452, 3, 1),
        StorageError::Unavailable(_) => (451, 3, 0),
        _ => (450, 3, 0),
    };
    let enhanced = Some(EnhancedCode::new(4, subject, detail));
    let text = format!("Message queuing failed: {}", error.class());
    Response {
        data: Some(error.class().to_owned()),
        ..Response::new(code, enhanced, text)
    }
}
