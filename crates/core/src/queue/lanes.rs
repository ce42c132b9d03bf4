//! Room for attempts: how many messages of each destination are in memory, and
//! how many of them are attempted at the same time.
//!
//! A message first takes a [`Place`], which never waits and bounds what is
//! leased; then, within its place, a [`Slot`], which waits for its turn. The
//! number of slots of a destination grows with each success and halves with
//! each failure. One slow destination fills its own lane and no other; one that
//! is left alone needs no slots, for its messages are put off without a try.
//!
//! A tenth of the places and of the slots is kept for mail of high priority
//! that has just come in, and an eighth of the places for what waits in the
//! store: whatever comes in, neither has to stand behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::message::{Destination, Priority, Response};
use crate::world::World;

use super::backoff::{News, Reached};
use super::lane::{For, HIGH_SHARE, Lane, Taken};
use super::limits::Limits;
use super::rate::{Meter, Rate};
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
    /// How many managers share the limits of a destination.
    managers: AtomicUsize,
    /// Slots over all destinations.
    attempts: Arc<Semaphore>,
    /// Those of them that mail without high priority may have.
    ordinary: Arc<Semaphore>,
    /// A std mutex: held for a look-up, never while waiting.
    lanes: Mutex<Map>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Map {
    lanes: BTreeMap<Destination, Lane>,
    taken: Taken,
    meter: Meter,
}

impl Lanes {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        let attempts = limits.attempts_max.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Lanes {
            limits: limits.clone(),
            managers: AtomicUsize::new(1),
            attempts: Arc::new(Semaphore::new(attempts)),
            ordinary: Arc::new(Semaphore::new(attempts - attempts / HIGH_SHARE)),
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
        self.map().taken.all
    }

    /// Ends the pause of one destination, or of all.
    pub(super) fn end_pauses(&self, destination: Option<&Destination>, now: Duration) {
        for (to, lane) in &mut self.map().lanes {
            if destination.is_none_or(|one| one == to) {
                lane.backoff.end_pause(now);
            }
        }
    }

    /// All lanes, and all destinations that have used up some of their rate.
    pub(super) fn in_hand(&self, now: Duration) -> Vec<InHand> {
        let map = self.map();
        let metered = map.meter.used(now);
        let all: BTreeSet<_> = map.lanes.keys().chain(metered).collect();
        let all = all.into_iter();
        all.map(|to| self.look_in(&map, to, now)).collect()
    }

    /// One lane, which may be empty.
    pub(super) fn look(&self, destination: &Destination, now: Duration) -> InHand {
        self.look_in(&self.map(), destination, now)
    }

    fn look_in(&self, map: &Map, destination: &Destination, now: Duration) -> InHand {
        let rate = *self.limits.rate_per_destination.get(destination);
        let level = rate.map(|rate| map.meter.level(destination, rate, self.managers(), now));
        let known = InHand {
            destination: destination.clone(),
            messages: 0,
            attempts: 0,
            attempts_allowed: self.initial(self.allowed_max(destination)),
            rate,
            rate_wait: level.map(|level| level.wait).filter(|wait| !wait.is_zero()),
            failures: 0,
            pause: None,
        };
        match map.lanes.get(destination) {
            Some(lane) => lane.in_hand(known, now),
            None => known,
        }
    }

    /// How many places somebody may take in the lane of `destination` at `now`,
    /// on the monotonic clock.
    pub(super) fn room(&self, destination: &Destination, whom: For, now: Duration) -> usize {
        self.free(&self.map(), destination, whom, now)
    }

    fn free(&self, map: &Map, destination: &Destination, whom: For, now: Duration) -> usize {
        let ahead = self.limits.ahead_factor.max(1);
        let overall = self.limits.attempts_max.max(1).saturating_mul(ahead);
        let overall = map.taken.free(overall, whom);
        let lane = match map.lanes.get(destination) {
            Some(lane) if lane.backoff.pause(now).is_some() => {
                PAUSED_PLACES.saturating_sub(lane.taken.all)
            }
            Some(lane) => lane.taken.free(lane.allowed.saturating_mul(ahead), whom),
            None => {
                let initial = self.initial(self.allowed_max(destination));
                Taken::default().free(initial.saturating_mul(ahead), whom)
            }
        };
        lane.min(overall)
            .min(self.tokens(map, destination, whom, now))
    }

