//! Sites: destinations that share their hosts, as the domains of one provider do.
//!
//! A site is a lane that the lanes of its destinations share. It bounds how many
//! messages for all of them are in memory and attempted at the same time, and it is
//! left alone as a whole. Which site a destination belongs to is asked before an
//! attempt has its turn, and remembered: from then on nothing is leased that has no
//! place there. What was leased before it was known, and finds no place, is given
//! back; so nothing that waits for a site holds up another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::message::{Destination, Response, StoredMessage};

use super::backoff::{Backoff, News, Reached};
use super::lane::{For, Lane};
use super::lanes::{Lanes, Map};
use super::place::Place;
use super::shared::{Phase, Shared};

/// Destinations whose site is remembered; beyond that all are asked for anew.
const KNOWN_MAX: usize = 100_000;
/// Sites that are remembered as failing while nothing of them is in memory.
const FAILING_MAX: usize = 10_000;
/// How long to wait for the name of a site; the attempt hears of the same trouble.
const NAME_WAIT_MAX: Duration = Duration::from_secs(30);

/// What is known of sites.
#[derive(Debug, Default)]
pub(super) struct Sites {
    /// The names of those of next hops.
    names: BTreeMap<Destination, Arc<str>>,
    /// Those with mail in memory, or that fail.
    lanes: BTreeMap<Arc<str>, Lane>,
}

/// What a message takes at its site.
#[derive(Debug)]
pub(super) struct AtSite {
    name: Arc<str>,
    pub(super) slots: Arc<Semaphore>,
}

/// Finds out at which site a message is to be attempted, and takes a place there.
/// False if there is none, or no time for it: the message is given back.
pub(super) async fn join(shared: &Shared, message: &StoredMessage, place: &mut Place) -> bool {
    let Some(relay) = shared.rules.get().sites.clone() else {
        return true;
    };
    let (world, destination) = (shared.world(), &message.destination);
    let has_own_way = message.envelope.next_hop.is_some();
    if has_own_way || shared.lanes.pause(destination, world.monotonic()).is_some() {
        return true;
    }
    let asking = world.timeout(NAME_WAIT_MAX, relay.site(destination));
    let name = tokio::select! {
        biased;
        name = asking => name.flatten(),
        () = shared.reached(Phase::Draining) => return false,
    };
    place.join(destination, name)
}

impl Sites {
    /// The lane of the site of a next hop, if it is known and there is something to
    /// know of it.
    pub(super) fn lane(&self, next_hop: &str) -> Option<&Lane> {
        self.lanes.get(self.names.get(next_hop)?)
    }

    /// The name of the site of a next hop.
    pub(super) fn name(&self, next_hop: &str) -> Option<&Arc<str>> {
        self.names.get(next_hop)
    }

    /// Remembers the site of a next hop, or that it has none.
    fn learn(&mut self, next_hop: &Destination, name: Option<&Arc<str>>) {
        let Some(name) = name else {
            self.names.remove(next_hop.as_str());
            return;
        };
        if self.names.get(next_hop.as_str()) != Some(name) {
            if self.names.len() >= KNOWN_MAX {
                self.names.clear();
            }
            self.names.insert(next_hop.clone(), name.clone());
        }
    }

    /// Goes by another limit from now on. Sites that are wider shrink with their next
    /// attempts; the next message makes the others as wide as they may be.
    pub(super) fn bound(&mut self, allowed_max: usize) {
        for lane in self.lanes.values_mut() {
            lane.allowed_max = lane.allowed_max.min(allowed_max);
        }
    }

    fn leave(&mut self, at: &AtSite, is_due: bool) {
        let crowded = self.lanes.len() > FAILING_MAX;
        if let Some(lane) = self.lanes.get_mut(&at.name) {
            lane.taken.remove(is_due);
            let works = lane.backoff.failures() == 0;
            if lane.taken.all == 0 && (works || crowded) {
                self.lanes.remove(&at.name);
            }
        }
    }

    /// Lets a site learn from an attempt, and gives what keeps its failures. A
    /// message that it puts off says nothing of the others.
    pub(super) fn finish(
        &mut self,
        at: &AtSite,
        reached: &Reached,
        lanes: &Lanes,
    ) -> Option<&mut Lane> {
        let lane = self.lanes.get_mut(&at.name)?;
        let max = lanes.share(lane.allowed_max);
        match reached {
            Reached::Works => lane.widen(max),
            Reached::Absent(_) => lane.narrow_to(lane.allowed / 2),
            Reached::Answers | Reached::Nothing => {}
        }
        lane.narrow_to(max);
        Some(lane)
    }
}

impl Map {
    /// What is known of the failures of a next hop: those of its site, if it has
    /// one.
    fn backoff(&self, next_hop: &str) -> Option<&Backoff> {
        let lane = match self.sites.name(next_hop) {
            Some(name) => self.sites.lanes.get(name),
            None => self.lanes.get(next_hop),
        };
        lane.map(|lane| &lane.backoff)
    }

