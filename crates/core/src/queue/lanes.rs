//! Room for attempts: how many messages of each destination are in memory, and
//! how many of them are attempted at the same time.
//!
//! A message first takes a [`Place`], which never waits and bounds what is
//! leased; then, within its place, a [`Slot`](super::place::Slot), which waits for its turn. The
//! number of slots of a destination grows with each success and halves with
//! each failure. One slow destination fills its own lane and no other; one that
//! is left alone needs no slots, for its messages are put off without a try.
//!
//! A tenth of the slots, and a tenth more places, are kept for mail of high
//! priority that has just come in. An eighth more is for what waits in the store
//! while fresh mail has all, or for fresh mail while a backlog has: neither has to
//! stand behind the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use crate::message::{Destination, Response};

use super::lane::{For, HIGH_SHARE, Lane, Places};
use super::limits::Limits;
use super::live::Live;
use super::place::Place;
use super::rate::{Meter, Rate};
use super::room::{Room, Share};
use super::shares::Shares;
use super::sites::Sites;
use super::why::InHand;

/// Messages of a destination that is left alone which are put off at the same
/// time. There may be many of them, and none takes long.
const PAUSED_PLACES: usize = 400;

/// The lanes of all destinations.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) limits: Live<Limits>,
    /// How many managers share the limits of a destination.
    managers: AtomicUsize,
    /// Slots over all destinations.
    pub(super) attempts: Arc<Semaphore>,
    /// Those of them that mail without high priority may have.
    pub(super) ordinary: Arc<Semaphore>,
    /// A std mutex: held for a look-up, never while waiting.
    lanes: Mutex<Map>,
    /// For the contents of large messages.
    room: Room,
    pub(super) freed: Notify,
    pub(super) returned: Notify,
}

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// By next hop, whosever mail it is.
    pub(super) lanes: BTreeMap<Destination, Lane>,
    pub(super) taken: Places,
    pub(super) shares: Shares,
    pub(super) meter: Meter,
    pub(super) sites: Sites,
    /// Destinations with fresh mail that found no place and goes first.
    pub(super) urgent: BTreeSet<Destination>,
    /// Destinations that are back, and whose mail was put off for long.
    pub(super) returned: Vec<Destination>,
}

