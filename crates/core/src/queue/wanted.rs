//! Mail that found no place: whether it is short of its share, and whether it is
//! looked at before what has waited longer.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::message::{Destination, Tenant};

use super::lane::For;
use super::lanes::{Lanes, Map};
use super::shares::{Shares, Whose};

/// Destinations that are noted as urgent; mail of others waits in its order.
const URGENT_MAX: usize = 10_000;

impl Lanes {
    /// Notes that mail for a destination found no place at `now`, if it is a place
    /// that it is short of and could use; gives whether its tenant has less than its
    /// share, so that it should be looked at first.
    pub(super) fn note_wanted(&self, destination: &Destination, whom: For, now: Duration) -> bool {
        let room = |map: &Map| {
            let site = self.site_room(map, destination.next_hop(), whom, now);
            self.tokens(map, destination, whom, now).min(site)
        };
        if room(&self.map()) == 0 {
            return false;
        }
        let (map, whose) = (&mut *self.map(), destination.tenant());
        let limits = self.limits.get();
        let weights = &limits.tenant_weights;
        // As much as it may have of a place for which it waits.
        let wanted = |shares: &mut Shares, places: usize| {
            shares.want(&whose, weights, now);
            let share = shares.free(places, &whose, weights);
            share > 0 && (whose.is_some() || share < usize::MAX)
        };
        let share = self.share_left(&map.shares, self.places_max(), &whose);
        if map.pause(destination.next_hop(), now).is_some() {
            return false;
        }
        let lane = map.lanes.get_mut(destination.next_hop());
        if let Some(lane) = lane {
            let places = lane.allowed.saturating_mul(limits.ahead_factor.max(1));
            let lane_share = self.share_left(&lane.shares, places, &whose);
            if lane.taken.free(places, whom).min(lane_share) == 0 {
                // Else the others would wait for what it cannot use.
                return share > 0 && wanted(&mut lane.shares, places);
            }
        }
        let overall = map.taken.free(self.places_max(), whom).min(share);
        overall == 0 && wanted(&mut map.shares, self.places_max())
    }

    /// The tenant of a destination if it has its share of the places while others
    /// want some.
    pub(super) fn held_to_share(&self, destination: &Destination) -> Option<Tenant> {
        let (map, whose) = (self.map(), destination.tenant());
        let overall = self.share_left(&map.shares, self.places_max(), &whose);
        let ahead = self.limits.get().ahead_factor.max(1);
        let lane = map.lanes.get(destination.next_hop());
        let lane = lane.map_or(usize::MAX, |lane| {
            let places = lane.allowed.saturating_mul(ahead);
            self.share_left(&lane.shares, places, &whose)
        });
        whose.filter(|_| overall == 0 || lane == 0)
    }

    pub(super) fn share_left(&self, shares: &Shares, places: usize, whose: &Whose) -> usize {
        shares.free(places, whose, &self.limits.get().tenant_weights)
    }

    /// Notes that a destination has mail that found no place, and which has high
    /// priority or a tenant with less than its share: it is looked at before all
    /// others, however long they have waited.
    pub(super) fn note_urgent(&self, destination: &Destination) {
        let urgent = &mut self.map().urgent;
        if urgent.len() < URGENT_MAX && !urgent.contains(destination) {
            urgent.insert(destination.clone());
        }
    }

    /// Such destinations, which are forgotten.
    pub(super) fn take_urgent(&self) -> BTreeSet<Destination> {
        std::mem::take(&mut self.map().urgent)
    }
}
