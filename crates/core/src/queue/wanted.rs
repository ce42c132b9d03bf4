//! Mail that found no place: whether it is short of its share, and whether it is
//! looked at before what has waited longer.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::message::{Destination, Tenant};

use super::lane::{For, Places};
use super::lanes::Lanes;
use super::shares::{Shares, Whose};

/// Destinations that are noted as urgent; mail of others waits in its order.
const URGENT_MAX: usize = 10_000;

impl Lanes {
    /// Notes that mail for a destination found no place at `now`, if it is places
    /// that are short; gives whether its tenant has less than its share of them.
    pub(super) fn note_wanted(&self, destination: &Destination, whom: For, now: Duration) -> bool {
        let (map, whose) = (&mut *self.map(), destination.tenant());
        let is_short = |taken: &Places, shares: &mut Shares, places: usize| {
            let share = self.share_left(shares, places, &whose);
            if taken.free(places, whom).min(share) > 0 {
                return None;
            }
            shares.want(&whose, &self.limits.tenant_weights, now);
            Some(self.share_left(shares, places, &whose) > 0)
        };
        let overall = is_short(&map.taken, &mut map.shares, self.places_max());
        let ahead = self.limits.ahead_factor.max(1);
        let lane = map.lanes.get_mut(destination.next_hop());
        let lane = lane.and_then(|lane| {
            let places = lane.allowed.saturating_mul(ahead);
            is_short(&lane.taken, &mut lane.shares, places)
        });
        // Short of places somewhere, and nowhere because of its own share.
        let short = overall.into_iter().chain(lane);
        whose.is_some() && short.reduce(|one, other| one && other) == Some(true)
    }

    /// The tenant of a destination if it has its share of the places while others
    /// want some.
    pub(super) fn held_to_share(&self, destination: &Destination) -> Option<Tenant> {
        let (map, whose) = (self.map(), destination.tenant());
        let overall = self.share_left(&map.shares, self.places_max(), &whose);
        let ahead = self.limits.ahead_factor.max(1);
        let lane = map.lanes.get(destination.next_hop());
        let lane = lane.map_or(usize::MAX, |lane| {
            let places = lane.allowed.saturating_mul(ahead);
            self.share_left(&lane.shares, places, &whose)
        });
        whose.filter(|_| overall == 0 || lane == 0)
    }

    pub(super) fn share_left(&self, shares: &Shares, places: usize, whose: &Whose) -> usize {
        shares.free(places, whose, &self.limits.tenant_weights)
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
