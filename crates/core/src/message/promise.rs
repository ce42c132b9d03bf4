//! What the sender of a message asked for beside its delivery, and what the queue
//! promised when it took the message.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StoredMessage;
use crate::world::Timestamp;

/// Not to be handed on before a time: HOLDFOR= or HOLDUNTIL= (RFC 4865).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FutureRelease {
    /// So many seconds after it was taken in.
    For(u32),
    /// At this time, or at once if it has passed.
    Until(Timestamp),
}

impl FutureRelease {
    /// When a message that was taken in at `taken` is released, by the same
    /// clock.
    pub fn of(self, taken: Timestamp) -> Timestamp {
        match self {
            FutureRelease::For(seconds) => taken.after(Duration::from_secs(seconds.into())),
            FutureRelease::Until(until) => until.max(taken),
        }
    }
}

/// As a report repeats it (RFC 4865 section 5.1.2).
impl fmt::Display for FutureRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FutureRelease::For(seconds) => write!(f, "for;{seconds}"),
            FutureRelease::Until(until) => write!(f, "until;{}", until.rfc3339_secs()),
        }
    }
}

impl StoredMessage {
    /// From when on it may be attempted, as its sender asked: when it was
    /// received, or later. Its age counts from here.
    pub fn released(&self) -> Timestamp {
        let release = self.envelope.release;
        release.map_or(self.received, |release| release.of(self.received))
    }

    /// Whether nobody has tried to hand it on because its sender asked so.
    pub(crate) fn waits_for_release(&self) -> bool {
        self.envelope.release.is_some() && self.attempts == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_counted_from_when_the_message_was_taken_in() {
        let taken = Timestamp::from_secs(1_700_000_000);
        let later = Timestamp::from_secs(1_700_003_600);
        assert_eq!(FutureRelease::For(3600).of(taken), later);
        assert_eq!(FutureRelease::Until(later).of(taken), later);
        let past = Timestamp::from_secs(1_600_000_000);
        assert_eq!(FutureRelease::Until(past).of(taken), taken);
    }

    #[test]
    fn a_report_repeats_what_was_asked() {
        assert_eq!(FutureRelease::For(3600).to_string(), "for;3600");
        let until = FutureRelease::Until(Timestamp::from_millis(1_795_508_249_123));
        assert_eq!(until.to_string(), "until;2026-11-24T08:17:29Z");
    }
}
