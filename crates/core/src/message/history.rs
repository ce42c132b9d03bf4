//! What became of the attempts of a message, as far as it is kept.

use serde::{Deserialize, Serialize};

use super::clean::{Charset, clean};
use super::{Response, StoredMessage};
use crate::world::Timestamp;

/// How many entries are kept; the oldest make room.
pub const HISTORY_ENTRIES_MAX: usize = 16;
/// How much of the first line of a reply is kept.
const REPLY_BYTES_MAX: usize = 200;
/// How much of the name of a next hop is kept.
const REMOTE_BYTES_MAX: usize = 100;

/// The last attempts of a message that left recipients waiting.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct History {
    /// How many attempts came before those that are kept.
    pub earlier: u32,
    /// The oldest first.
    pub entries: Vec<Past>,
}

/// An attempt, or several in a row that were put off; or that an operator sent
/// the message another way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Past {
    /// When it ended; of several, the last.
    pub at: Timestamp,
    /// What it was.
    pub kind: PastKind,
    /// How many recipients it was for.
    pub recipients: u32,
    /// For how many of them it failed for now.
    pub waiting: u32,
    /// Why, for the first of these: the first line of the reply.
    pub response: Response,
    /// The next hop that answered, if one did.
    pub remote: Option<String>,
}

/// Whether an attempt was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PastKind {
    /// It was.
    Tried,
    /// It was put off, because its destination was left alone. Those in a row
    /// are one entry, so that a long outage drives out no answer.
    PutOff {
        /// When that began.
        since: Timestamp,
        /// How often since then.
        times: u32,
    },
    /// None was made: an operator sent the message another way.
    Rerouted,
}

impl Past {
    /// What became of `waiting` of the recipients of `message` at `at`, of
    /// whom the first failed for now with `response`. Nothing that a next hop
    /// says makes it large.
    pub fn new(
        message: &StoredMessage,
        kind: PastKind,
        waiting: usize,
        (response, remote): (&Response, Option<&str>),
        at: Timestamp,
    ) -> Self {
        let first = response.text.lines().next().unwrap_or_default();
        let remote = remote.map(|name| clean(name, Charset::Utf8, REMOTE_BYTES_MAX));
        Past {
            at,
            kind,
            recipients: count(message.envelope.recipients.len()),
            waiting: count(waiting),
            response: Response {
                text: clean(first, Charset::Utf8, REPLY_BYTES_MAX),
                data: None,
                ..response.clone()
            },
            remote,
        }
    }

    /// How many attempts it stands for.
    pub fn times(&self) -> u32 {
        match self.kind {
            PastKind::Tried => 1,
            PastKind::PutOff { times, .. } => times,
            PastKind::Rerouted => 0,
        }
    }
}

impl StoredMessage {
    /// Its history with one more entry behind it.
    pub fn history_with(&self, mut past: Past) -> History {
        let mut history = self.history.clone();
        if history.entries.is_empty() {
            // Failed before there was a history.
            history.earlier = self.attempts;
        }
        if let (
            PastKind::PutOff { times, .. },
            Some(Past {
                kind: PastKind::PutOff { since, times: more },
                ..
            }),
        ) = (past.kind, history.entries.last())
        {
            past.kind = PastKind::PutOff {
                since: *since,
                times: more.saturating_add(times),
            };
            history.entries.pop();
        }
        history.entries.push(past);
        let too_many = history.entries.len().saturating_sub(HISTORY_ENTRIES_MAX);
        for gone in history.entries.drain(..too_many) {
            history.earlier = history.earlier.saturating_add(gone.times());
        }
        history
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "history_tests.rs"]
pub(super) mod tests;
