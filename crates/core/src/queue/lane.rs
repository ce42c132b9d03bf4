//! The lane of one destination: its places, and its slots.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::message::Priority;

use super::backoff::Backoff;
use super::pace::Pace;
use super::room::Share;
use super::shares::Shares;
use super::why::InHand;

/// For each so many places there is one more for fresh mail of high priority;
/// and of so many slots, one is for mail of high priority only.
pub(super) const HIGH_SHARE: usize = 10;
/// For each so many places there is one more for what waits in the store, and one
/// more for what comes in, and one at least. Else fresh mail that comes faster
/// than it goes would take each place as it becomes free; and a long drain would
/// leave none for a message that has just come.
const SHARE: usize = 8;

/// Who asks for a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum For {
    /// What waits in the store.
    Due,
    /// What has just been stored.
    Fresh(Priority),
}

/// How many places are taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    pub(super) all: usize,
    /// Those of them that came from the store.
    due: usize,
}

impl Places {
    /// How many more of so many places somebody may take.
    pub(super) fn free(self, places: usize, whom: For) -> usize {
        let kept = (places / SHARE).max(1);
        let free = |places: usize| places.saturating_sub(self.all);
        match whom {
            For::Fresh(Priority::High) => free(
                places
                    .saturating_add(kept)
                    .saturating_add(places / HIGH_SHARE),
            ),
            For::Fresh(_) => {
                let fresh = self.all.saturating_sub(self.due);
                free(places).max(kept.saturating_sub(fresh))
            }
            For::Due => free(places).max(kept.saturating_sub(self.due)),
        }
    }

    pub(super) fn add(&mut self, is_due: bool) {
        self.all += 1;
        self.due += usize::from(is_due);
    }

    pub(super) fn remove(&mut self, is_due: bool) {
        self.all = self.all.saturating_sub(1);
        self.due = self.due.saturating_sub(usize::from(is_due));
    }
}

/// What is known of one destination.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) slots: Arc<Semaphore>,
    /// One at a time of those without high priority waits for a slot, so that
    /// high mail has but one before it.
    pub(super) gate: Arc<Semaphore>,
    pub(super) room: Share,
    /// What its rule allows, for all managers.
    pub(super) allowed_max: usize,
    /// How many slots there should be.
    pub(super) allowed: usize,
    /// Slots that are to vanish when they are given back.
    pub(super) surplus: usize,
    pub(super) taken: Places,
    pub(super) shares: Shares,
    /// Places that still have to take a token.
    pub(super) without_token: usize,
    pub(super) backoff: Backoff,
    pub(super) pace: Pace,
}

impl Lane {
    /// An empty one, with so many slots at first.
    pub(super) fn new(allowed_max: usize, initial: usize, room: Share) -> Self {
        Lane {
            slots: Arc::new(Semaphore::new(initial)),
            gate: Arc::new(Semaphore::new(1)),
            room,
            allowed_max,
            allowed: initial,
            surplus: 0,
            taken: Places::default(),
            shares: Shares::default(),
            without_token: 0,
            backoff: Backoff::default(),
            pace: Pace::default(),
        }
    }

    /// Completes what is known without it.
    pub(super) fn in_hand(&self, known: InHand, now: Duration) -> InHand {
        InHand {
            messages: self.taken.all,
            attempts: (self.allowed + self.surplus).saturating_sub(self.slots.available_permits()),
            attempts_allowed: self.allowed,
            per_hour: self.pace.per_hour(now),
            ..self.failing(known, now)
        }
    }

    /// Completes what is known without its failures.
    pub(super) fn failing(&self, known: InHand, now: Duration) -> InHand {
        let pause = self.backoff.pause(now);
        InHand {
            failures: self.backoff.failures(),
            last_failure: self.backoff.last().cloned(),
            pause: pause.map(|(left, last)| (left, last.clone())),
            ..known
        }
    }

    /// Takes a slot back, which vanishes if there are too many.
    pub(super) fn give_back(&mut self, slot: Option<OwnedSemaphorePermit>) {
        if self.surplus > 0
            && let Some(slot) = slot
        {
            self.surplus -= 1;
            slot.forget();
        }
    }

    pub(super) fn widen(&mut self, allowed_max: usize) {
        if self.allowed >= allowed_max {
            return;
        }
        self.allowed += 1;
        if self.surplus > 0 {
            self.surplus -= 1;
        } else {
            self.slots.add_permits(1);
        }
    }

    pub(super) fn narrow_to(&mut self, allowed: usize) {
        let allowed = allowed.clamp(1, self.allowed);
        let fewer = self.allowed - allowed;
        self.allowed = allowed;
        // Free slots vanish at once, taken ones when they are given back.
        self.surplus += fewer - self.slots.forget_permits(fewer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMAL: For = For::Fresh(Priority::Normal);
    const HIGH: For = For::Fresh(Priority::High);

    /// How many of a hundred places somebody gets who takes all.
    fn filled(taken: &mut Places, whom: For) -> usize {
        let free = taken.free(100, whom);
        (0..free).for_each(|_| taken.add(whom == For::Due));
        free
    }

    #[test]
    fn whoever_comes_first_leaves_room_for_the_others() {
        let first = |whom| {
            let mut taken = Places::default();
            let free = filled(&mut taken, whom);
            (free, taken)
        };
        let (free, mut taken) = first(NORMAL);
        assert_eq!(free, 100);
        assert_eq!(filled(&mut taken, For::Due), 12);
        assert_eq!(filled(&mut taken, HIGH), 10);
        let (free, mut taken) = first(For::Due);
        assert_eq!(free, 100);
        assert_eq!(filled(&mut taken, NORMAL), 12);
        assert_eq!(filled(&mut taken, HIGH), 10);
        let (free, mut taken) = first(HIGH);
        assert_eq!(free, 122);
        assert_eq!(filled(&mut taken, For::Due), 12);
        taken.remove(true);
        assert_eq!(taken.free(100, For::Due), 1);
    }

    #[test]
    fn the_narrowest_lane_has_room_for_what_waits() {
        let mut taken = Places::default();
        taken.add(false);
        assert_eq!(taken.free(1, For::Due), 1);
    }
}