    /// How many attempts the rate of a destination leaves at `now`.
    pub(super) fn rate_room(&self, destination: &Destination, now: Duration) -> usize {
        self.tokens(&self.map(), destination, For::Due, now)
    }

    fn tokens(&self, map: &Map, destination: &Destination, whom: For, now: Duration) -> usize {
        let Some(rate) = *self.limits.rate_per_destination.get(destination) else {
            return usize::MAX;
        };
        let lane = map.lanes.get(destination);
        if lane.is_some_and(|lane| lane.backoff.pause(now).is_some()) {
            // What is put off without a try needs none.
            return usize::MAX;
        }
        let level = map.meter.level(destination, rate, self.managers(), now);
        let tokens = match whom {
            For::Due => level.tokens,
            For::Fresh(_) => level.fresh,
        };
        tokens.saturating_sub(lane.map_or(0, |lane| lane.without_token))
    }

    /// How long it takes until the rate of a destination allows an attempt; none
    /// if it does not stand in the way.
    pub(super) fn rate_wait(&self, destination: &Destination, now: Duration) -> Option<Duration> {
        let in_hand = self.look(destination, now);
        in_hand.rate_wait.filter(|_| in_hand.pause.is_none())
    }

    /// Says how many managers, with this one, share the limits of each
    /// destination. Wider lanes shrink with their next attempts.
    pub(super) fn share_with(&self, managers: usize) {
        self.managers.store(managers.max(1), Ordering::Relaxed);
    }

    fn managers(&self) -> usize {
        self.managers.load(Ordering::Relaxed)
    }

    /// What is allowed for one destination, for all managers.
    fn allowed_max(&self, destination: &Destination) -> usize {
        *self.limits.attempts_per_destination_max.get(destination)
    }

    /// This manager's share of that.
    fn share(&self, allowed_max: usize) -> usize {
        allowed_max.div_ceil(self.managers()).max(1)
    }

    fn initial(&self, allowed_max: usize) -> usize {
        let initial = self.limits.attempts_per_destination_initial;
        initial.clamp(1, self.share(allowed_max))
    }

    /// Takes a place if one is free at `now`.
    pub(super) fn try_enter(
        self: &Arc<Self>,
        destination: &Destination,
        whom: For,
        now: Duration,
    ) -> Option<Place> {
        let mut map = self.map();
        let is_free = self.free(&map, destination, whom, now) > 0;
        is_free.then(|| self.place(&mut map, destination, whom))
    }

    /// Takes a place for what is due, whether or not one is free: for callers
    /// who bound what they take by themselves.
    pub(super) fn enter(self: &Arc<Self>, destination: &Destination) -> Place {
        self.place(&mut self.map(), destination, For::Due)
    }

