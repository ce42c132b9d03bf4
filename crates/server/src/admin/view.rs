//! Messages and counts as operators see them: in JSON, and behind the tables.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use slimta_core::message::{ByMode, Priority};
use slimta_core::queue::{InHand, Why};
use slimta_core::storage::{Listed, State, Stats, Suspension};
use slimta_core::world::Timestamp;

use super::story::StoryView;

/// A message with where it stands. Times are RFC 3339, UTC.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct MessageView {
    /// Its id.
    pub(crate) id: String,
    /// The id that the client was told: that of the first message of the
    /// submission.
    pub(crate) submission: String,
    /// Its reverse-path; empty for the null reverse-path.
    pub(crate) sender: String,
    /// Those that still wait.
    pub(crate) recipients: Vec<String>,
    /// Where it goes.
    pub(crate) destination: String,
    /// Size of the contents in bytes.
    pub(crate) size: u64,
    /// `high`, `normal` or `low`; `normal` from a server that does not say.
    #[serde(default = "normal")]
    pub(crate) priority: String,
    /// `active`, `deferred` or `held`.
    pub(crate) state: String,
    /// How many attempts have failed.
    pub(crate) attempts: u32,
    /// When it was received.
    pub(crate) received_at: String,
    /// When it is attempted next; null while it is held or attempted.
    pub(crate) next_attempt_at: Option<String>,
    /// What deferred it last, such as `450 4.2.0 Greylisted`.
    pub(crate) last_response: Option<String>,
    /// Why an operator holds it back.
    pub(crate) hold_reason: Option<String>,
    /// When the lock on it ends unless it is renewed; null if nobody has it.
    pub(crate) locked_until: Option<String>,
    /// Who handed it in, if that is known.
    pub(crate) client_ip: Option<String>,
    /// Before which time its sender asked not to send it; null if it did not ask.
    #[serde(default)]
    pub(crate) released_at: Option<String>,
    /// By when it is to be delivered, if its sender said so; else null.
    #[serde(default)]
    pub(crate) deliver_by_at: Option<String>,
    /// Whether it goes back then (`return`), or its sender is told that it is late
    /// (`notify`); null if there is no such time.
    #[serde(default)]
    pub(crate) deliver_by_else: Option<String>,
    /// Whether its sender requires TLS on all of its way.
    #[serde(default)]
    pub(crate) requires_tls: bool,
    /// Why it is not attempted just now; null from a server that does not say.
    #[serde(default)]
    pub(crate) why: Option<String>,
    /// Its story, where messages are not listed but asked for by an id.
    #[serde(flatten)]
    pub(crate) story: Option<StoryView>,
}

impl MessageView {
    pub(super) fn new(listed: &Listed, why: &Why) -> Self {
        let message = &listed.message;
        let waits = message.held.is_none() && listed.lease.is_none();
        let recipients = message.envelope.recipients.iter();
        let deliver_by = message.envelope.deliver_by;
        MessageView {
            id: message.id.to_string(),
            submission: message.submission.to_string(),
            sender: message.envelope.sender.as_str().to_owned(),
            recipients: recipients.map(|r| r.address.as_str().to_owned()).collect(),
            destination: message.destination.to_string(),
            size: message.size,
            priority: shown_priority(message.priority).to_owned(),
            state: shown_state(listed.state()).to_owned(),
            attempts: message.attempts,
            received_at: message.received.rfc3339(),
            next_attempt_at: waits.then(|| message.due.rfc3339()),
            last_response: message.last_response.as_ref().map(ToString::to_string),
            hold_reason: message.held.clone(),
            locked_until: listed.lease.as_ref().map(|lease| lease.end.rfc3339()),
            client_ip: message.client.ip.map(|ip| ip.to_string()),
            released_at: message
                .envelope
                .release
                .map(|_| message.released().rfc3339()),
            deliver_by_at: deliver_by.map(|by| by.by.rfc3339()),
            deliver_by_else: deliver_by.map(|by| shown_mode(by.mode).to_owned()),
            requires_tls: message.envelope.require_tls,
            why: Some(why.to_string()),
            story: None,
        }
    }
}

/// The name of a priority.
fn shown_priority(priority: Priority) -> &'static str {
    match priority {
        Priority::High => "high",
        Priority::Normal => "normal",
        Priority::Low => "low",
    }
}

/// The name of what becomes of late mail.
fn shown_mode(mode: ByMode) -> &'static str {
    match mode {
        ByMode::Return => "return",
        ByMode::Notify => "notify",
    }
}

fn normal() -> String {
    shown_priority(Priority::Normal).to_owned()
}

/// The name of a state.
pub(crate) fn shown_state(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Deferred => "deferred",
        State::Held => "held",
    }
}

