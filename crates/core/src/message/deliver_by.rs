//! The time by which a message is to be delivered, and what its sender wants else
//! (RFC 2852).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StoredMessage;
use crate::world::Timestamp;

/// Most seconds that BY= can say, either way (RFC 2852 section 4).
const SECONDS_MAX: i64 = 999_999_999;

/// BY= (RFC 2852 section 4), with the time that it comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeliverBy {
    /// Until when. In an envelope that comes in by the clock that gave the message
    /// its time, in the queue by the storage's.
    pub by: Timestamp,
    /// What to do if it is not delivered by then.
    pub mode: ByMode,
    /// Whether the sender wants to hear of each host that passes it on (`T`).
    pub trace: bool,
}

/// What becomes of a message that was not delivered in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ByMode {
    /// It goes back: it is of no use any more (`R`).
    Return,
    /// Its sender is told, and it is tried as before (`N`).
    Notify,
}

impl DeliverBy {
    /// So many seconds after `now`, or before.
    pub fn within(seconds: i64, mode: ByMode, trace: bool, now: Timestamp) -> Self {
        let millis = seconds.saturating_mul(1000);
        DeliverBy {
            by: Timestamp::from_millis(now.as_millis().saturating_add(millis)),
            mode,
            trace,
        }
    }

    /// The same, where what was `from` by one clock is `to` by another.
    #[must_use]
    pub fn moved(self, from: Timestamp, to: Timestamp) -> Self {
        let shift = to.as_millis().saturating_sub(from.as_millis());
        DeliverBy {
            by: Timestamp::from_millis(self.by.as_millis().saturating_add(shift)),
            ..self
        }
    }

    /// How many whole seconds are left at `now`; negative if it is over. As many
    /// as BY= can say.
    pub fn seconds_left(self, now: Timestamp) -> i64 {
        let millis = self.by.as_millis().saturating_sub(now.as_millis());
        millis.div_euclid(1000).clamp(-SECONDS_MAX, SECONDS_MAX)
    }

    /// Whether the time is over.
    pub fn is_over(self, now: Timestamp) -> bool {
        now >= self.by
    }

    /// When to try again that would be at `due`: at the end of the time at the
    /// latest, for then its sender is told.
    pub(crate) fn bounds(self, due: Timestamp, now: Timestamp) -> Timestamp {
        match self.is_over(now) {
            true => due,
            false => due.min(self.by),
        }
    }
}

impl StoredMessage {
    /// Until when it may be handed on, if its sender said so. Behind that it goes
    /// back unsent.
    pub fn returned_at(&self) -> Option<Timestamp> {
        let by = self.envelope.deliver_by?;
        (by.mode == ByMode::Return).then_some(by.by)
    }

    /// Whether it must not be handed on any more.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.returned_at().is_some_and(|by| now >= by)
    }

    /// When its sender is told that it is late: when it wanted to be, or at the
    /// usual age.
    pub(crate) fn late_at(&self, usual: Option<Duration>) -> Option<Timestamp> {
        match self.envelope.deliver_by {
            Some(by) if by.mode == ByMode::Notify => Some(by.by),
            _ => usual.map(|age| self.released().after(age)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn time_that_is_left_is_never_more_than_there_is() {
        let by = DeliverBy::within(10, ByMode::Return, false, NOW);
        assert_eq!(by.seconds_left(NOW), 10);
        assert_eq!(by.seconds_left(NOW.after(Duration::from_millis(1))), 9);
        assert_eq!(by.seconds_left(NOW.after(Duration::from_millis(9_500))), 0);
        assert_eq!(
            by.seconds_left(NOW.after(Duration::from_millis(10_001))),
            -1
        );
        let never = DeliverBy {
            by: Timestamp::MAX,
            ..by
        };
        assert_eq!(never.seconds_left(NOW), 999_999_999);
    }

    #[test]
    fn another_clock_leaves_the_same_time() {
        let by = DeliverBy::within(-5, ByMode::Notify, true, NOW);
        let other = NOW.after(Duration::from_secs(86_400));
        assert_eq!(by.moved(NOW, other).seconds_left(other), -5);
    }
}
