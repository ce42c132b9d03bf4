//! Room for attempts: how many messages of each destination are in memory, and
//! how many of them are attempted at the same time.
//!
//! A message first takes a [`Place`], which never waits and bounds what is
//! leased; then, within its place, a [`Slot`], which waits for its turn. The
//! number of slots of a destination grows with each success and halves with
//! each failure. One slow destination fills its own lane and no other; one that
//! is left alone needs no slots, for its messages are put off without a try.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::message::{Destination, Response};
use crate::world::World;

use super::backoff::{Backoff, News, Reached};
use super::limits::Limits;
use super::room::{Room, Share, Taken};
use super::why::InHand;

/// Destinations that are remembered as failing while nothing of them is in
/// memory; beyond that they begin anew.
const FAILING_LANES_MAX: usize = 10_000;
/// Messages of a destination that is left alone which are put off at the same
/// time. There may be many of them, and none takes long.
const PAUSED_PLACES: usize = 400;

/// The lanes of all destinations.
#[derive(Debug)]
pub(super) struct Lanes {
    limits: Limits,
    /// How many managers share the limit of a destination.
    managers: AtomicUsize,
    /// Slots over all destinations.
    attempts: Arc<Semaphore>,
    /// A std mutex: held for a look-up, never while waiting.
    lanes: Mutex<Map>,
    /// For the contents of large messages.
    room: Room,
    freed: Notify,
    returned: Notify,
}

#[derive(Debug, Default)]
struct Map {
    lanes: BTreeMap<Destination, Lane>,
    places: usize,
    /// Destinations that are back, and whose mail was put off for long.
    returned: Vec<Destination>,
}

#[derive(Debug)]
struct Lane {
    slots: Arc<Semaphore>,
    room: Share,
    /// How many slots there should be.
    allowed: usize,
    /// Slots that are to vanish when they are given back.
    surplus: usize,
    places: usize,
    backoff: Backoff,
}

impl Lanes {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Lanes {
            limits: limits.clone(),
            managers: AtomicUsize::new(1),
            attempts: Arc::new(Semaphore::new(limits.attempts_max.max(1))),
            lanes: Mutex::default(),
            room: Room::new(limits.contents_memory_max),
            freed: Notify::new(),
            returned: Notify::new(),
        })
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any place is taken.
    pub(super) fn are_used(&self) -> bool {
        self.places() > 0
    }

    /// How many places are taken.
    pub(super) fn places(&self) -> usize {
        self.map().places
    }

    /// Ends the pause of one destination, or of all.
    pub(super) fn end_pauses(&self, destination: Option<&Destination>, now: Duration) {
        for (to, lane) in &mut self.map().lanes {
            if destination.is_none_or(|one| one == to) {
                lane.backoff.end_pause(now);
            }
        }
    }

    /// All lanes, by destination.
    pub(super) fn in_hand(&self, now: Duration) -> Vec<InHand> {
        let map = self.map();
        let lanes = map.lanes.iter();
        lanes.map(|(to, lane)| lane.in_hand(to, now)).collect()
    }

    /// One lane; none if nothing is known of the destination.
    pub(super) fn look(&self, destination: &Destination, now: Duration) -> Option<InHand> {
        let map = self.map();
        let lane = map.lanes.get(destination)?;
        Some(lane.in_hand(destination, now))
    }

    /// How many places are free in the lane of `destination` at `now`, on the
    /// monotonic clock.
    pub(super) fn room(&self, destination: &Destination, now: Duration) -> usize {
        self.free(&self.map(), destination, now)
    }

    fn free(&self, map: &Map, destination: &Destination, now: Duration) -> usize {
        let ahead = self.limits.ahead_factor.max(1);
        let (places, taken) = match map.lanes.get(destination) {
            Some(lane) if lane.backoff.pause(now).is_some() => (PAUSED_PLACES, lane.places),
            Some(lane) => (lane.allowed.saturating_mul(ahead), lane.places),
            None => (self.initial().saturating_mul(ahead), 0),
        };
        let overall = self.limits.attempts_max.saturating_mul(ahead);
        (places.saturating_sub(taken)).min(overall.saturating_sub(map.places))
    }

    /// Says how many managers, with this one, share the limit of each
    /// destination. Wider lanes shrink with their next attempts.
    pub(super) fn share_with(&self, managers: usize) {
        self.managers.store(managers.max(1), Ordering::Relaxed);
    }

    /// This manager's share of what is allowed for one destination.
    fn max(&self) -> usize {
        let managers = self.managers.load(Ordering::Relaxed);
        let max = self.limits.attempts_per_destination_max.div_ceil(managers);
        max.max(1)
    }

    fn initial(&self) -> usize {
        let initial = self.limits.attempts_per_destination_initial;
        initial.clamp(1, self.max())
    }

    /// Why a destination is left alone at `now`; none if it is not.
    pub(super) fn pause(&self, destination: &Destination, now: Duration) -> Option<Response> {
        let map = self.map();
        let pause = map.lanes.get(destination)?.backoff.pause(now);
        pause.map(|(_, last)| last.clone())
    }

    /// Counts messages that are put off because their destination is left alone;
    /// gives how many were before.
    pub(super) fn count_put_off(&self, destination: &Destination, messages: usize) -> usize {
        let mut map = self.map();
        let lane = map.lanes.get_mut(destination);
        lane.map_or(0, |lane| lane.backoff.count_put_off(messages))
    }

    /// The destinations that came back since the last time, and whose mail was
    /// put off for long.
    pub(super) fn take_returned(&self) -> Vec<Destination> {
        std::mem::take(&mut self.map().returned)
    }

    /// Completes when such a destination came back.
    pub(super) async fn returned(&self) {
        self.returned.notified().await;
    }

    /// Takes a place if one is free at `now`, unless the destination is left
    /// alone: what comes then is put off together with what is there.
    pub(super) fn try_enter(
        self: &Arc<Self>,
        destination: &Destination,
        now: Duration,
    ) -> Option<Place> {
        let mut map = self.map();
        let lane = map.lanes.get(destination);
        let is_paused = lane.is_some_and(|lane| lane.backoff.pause(now).is_some());
        let is_free = !is_paused && self.free(&map, destination, now) > 0;
        is_free.then(|| self.place(&mut map, destination))
    }

    /// Takes a place whether or not one is free: for callers who bound what
    /// they take by themselves.
    pub(super) fn enter(self: &Arc<Self>, destination: &Destination) -> Place {
        self.place(&mut self.map(), destination)
    }

    fn place(self: &Arc<Self>, map: &mut Map, destination: &Destination) -> Place {
        let initial = self.initial();
        let lane = map
            .lanes
            .entry(destination.clone())
            .or_insert_with(|| Lane {
                slots: Arc::new(Semaphore::new(initial)),
                room: self.room.share(),
                allowed: initial,
                surplus: 0,
                places: 0,
                backoff: Backoff::default(),
            });
        lane.places += 1;
        map.places += 1;
        Place {
            lanes: self.clone(),
            destination: destination.clone(),
            slots: lane.slots.clone(),
            room: lane.room.clone(),
        }
    }

    /// Completes when a place was given back since the last time.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }
}

