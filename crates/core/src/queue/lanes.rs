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
use super::why::InHand;

/// Destinations that are remembered as failing while nothing of them is in
/// memory; beyond that they begin anew.
const FAILING_LANES_MAX: usize = 10_000;
/// Messages of a destination that is left alone which are put off at the same
/// time. There may be many of them, and none takes long.
const PAUSED_PLACES: usize = 100;

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
    freed: Notify,
}

#[derive(Debug, Default)]
struct Map {
    lanes: BTreeMap<Destination, Lane>,
    places: usize,
}

#[derive(Debug)]
struct Lane {
    slots: Arc<Semaphore>,
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
            freed: Notify::new(),
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

    /// Takes a place if one is free at `now`.
    pub(super) fn try_enter(
        self: &Arc<Self>,
        destination: &Destination,
        now: Duration,
    ) -> Option<Place> {
        let mut map = self.map();
        (self.free(&map, destination, now) > 0).then(|| self.place(&mut map, destination))
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
}

/// The right of one message to be attempted now.
#[derive(Debug)]
pub(super) struct Slot {
    lane: Option<OwnedSemaphorePermit>,
    _overall: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Waits for a turn, or says why nothing is sent to the destination now.
    pub(super) async fn turn(&self, world: &World) -> Result<Slot, Response> {
        if let Some(why) = self.pause(world.monotonic()) {
            return Err(why);
        }
        let slot = self.slot().await;
        // Those that had their turn before may have found it absent.
        self.pause(world.monotonic()).map_or(Ok(slot), Err)
    }

    fn pause(&self, now: Duration) -> Option<Response> {
        let map = self.lanes.map();
        let lane = map.lanes.get(&self.destination)?;
        lane.backoff.pause(now).map(|(_, last)| last.clone())
    }

    /// The semaphores are never closed, so both permits are always there.
    async fn slot(&self) -> Slot {
        let lane = self.slots.clone().acquire_owned().await.ok();
        let overall = self.lanes.attempts.clone().acquire_owned().await.ok();
        Slot {
            lane,
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
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const NOW: Duration = Duration::ZERO;

    fn lanes() -> Arc<Lanes> {
        Lanes::new(&Limits {
            attempts_max: 4,
            attempts_per_destination_initial: 2,
            attempts_per_destination_max: 3,
            ahead_factor: 2,
            ..Limits::default()
        })
    }

    fn to(name: &str) -> Destination {
        Destination::new(name)
    }

    #[tokio::test]
    async fn places_are_bounded_by_destination_and_overall() {
        let lanes = lanes();
        let a: Vec<_> = (0..9)
            .filter_map(|_| lanes.try_enter(&to("a"), NOW))
            .collect();
        assert_eq!(a.len(), 4);
        let b: Vec<_> = (0..9)
            .filter_map(|_| lanes.try_enter(&to("b"), NOW))
            .collect();
        assert_eq!(b.len(), 4);
        assert_eq!(lanes.room(&to("c"), NOW), 0);
        drop(a);
        assert_eq!(lanes.room(&to("a"), NOW), 4);
        lanes.freed().await;
    }

    #[tokio::test]
    async fn a_full_lane_leaves_the_others_free() {
        let lanes = lanes();
        let a = lanes.enter(&to("a"));
        let _held = (a.slot().await, a.slot().await);
        assert!(a.slot().now_or_never().is_none());
        assert!(lanes.enter(&to("b")).slot().now_or_never().is_some());
    }

    #[tokio::test]
    async fn managers_share_the_limit_of_a_destination() {
        let lanes = lanes();
        let place = lanes.enter(&to("a"));
        for _ in 0..5 {
            place.finish(place.slot().await, &Reached::Works, NOW);
        }
        lanes.share_with(3);
        place.finish(place.slot().await, &Reached::Works, NOW);
        let _only = place.slot().await;
        assert!(place.slot().now_or_never().is_none(), "a third of three");
        lanes.share_with(1);
        place.finish(
            place.slot().now_or_never().unwrap_or(_only),
            &Reached::Works,
            NOW,
        );
    }

    #[tokio::test]
    async fn slots_grow_with_success_and_shrink_with_failure() {
        let lanes = lanes();
        let place = lanes.enter(&to("a"));
        for _ in 0..5 {
            place.finish(place.slot().await, &Reached::Works, NOW);
        }
        let slots = [place.slot().await, place.slot().await, place.slot().await];
        assert!(
            place.slot().now_or_never().is_none(),
            "never above the most"
        );
        for slot in slots {
            place.finish(slot, &Reached::Answers, NOW);
        }
        let _only = place.slot().await;
        assert!(place.slot().now_or_never().is_none(), "one is left");
    }
}