    fn place(self: &Arc<Self>, map: &mut Map, destination: &Destination, whom: For) -> Place {
        let (is_due, rate) = (
            whom == For::Due,
            self.limits.rate_per_destination.get(destination),
        );
        let lane = map.lanes.entry(destination.clone()).or_insert_with(|| {
            let allowed_max = self.allowed_max(destination);
            Lane::new(allowed_max, self.initial(allowed_max))
        });
        lane.taken.add(is_due);
        lane.without_token += usize::from(rate.is_some());
        map.taken.add(is_due);
        Place {
            lanes: self.clone(),
            destination: destination.clone(),
            slots: lane.slots.clone(),
            gate: lane.gate.clone(),
            is_due,
            rate: *rate,
            has_token: AtomicBool::new(false),
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
    gate: Arc<Semaphore>,
    is_due: bool,
    rate: Option<Rate>,
    /// Whether it has taken one, if there is a rate.
    has_token: AtomicBool,
}

/// The right of one message to be attempted now.
#[derive(Debug)]
pub(super) struct Slot {
    lane: Option<OwnedSemaphorePermit>,
    _ordinary: Option<OwnedSemaphorePermit>,
    _overall: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// Waits for a turn, or says why nothing is sent to the destination now.
    pub(super) async fn turn(&self, priority: Priority, world: &World) -> Result<Slot, Response> {
        loop {
            if let Some(why) = self.pause(world.monotonic()) {
                return Err(why);
            }
            let slot = self.slot(priority).await;
            // Those that had their turn before may have found it absent.
            if let Some(why) = self.pause(world.monotonic()) {
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

    fn pause(&self, now: Duration) -> Option<Response> {
        let map = self.lanes.map();
        let lane = map.lanes.get(&self.destination)?;
        lane.backoff.pause(now).map(|(_, last)| last.clone())
    }

    /// The semaphores are never closed, so all permits are always there.
    async fn slot(&self, priority: Priority) -> Slot {
        let is_high = priority == Priority::High;
        let _gate = match is_high {
            true => None,
            false => self.gate.acquire().await.ok(),
        };
        let lane = self.slots.clone().acquire_owned().await.ok();
        let ordinary = match is_high {
            true => None,
            false => self.lanes.ordinary.clone().acquire_owned().await.ok(),
        };
        let overall = self.lanes.attempts.clone().acquire_owned().await.ok();
        Slot {
            lane,
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
        map.meter.take(&self.destination, rate, managers, now)?;
        if let Some(lane) = map.lanes.get_mut(&self.destination)
            && !self.has_token.swap(true, Ordering::Relaxed)
        {
            lane.without_token = lane.without_token.saturating_sub(1);
        }
        Ok(())
    }

    /// Ends an attempt at `now`, and lets the lane learn from it.
    pub(super) fn finish(&self, mut slot: Slot, reached: &Reached, now: Duration) -> Option<News> {
        let mut map = self.lanes.map();
        let lane = map.lanes.get_mut(&self.destination)?;
        let max = self.lanes.share(lane.allowed_max);
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

impl Drop for Place {
    fn drop(&mut self) {
        let mut map = self.lanes.map();
        map.taken.remove(self.is_due);
        let crowded = map.lanes.len() > FAILING_LANES_MAX;
        if let Some(lane) = map.lanes.get_mut(&self.destination) {
            lane.taken.remove(self.is_due);
            if self.rate.is_some() && !self.has_token.load(Ordering::Relaxed) {
                lane.without_token = lane.without_token.saturating_sub(1);
            }
            let initial = self.lanes.initial(lane.allowed_max);
            let is_new = lane.allowed >= initial && lane.backoff.failures() == 0;
            if lane.taken.all == 0 && (is_new || crowded) {
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
            attempts_per_destination_max: 3.into(),
            ahead_factor: 2,
            ..Limits::default()
        })
    }

    fn to(name: &str) -> Destination {
        Destination::new(name)
    }

    /// Takes all places that somebody may have.
    fn fill(lanes: &Arc<Lanes>, name: &str, whom: For) -> Vec<Place> {
        std::iter::from_fn(|| lanes.try_enter(&to(name), whom, NOW)).collect()
    }

    #[tokio::test]
    async fn places_are_bounded_by_destination_and_overall() {
        let lanes = lanes();
        let fresh = For::Fresh(Priority::Normal);
        let a = fill(&lanes, "a", fresh);
        assert_eq!(a.len(), 4);
        let b = fill(&lanes, "b", fresh);
        assert_eq!(b.len(), 4);
        assert_eq!(lanes.room(&to("c"), fresh, NOW), 0);
        drop(a);
        assert_eq!(lanes.room(&to("a"), fresh, NOW), 4);
        lanes.freed().await;
    }

    #[tokio::test]
    async fn a_full_lane_leaves_the_others_free() {
        let lanes = lanes();
        let a = lanes.enter(&to("a"));
        let _held = (
            a.slot(Priority::Normal).await,
            a.slot(Priority::Normal).await,
        );
        assert!(a.slot(Priority::Normal).now_or_never().is_none());
        assert!(
            lanes
                .enter(&to("b"))
                .slot(Priority::Normal)
                .now_or_never()
                .is_some()
        );
    }

    #[tokio::test]
    async fn managers_share_the_limit_of_a_destination() {
        let lanes = lanes();
        let place = lanes.enter(&to("a"));
        for _ in 0..5 {
            place.finish(place.slot(Priority::Normal).await, &Reached::Works, NOW);
        }
        lanes.share_with(3);
        place.finish(place.slot(Priority::Normal).await, &Reached::Works, NOW);
        let _only = place.slot(Priority::Normal).await;
        assert!(
            place.slot(Priority::Normal).now_or_never().is_none(),
            "a third of three"
        );
        lanes.share_with(1);
        place.finish(
            place.slot(Priority::Normal).now_or_never().unwrap_or(_only),
            &Reached::Works,
            NOW,
        );
    }

    #[tokio::test]
    async fn slots_grow_with_success_and_shrink_with_failure() {
        let lanes = lanes();
        let place = lanes.enter(&to("a"));
        for _ in 0..5 {
            place.finish(place.slot(Priority::Normal).await, &Reached::Works, NOW);
        }
        let slots = [
            place.slot(Priority::Normal).await,
            place.slot(Priority::Normal).await,
            place.slot(Priority::Normal).await,
        ];
        assert!(
            place.slot(Priority::Normal).now_or_never().is_none(),
            "never above the most"
        );
        for slot in slots {
            place.finish(slot, &Reached::Answers, NOW);
        }
        let _only = place.slot(Priority::Normal).await;
        assert!(
            place.slot(Priority::Normal).now_or_never().is_none(),
            "one is left"
        );
    }

    #[tokio::test]
    async fn high_mail_has_one_before_it_at_most() {
        let lanes = lanes();
        let place = lanes.enter(&to("a"));
        let taken = [
            place.slot(Priority::Normal).await,
            place.slot(Priority::Normal).await,
        ];
        let mut waiting = [(); 3].map(|()| Box::pin(place.slot(Priority::Normal)));
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        let mut high = Box::pin(place.slot(Priority::High));
        assert!((&mut high).now_or_never().is_none());
        drop(taken);
        let high = high.now_or_never();
        assert!(high.is_some());
        let begun = waiting.iter_mut().filter_map(FutureExt::now_or_never);
        let begun: Vec<_> = begun.collect();
        assert_eq!(begun.len(), 1);
    }

    #[tokio::test]
    async fn the_last_slots_are_for_high_mail() {
        let lanes = Lanes::new(&Limits {
            attempts_max: 10,
            ..Limits::default()
        });
        let places: Vec<_> = (0..3).map(|n| lanes.enter(&to(&n.to_string()))).collect();
        let slots = places.iter().flat_map(|place| [place; 3]);
        let slots: Vec<_> = slots
            .filter_map(|place| place.slot(Priority::Normal).now_or_never())
            .collect();
        assert_eq!(slots.len(), 9);
        let place = lanes.enter(&to("other"));
        assert!(place.slot(Priority::Normal).now_or_never().is_none());
        let tenth = place.slot(Priority::High).now_or_never();
        assert!(tenth.is_some());
        assert!(place.slot(Priority::High).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_needs_a_token_that_no_other_place_will_take() {
        let world = World::simulated(crate::world::Timestamp::EPOCH, 1);
        let lanes = Lanes::new(&Limits {
            rate_per_destination: Some("1/s".parse().unwrap()).into(),
            ..Limits::default()
        });
        let now = || world.monotonic();
        let room = || lanes.room(&to("a"), For::Due, now());
        assert_eq!(room(), 2);
        let first = lanes.enter(&to("a"));
        assert_eq!(room(), 1, "one is for the place that is taken");
        drop(lanes.enter(&to("a")));
        assert_eq!(room(), 1);
        first.turn(Priority::Normal, &world).await.unwrap();
        assert_eq!(room(), 1);
        assert_eq!(lanes.rate_wait(&to("a"), now()), None);
        let began = now();
        for _ in 0..3 {
            // Who was let in nevertheless waits for the next.
            let place = lanes.enter(&to("a"));
            place.turn(Priority::Normal, &world).await.unwrap();
        }
        assert_eq!(now() - began, Duration::from_secs(2));
        assert_eq!(room(), 0);
        let second = Duration::from_secs(1);
        assert_eq!(lanes.rate_wait(&to("a"), now()), Some(second));
        drop(first);
        let known: Vec<_> = lanes
            .in_hand(now())
            .into_iter()
            .map(|one| one.destination)
            .collect();
        assert_eq!(known, [to("a")], "while its bucket is not full");
    }
}
