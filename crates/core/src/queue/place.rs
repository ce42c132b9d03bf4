//! The place of one message in memory, and its turn within it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::message::{Destination, Priority, Response};
use crate::world::World;

use super::backoff::{News, Reached};
use super::lanes::Lanes;
use super::rate::Rate;
use super::room::{Share, Taken, is_small};
use super::shares::Whose;

/// Destinations that are remembered as failing while nothing of them is in
/// memory; beyond that they begin anew.
const FAILING_LANES_MAX: usize = 10_000;

/// The right of one message to be in memory.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) lanes: Arc<Lanes>,
    /// What names its lane.
    pub(super) next_hop: Destination,
    pub(super) whose: Whose,
    pub(super) slots: Arc<Semaphore>,
    pub(super) gate: Arc<Semaphore>,
    pub(super) room: Share,
    pub(super) is_due: bool,
    pub(super) rate: Option<Rate>,
    /// Whether it has taken one, if there is a rate.
    pub(super) has_token: AtomicBool,
}

/// The right of one message to be attempted now.
#[derive(Debug)]
pub(super) struct Slot {
    lane: Option<OwnedSemaphorePermit>,
    room: Option<Taken>,
    _ordinary: Option<OwnedSemaphorePermit>,
    _overall: Option<OwnedSemaphorePermit>,
}

impl Slot {
    /// The room of its contents, which are in memory for longer than the attempt.
    pub(super) fn take_room(&mut self) -> Option<Taken> {
        self.room.take()
    }
}

impl Place {
    /// Waits for a turn and for room for `bytes` of contents, or says why nothing is
    /// sent to the destination now.
    pub(super) async fn turn(
        &self,
        priority: Priority,
        bytes: u64,
        world: &World,
    ) -> Result<Slot, Response> {
        let pause = || self.lanes.pause(&self.next_hop, world.monotonic());
        loop {
            if let Some(why) = pause() {
                return Err(why);
            }
            let slot = self.slot(priority, bytes).await;
            // Those that had their turn before may have found it absent.
            if let Some(why) = pause() {
                return Err(why);
            }
            let Err(wait) = self.take_token(world.monotonic()) else {
                return Ok(slot);
            };
            // There was one for each place, but managers have joined since.
            drop(slot);
            world.sleep(wait).await;
        }
    }

    /// The semaphores are never closed, so the permits are always there. Who
    /// waits for room holds up only its own destination, and who has room waits
    /// for nobody without.
    pub(super) async fn slot(&self, priority: Priority, bytes: u64) -> Slot {
        let is_high = priority == Priority::High;
        let gate = match is_high {
            true => None,
            false => self.gate.acquire().await.ok(),
        };
        let lane = self.slots.clone().acquire_owned().await.ok();
        // Small mail passes those that wait for room.
        let _gate = gate.filter(|_| is_small(bytes));
        let room = self.room.take(bytes).await;
        let ordinary = match is_high {
            true => None,
            false => self.lanes.ordinary.clone().acquire_owned().await.ok(),
        };
        let overall = self.lanes.attempts.clone().acquire_owned().await.ok();
        Slot {
            lane,
            room,
            _ordinary: ordinary,
            _overall: overall,
        }
    }

    /// Takes a token if there is a rate, or says when one comes.
    fn take_token(&self, now: Duration) -> Result<(), Duration> {
        let Some(rate) = self.rate else {
            return Ok(());
        };
        let (mut map, managers) = (self.lanes.map(), self.lanes.managers());
        map.meter.take(&self.next_hop, rate, managers, now)?;
        if let Some(lane) = map.lanes.get_mut(&self.next_hop)
            && !self.has_token.swap(true, Ordering::Relaxed)
        {
            lane.without_token = lane.without_token.saturating_sub(1);
        }
        Ok(())
    }

    /// Ends an attempt at `now`, and lets the lane learn from it.
    pub(super) fn finish(&self, mut slot: Slot, reached: &Reached, now: Duration) -> Option<News> {
        let mut map = self.lanes.map();
        let lane = map.lanes.get_mut(&self.next_hop)?;
        let max = self.lanes.share(lane.allowed_max);
        match reached {
            Reached::Works => {
                lane.widen(max);
                lane.pace.count(now);
            }
            Reached::Answers | Reached::Absent(_) => lane.narrow_to(lane.allowed / 2),
            Reached::Nothing => {}
        }
        let news = lane.backoff.learn(reached, now, &self.lanes.limits.get());
        lane.narrow_to(max);
        if lane.surplus > 0
            && let Some(permit) = slot.lane.take()
        {
            lane.surplus -= 1;
            permit.forget();
        }
        if news == Some(News::Resumes)
            && let Some(long) = lane.backoff.take_long()
        {
            map.returned.extend(long);
            self.lanes.returned.notify_one();
        }
        news
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut map = self.lanes.map();
        map.taken.remove(self.is_due);
        map.shares.remove(&self.whose);
        let crowded = map.lanes.len() > FAILING_LANES_MAX;
        if let Some(lane) = map.lanes.get_mut(&self.next_hop) {
            lane.taken.remove(self.is_due);
            lane.shares.remove(&self.whose);
            if self.rate.is_some() && !self.has_token.load(Ordering::Relaxed) {
                lane.without_token = lane.without_token.saturating_sub(1);
            }
            let initial = self.lanes.initial(lane.allowed_max);
            let is_new = lane.allowed >= initial && lane.backoff.failures() == 0;
            if lane.taken.all == 0 && (is_new || crowded) {
                map.lanes.remove(&self.next_hop);
            }
        }
        drop(map);
        self.lanes.freed.notify_one();
    }
}