    pub(super) fn backoff_mut(&mut self, next_hop: &str) -> Option<&mut Backoff> {
        let lane = match self.sites.names.get(next_hop) {
            Some(name) => self.sites.lanes.get_mut(name),
            None => self.lanes.get_mut(next_hop),
        };
        lane.map(|lane| &mut lane.backoff)
    }

    /// For how long a next hop is left alone, and why.
    pub(super) fn pause(&self, next_hop: &str, now: Duration) -> Option<(Duration, &Response)> {
        self.backoff(next_hop)?.pause(now)
    }

    /// Ends the pause of all sites, or of that of one next hop.
    pub(super) fn end_pauses_of_sites(&mut self, next_hop: Option<&str>, now: Duration) {
        let sites = &mut self.sites;
        let one = next_hop.map(|next_hop| sites.names.get(next_hop));
        for (name, lane) in &mut sites.lanes {
            if one.is_none_or(|one| one == Some(name)) {
                lane.backoff.end_pause(now);
            }
        }
    }
}

impl Lanes {
    /// How many places somebody may take at the site of a destination.
    pub(super) fn site_room(&self, map: &Map, next_hop: &str, whom: For, now: Duration) -> usize {
        match map.sites.lane(next_hop) {
            // What is put off without a try needs none.
            Some(site) if site.backoff.pause(now).is_none() => {
                let ahead = self.limits.get().ahead_factor.max(1);
                site.taken.free(site.allowed.saturating_mul(ahead), whom)
            }
            _ => usize::MAX,
        }
    }

    /// The site of a destination, and how much of its mail is in memory, if there is
    /// no room for more.
    pub(super) fn full_site(
        &self,
        destination: &Destination,
        now: Duration,
    ) -> Option<(Arc<str>, usize)> {
        let (map, next_hop) = (self.map(), destination.next_hop());
        let is_full = self.site_room(&map, next_hop, For::Due, now) == 0;
        let (name, lane) = (map.sites.name(next_hop)?, map.sites.lane(next_hop)?);
        is_full.then(|| (name.clone(), lane.taken.all))
    }

    /// Takes a place at the site of a destination, if it is known, whether or not
    /// one is free.
    pub(super) fn enter_site(
        &self,
        map: &mut Map,
        destination: &Destination,
        is_due: bool,
    ) -> Option<AtSite> {
        let name = map.sites.name(destination.next_hop())?.clone();
        // A destination that may have more than others brings it along.
        let allowed_max = self.allowed_max(destination);
        let allowed_max = allowed_max.max(self.limits.get().attempts_per_site_max);
        let lane = map.sites.lanes.entry(name.clone()).or_insert_with(|| {
            let initial = self.share(allowed_max);
            Lane::new(allowed_max, initial, self.room_share())
        });
        if lane.allowed_max < allowed_max {
            let more = allowed_max - lane.allowed_max;
            lane.allowed_max = allowed_max;
            (0..more).for_each(|_| lane.widen(self.share(allowed_max)));
        }
        lane.taken.add(is_due);
        let slots = lane.slots.clone();
        Some(AtSite { name, slots })
    }
}

impl Place {
    /// Moves to the site that was found out, or to none. False if it is full.
    fn join(&mut self, destination: &Destination, name: Option<Arc<str>>) -> bool {
        let lanes = self.lanes.clone();
        let mut map = lanes.map();
        map.sites.learn(&self.next_hop, name.as_ref());
        if self.site.as_ref().map(|at| &at.name) == name.as_ref() {
            return true;
        }
        if let Some(before) = self.site.take() {
            map.sites.leave(&before, self.is_due);
        }
        let whom = match self.is_due {
            true => For::Due,
            false => For::Fresh(crate::message::Priority::Normal),
        };
        // Its own limit bounds a lane; nothing else bounds how many come here.
        let is_full = match map.sites.lane(self.next_hop.as_str()) {
            Some(site) => {
                let ahead = lanes.limits.get().ahead_factor.max(1);
                site.taken.free(site.allowed.saturating_mul(ahead), whom) == 0
            }
            None => false,
        };
        if !is_full {
            self.site = lanes.enter_site(&mut map, destination, self.is_due);
        }
        !is_full
    }

    /// Gives the place at the site back.
    pub(super) fn leave_site(&self, map: &mut Map) {
        if let Some(at) = &self.site {
            map.sites.leave(at, self.is_due);
        }
    }
}

/// What is new of a destination or its site after an attempt.
pub(super) fn learned(
    backoff: &mut Backoff,
    reached: &Reached,
    lanes: &Lanes,
    now: Duration,
) -> (Option<News>, Vec<Destination>) {
    let news = backoff.learn(reached, now, &lanes.limits.get());
    let resumes = news == Some(News::Resumes);
    let long = resumes.then(|| backoff.take_long()).flatten();
    (news, long.into_iter().flatten().collect())
}

#[cfg(test)]
#[path = "sites_tests.rs"]
mod tests;