/// The right of one message to be in memory.
#[derive(Debug)]
pub(super) struct Place {
    lanes: Arc<Lanes>,
    destination: Destination,
    slots: Arc<Semaphore>,
    room: Share,
}

/// The right of one message to be attempted now.
#[derive(Debug)]
pub(super) struct Slot {
    lane: Option<OwnedSemaphorePermit>,
    _room: Option<Taken>,
    _overall: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Waits for a turn and for room for `bytes` of contents, or says why nothing
    /// is sent to the destination now.
    pub(super) async fn turn(&self, bytes: u64, world: &World) -> Result<Slot, Response> {
        let pause = || self.lanes.pause(&self.destination, world.monotonic());
        if let Some(why) = pause() {
            return Err(why);
        }
        let slot = self.slot(bytes).await;
        // Those that had their turn before may have found it absent.
        pause().map_or(Ok(slot), Err)
    }

    /// The semaphores are never closed, so the permits are always there. Who
    /// waits for room holds up only its own destination, and who has room waits
    /// for nobody without.
    async fn slot(&self, bytes: u64) -> Slot {
        let lane = self.slots.clone().acquire_owned().await.ok();
        let room = self.room.take(bytes).await;
        let overall = self.lanes.attempts.clone().acquire_owned().await.ok();
        Slot {
            lane,
            _room: room,
            _overall: overall,
        }
    }

    /// Ends an attempt at `now`, and lets the lane learn from it.
    pub(super) fn finish(&self, mut slot: Slot, reached: &Reached, now: Duration) -> Option<News> {
        let max = self.lanes.max();
        let mut map = self.lanes.map();
        let lane = map.lanes.get_mut(&self.destination)?;
        match reached {
            Reached::Works => lane.widen(max),
            Reached::Answers | Reached::Absent(_) => lane.narrow_to(lane.allowed / 2),
        }
        let news = lane.backoff.learn(reached, now, &self.lanes.limits);
        lane.narrow_to(max);
        if lane.surplus > 0
            && let Some(permit) = slot.lane.take()
        {
            lane.surplus -= 1;
            permit.forget();
        }
        if news == Some(News::Resumes) && lane.backoff.take_long() {
            map.returned.push(self.destination.clone());
            self.lanes.returned.notify_one();
        }
        news
    }
}

impl Lane {
    fn in_hand(&self, destination: &Destination, now: Duration) -> InHand {
        let pause = self.backoff.pause(now);
        InHand {
            destination: destination.clone(),
            messages: self.places,
            attempts: (self.allowed + self.surplus).saturating_sub(self.slots.available_permits()),
            attempts_allowed: self.allowed,
            failures: self.backoff.failures(),
            pause: pause.map(|(left, last)| (left, last.clone())),
        }
    }

    fn widen(&mut self, allowed_max: usize) {
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

    fn narrow_to(&mut self, allowed: usize) {
        let allowed = allowed.clamp(1, self.allowed);
        let fewer = self.allowed - allowed;
        self.allowed = allowed;
        // Free slots vanish at once, taken ones when they are given back.
        self.surplus += fewer - self.slots.forget_permits(fewer);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut map = self.lanes.map();
        map.places = map.places.saturating_sub(1);
        let initial = self.lanes.initial();
        let crowded = map.lanes.len() > FAILING_LANES_MAX;
        if let Some(lane) = map.lanes.get_mut(&self.destination) {
            lane.places = lane.places.saturating_sub(1);
            let is_new = lane.allowed >= initial && lane.backoff.failures() == 0;
            if lane.places == 0 && (is_new || crowded) {
                map.lanes.remove(&self.destination);
            }
        }
        drop(map);
        self.lanes.freed.notify_one();
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