impl Lanes {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        let attempts = limits.attempts_max.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Lanes {
            limits: Live::new(limits.clone()),
            managers: AtomicUsize::new(1),
            attempts: Arc::new(Semaphore::new(attempts)),
            ordinary: Arc::new(Semaphore::new(attempts - attempts / HIGH_SHARE)),
            lanes: Mutex::default(),
            room: Room::new(limits.contents_memory_max),
            freed: Notify::new(),
            returned: Notify::new(),
        })
    }

    pub(super) fn map(&self) -> MutexGuard<'_, Map> {
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
        let mut map = self.map();
        map.end_pauses_of_sites(destination.map(|one| one.next_hop()), now);
        for (to, lane) in &mut map.lanes {
            if destination.is_none_or(|one| one.next_hop() == to.as_str()) {
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
        let next_hop = destination.next_hop();
        let rate = *self.limits.get().rate_per_destination.get(destination);
        let level = rate.map(|rate| map.meter.level(next_hop, rate, self.managers(), now));
        let known = InHand {
            destination: destination.clone(),
            messages: 0,
            attempts: 0,
            attempts_allowed: self.initial(self.allowed_max(destination)),
            rate,
            rate_wait: level.map(|level| level.wait).filter(|wait| !wait.is_zero()),
            failures: 0,
            last_failure: None,
            per_hour: 0,
            pause: None,
        };
        let known = match map.lanes.get(next_hop) {
            Some(lane) => lane.in_hand(known, now),
            None => known,
        };
        let known = match map.sites.lane(next_hop) {
            Some(site) => site.failing(known, now),
            None => known,
        };
        InHand {
            per_hour: self.per_hour(&known),
            ..known
        }
    }

    /// The pace of all managers together, which the rate bounds. A lane may be empty
    /// and forgotten between two tokens; one that waits for a token, and neither
    /// fails nor has become narrow, goes at its rate.
    fn per_hour(&self, known: &InHand) -> u64 {
        let managers = u64::try_from(self.managers()).unwrap_or(u64::MAX);
        let pace = known.per_hour.saturating_mul(managers);
        let initial = self.initial(self.allowed_max(&known.destination));
        let works = known.failures == 0 && known.attempts_allowed >= initial;
        match known.rate.map(Rate::per_hour) {
            Some(rate) if works && known.rate_wait.is_some() => rate,
            Some(rate) => pace.min(rate),
            None => pace,
        }
    }

    /// How many places somebody may take in the lane of `destination` at `now`,
    /// on the monotonic clock.
    pub(super) fn room(&self, destination: &Destination, whom: For, now: Duration) -> usize {
        self.free(&self.map(), destination, whom, now)
    }

    /// Whether there is no room at all for what waits in the store.
    pub(super) fn are_full(&self) -> bool {
        self.map().taken.free(self.places_max(), For::Due) == 0
    }

    pub(super) fn places_max(&self) -> usize {
        let ahead = self.limits.get().ahead_factor.max(1);
        self.limits.get().attempts_max.max(1).saturating_mul(ahead)
    }

    fn free(&self, map: &Map, destination: &Destination, whom: For, now: Duration) -> usize {
        let ahead = self.limits.get().ahead_factor.max(1);
        let whose = destination.tenant();
        let overall = map.taken.free(self.places_max(), whom);
        let overall = overall.min(self.share_left(&map.shares, self.places_max(), &whose));
        let lane = match map.lanes.get(destination.next_hop()) {
            lane if map.pause(destination.next_hop(), now).is_some() => {
                PAUSED_PLACES.saturating_sub(lane.map_or(0, |lane| lane.taken.all))
            }
            Some(lane) => {
                let places = lane.allowed.saturating_mul(ahead);
                let share = self.share_left(&lane.shares, places, &whose);
                lane.taken.free(places, whom).min(share)
            }
            None => {
                let initial = self.initial(self.allowed_max(destination));
                Places::default().free(initial.saturating_mul(ahead), whom)
            }
        };
        lane.min(overall)
            .min(self.site_room(map, destination.next_hop(), whom, now))
            .min(self.tokens(map, destination, whom, now))
    }

    /// How many attempts the rate of a destination leaves at `now`.
    pub(super) fn rate_room(&self, destination: &Destination, now: Duration) -> usize {
        self.tokens(&self.map(), destination, For::Due, now)
    }

    pub(super) fn tokens(
        &self,
        map: &Map,
        destination: &Destination,
        whom: For,
        now: Duration,
    ) -> usize {
        let Some(rate) = *self.limits.get().rate_per_destination.get(destination) else {
            return usize::MAX;
        };
        let next_hop = destination.next_hop();
        let lane = map.lanes.get(next_hop);
        if map.pause(next_hop, now).is_some() {
            // What is put off without a try needs none.
            return usize::MAX;
        }
        let level = map.meter.level(next_hop, rate, self.managers(), now);
        let tokens = match whom {
            For::Due => level.tokens,
            For::Fresh(_) => level.fresh,
        };
        tokens.saturating_sub(lane.map_or(0, |lane| lane.without_token))
    }

    /// How long it takes until the rate of a destination allows an attempt; none
    /// if it does not stand in the way.
    pub(super) fn rate_wait(&self, destination: &Destination, now: Duration) -> Option<Duration> {
        let rate = (*self.limits.get().rate_per_destination.get(destination))?;
        let (map, next_hop) = (self.map(), destination.next_hop());
        if map.pause(next_hop, now).is_some() {
            return None;
        }
        let level = map.meter.level(next_hop, rate, self.managers(), now);
        (!level.wait.is_zero()).then_some(level.wait)
    }

    /// Goes by other limits from now on. Lanes that are wider than they may be shrink
    /// with their next attempts; mail that found no place looks again.
    pub(super) fn adopt(&self, limits: Arc<Limits>) {
        let mut map = self.map();
        for (destination, lane) in &mut map.lanes {
            lane.allowed_max = *limits.attempts_per_destination_max.get(destination);
        }
        map.sites.bound(limits.attempts_per_site_max);
        self.limits.set(limits);
        drop(map);
        self.freed.notify_one();
    }

    /// Says how many managers, with this one, share the limits of each
    /// destination. Wider lanes shrink with their next attempts.
    pub(super) fn share_with(&self, managers: usize) {
        self.managers.store(managers.max(1), Ordering::Relaxed);
    }

    pub(super) fn managers(&self) -> usize {
        self.managers.load(Ordering::Relaxed)
    }

    /// What is allowed for one destination, for all managers.
    pub(super) fn allowed_max(&self, destination: &Destination) -> usize {
        let limits = self.limits.get();
        *limits.attempts_per_destination_max.get(destination)
    }

    /// This manager's share of that.
    pub(super) fn share(&self, allowed_max: usize) -> usize {
        allowed_max.div_ceil(self.managers()).max(1)
    }

    pub(super) fn initial(&self, allowed_max: usize) -> usize {
        let initial = self.limits.get().attempts_per_destination_initial;
        initial.clamp(1, self.share(allowed_max))
    }

    /// Why a destination is left alone at `now`; none if it is not.
    pub(super) fn pause(&self, destination: &Destination, now: Duration) -> Option<Response> {
        let map = self.map();
        let pause = map.pause(destination.next_hop(), now);
        pause.map(|(_, last)| last.clone())
    }

    /// Counts messages that are put off because their destination is left alone;
    /// gives how many were before.
    pub(super) fn count_put_off(&self, destination: &Destination, messages: usize) -> usize {
        let mut map = self.map();
        let backoff = map.backoff_mut(destination.next_hop());
        backoff.map_or(0, |backoff| backoff.count_put_off(destination, messages))
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
        whom: For,
        now: Duration,
    ) -> Option<Place> {
        let mut map = self.map();
        let is_paused = map.pause(destination.next_hop(), now).is_some();
        let is_free = !is_paused && self.free(&map, destination, whom, now) > 0;
        is_free.then(|| self.place(&mut map, destination, whom, now))
    }

    /// Takes a place for what is due, whether or not one is free: for callers
    /// who bound what they take by themselves.
    pub(super) fn enter(self: &Arc<Self>, destination: &Destination, now: Duration) -> Place {
        self.place(&mut self.map(), destination, For::Due, now)
    }

    fn place(
        self: &Arc<Self>,
        map: &mut Map,
        destination: &Destination,
        whom: For,
        now: Duration,
    ) -> Place {
        let is_paused = map.pause(destination.next_hop(), now).is_some();
        let rate = *self.limits.get().rate_per_destination.get(destination);
        let is_due = whom == For::Due;
        let site = match is_paused {
            true => None,
            false => self.enter_site(map, destination, is_due),
        };
        let (next_hop, whose) = (destination.of_all(), destination.tenant());
        let lane = map.lanes.entry(next_hop.clone()).or_insert_with(|| {
            let allowed_max = self.allowed_max(destination);
            Lane::new(allowed_max, self.initial(allowed_max), self.room.share())
        });
        lane.taken.add(is_due);
        lane.shares.add(&whose);
        map.shares.add(&whose);
        lane.without_token += usize::from(rate.is_some());
        map.taken.add(is_due);
        Place {
            lanes: self.clone(),
            next_hop,
            whose,
            slots: lane.slots.clone(),
            site,
            gate: lane.gate.clone(),
            is_due,
            rate,
            has_token: AtomicBool::new(false),
            room: lane.room.clone(),
        }
    }

    /// A share of the room for contents.
    pub(super) fn room_share(&self) -> Share {
        self.room.share()
    }

    /// Completes when a place was given back since the last time.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