/// What a server has in hand of one destination.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct DestinationView {
    /// The destination.
    pub(crate) destination: String,
    /// Messages in memory.
    pub(crate) messages: usize,
    /// Those that are attempted just now.
    pub(crate) attempts: usize,
    /// How many may be at the same time; null if no server was asked.
    pub(crate) attempts_allowed: Option<usize>,
    /// How many attempts may begin in a time, such as `100/min`; null for any
    /// number, and from a server that does not say.
    #[serde(default)]
    pub(crate) rate: Option<String>,
    /// In how many milliseconds the rate allows the next one; null if it does.
    #[serde(default)]
    pub(crate) rate_wait_ms: Option<u64>,
    /// Failures to reach it in a row.
    pub(crate) failures: u32,
    /// For how many seconds more it is left alone; null if it is not.
    pub(crate) paused_seconds: Option<u64>,
    /// What the last failure to reach it said; null if it was reached since.
    pub(crate) last_response: Option<String>,
    /// What keeps its mail back; null if nothing does.
    #[serde(default)]
    pub(crate) suspended: Option<SuspensionView>,
    /// Messages in the storage that nobody holds and nobody has in hand; null
    /// if they were not counted.
    #[serde(default)]
    pub(crate) waiting: Option<usize>,
    /// Those of them that are due.
    #[serde(default)]
    pub(crate) due: Option<usize>,
    /// Whether there are more than was counted.
    #[serde(default)]
    pub(crate) more: bool,
    /// How many messages it takes in an hour, if it goes on as it did of late; null
    /// if it took none.
    #[serde(default)]
    pub(crate) per_hour: Option<u64>,
    /// In how many seconds what waits and is in hand is gone at that pace, or more,
    /// if there are more; null if it took none of late, or is left alone or
    /// suspended.
    #[serde(default)]
    pub(crate) drain_seconds: Option<u64>,
}

/// Mail that an operator keeps back by where it goes.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct SuspensionView {
    /// For which destinations.
    pub(crate) destinations: String,
    /// Why.
    pub(crate) reason: String,
    /// When it ends by itself; null if it does not.
    pub(crate) until: Option<String>,
}

impl From<Suspension> for SuspensionView {
    fn from(suspension: Suspension) -> Self {
        SuspensionView {
            destinations: suspension.destinations,
            reason: suspension.reason,
            until: suspension.until.map(Timestamp::rfc3339),
        }
    }
}

impl DestinationView {
    /// One of which nothing is in hand, or some that are suspended together.
    pub(super) fn named(destination: String) -> Self {
        DestinationView {
            destination,
            messages: 0,
            attempts: 0,
            attempts_allowed: None,
            rate: None,
            rate_wait_ms: None,
            failures: 0,
            paused_seconds: None,
            last_response: None,
            suspended: None,
            waiting: None,
            due: None,
            more: false,
            per_hour: None,
            drain_seconds: None,
        }
    }

    /// Estimates when all is gone that was counted.
    pub(super) fn estimate(&mut self) {
        let stands = self.paused_seconds.is_some() || self.suspended.is_some();
        let per_hour = self.per_hour.filter(|_| !stands);
        self.drain_seconds = per_hour.zip(self.waiting).and_then(|(per_hour, waiting)| {
            let messages = u64::try_from(waiting.saturating_add(self.messages)).ok()?;
            let left = Some(messages).filter(|messages| *messages > 0)?;
            Some(left.saturating_mul(3600).div_ceil(per_hour.max(1)))
        });
    }

    pub(super) fn new(in_hand: InHand) -> Self {
        let (length, last) = in_hand.pause.unzip();
        let last = last.or(in_hand.last_failure);
        DestinationView {
            messages: in_hand.messages,
            attempts: in_hand.attempts,
            attempts_allowed: Some(in_hand.attempts_allowed),
            rate: in_hand.rate.map(|rate| rate.to_string()),
            rate_wait_ms: in_hand.rate_wait.map(millis),
            failures: in_hand.failures,
            per_hour: Some(in_hand.per_hour).filter(|messages| *messages > 0),
            paused_seconds: length.map(|length| length.as_secs()),
            last_response: last.map(|last| last.to_string()),
            ..DestinationView::named(in_hand.destination.to_string())
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Counts.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StatsView {
    /// All messages but the quarantined.
    pub(crate) messages: u64,
    /// Being attempted, or never attempted yet.
    pub(crate) active: u64,
    /// Failed for now.
    pub(crate) deferred: u64,
    /// Held by an operator.
    pub(crate) held: u64,
    /// Unreadable, kept aside.
    pub(crate) quarantined: u64,
    /// Size of the contents in bytes, shared contents once.
    pub(crate) bytes: u64,
    /// How long ago the oldest message was received, in seconds; 0 if there is
    /// none.
    pub(crate) oldest_age_seconds: u64,
}

impl StatsView {
    pub(super) fn new(stats: &Stats, now: Timestamp) -> Self {
        let age = stats
            .oldest
            .map_or(Duration::ZERO, |oldest| now.since(oldest));
        StatsView {
            messages: stats.messages,
            active: stats.active,
            deferred: stats.deferred,
            held: stats.held,
            quarantined: stats.quarantined,
            bytes: stats.bytes,
            oldest_age_seconds: age.as_secs(),
        }
    }
}
