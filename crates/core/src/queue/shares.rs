//! How places are shared among tenants while several want more than there is.
//!
//! Who was refused a place wants more for a while. As long as somebody else does,
//! a tenant has no more places than its share of them by weight, so that those
//! that become free go to the others. Alone it may have all: nothing stays empty
//! for somebody who has no mail.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::message::Tenant;

/// For how long who was refused a place is waited for. What waits in the store is
/// looked at each second.
const WANTED: Duration = Duration::from_secs(2);
/// Tenants that want more are remembered up to this number.
const WANTING_MAX: usize = 10_000;

/// Mail without a tenant has one of its own.
pub(super) type Whose = Option<Tenant>;

/// How many parts of what is shared each tenant gets; one if it is not named.
pub(super) type Weights = BTreeMap<Tenant, u32>;

/// What tenants have and want of some places.
#[derive(Debug, Default)]
pub(super) struct Shares {
    used: BTreeMap<Whose, usize>,
    /// Until when each wants more, on the monotonic clock.
    wanting: BTreeMap<Whose, Duration>,
    /// The weight of all those.
    weight: u64,
    /// When to look who wants no more.
    sweep_at: Duration,
}

fn weight(whose: &Whose, weights: &Weights) -> u64 {
    let weight = whose.as_ref().and_then(|tenant| weights.get(tenant));
    weight.copied().unwrap_or(1).max(1).into()
}

impl Shares {
    /// How many more of so many places a tenant may have: without end unless
    /// somebody else wants some.
    pub(super) fn free(&self, places: usize, whose: &Whose, weights: &Weights) -> usize {
        let wants = self.wanting.contains_key(whose);
        if self.wanting.len() == usize::from(wants) {
            return usize::MAX;
        }
        let own = weight(whose, weights);
        let all = self.weight + if wants { 0 } else { own };
        let share = places as u128 * u128::from(own) / u128::from(all.max(1));
        let share = usize::try_from(share).unwrap_or(usize::MAX).max(1);
        share.saturating_sub(self.used.get(whose).copied().unwrap_or(0))
    }

    /// Notes that a tenant was refused a place at `now`.
    pub(super) fn want(&mut self, whose: &Whose, weights: &Weights, now: Duration) {
        self.sweep(weights, now);
        let until = now.saturating_add(WANTED);
        if let Some(known) = self.wanting.get_mut(whose) {
            *known = until;
        } else if self.wanting.len() < WANTING_MAX {
            self.wanting.insert(whose.clone(), until);
            self.weight += weight(whose, weights);
        }
    }

    /// Forgets who wants no more, once a while.
    pub(super) fn sweep(&mut self, weights: &Weights, now: Duration) {
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = now.saturating_add(WANTED / 2);
        self.wanting.retain(|_, until| *until > now);
        let weights = self.wanting.keys().map(|whose| weight(whose, weights));
        self.weight = weights.sum();
    }

    pub(super) fn add(&mut self, whose: &Whose) {
        match self.used.get_mut(whose) {
            Some(used) => *used += 1,
            None => drop(self.used.insert(whose.clone(), 1)),
        }
    }

    pub(super) fn remove(&mut self, whose: &Whose) {
        match self.used.get_mut(whose) {
            Some(used) if *used > 1 => *used -= 1,
            _ => drop(self.used.remove(whose)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn whose(name: &str) -> Whose {
        Some(name.parse().unwrap())
    }

    /// How many of so many places each has who takes all that it may.
    fn filled(shares: &mut Shares, places: usize, weights: &Weights, names: &[&str]) -> Vec<usize> {
        let mut all: usize = shares.used.values().sum();
        for name in names {
            let whose = whose(name);
            while all < places && shares.free(places, &whose, weights) > 0 {
                shares.add(&whose);
                all += 1;
            }
        }
        let used = |name: &&str| shares.used.get(&whose(name)).copied().unwrap_or(0);
        names.iter().map(used).collect()
    }

    #[test]
    fn alone_it_has_all_and_among_others_its_share() {
        let (mut shares, weights) = (Shares::default(), Weights::default());
        assert_eq!(filled(&mut shares, 80, &weights, &["a"]), [80]);
        shares.want(&whose("a"), &weights, NOW);
        shares.want(&whose("b"), &weights, NOW);
        assert_eq!(shares.free(80, &whose("a"), &weights), 0);
        (0..80).for_each(|_| shares.remove(&whose("a")));
        assert_eq!(filled(&mut shares, 80, &weights, &["a", "b"]), [40, 40]);
        assert_eq!(shares.free(80, &whose("c"), &weights), 26, "and a third");
    }

    #[test]
    fn weights_count_and_nobody_has_nothing() {
        let (mut shares, mut weights) = (Shares::default(), Weights::default());
        weights.insert("a".parse().unwrap(), 3);
        shares.want(&whose("a"), &weights, NOW);
        shares.want(&whose("b"), &weights, NOW);
        assert_eq!(filled(&mut shares, 80, &weights, &["a", "b"]), [60, 20]);
        assert_eq!(shares.free(1, &whose("c"), &weights), 1);
        assert_eq!(shares.free(80, &None, &weights), 16);
    }

    #[test]
    fn who_asks_no_more_is_not_waited_for() {
        let (mut shares, weights) = (Shares::default(), Weights::default());
        shares.want(&whose("b"), &weights, NOW);
        assert_eq!(shares.free(80, &whose("a"), &weights), 40);
        shares.sweep(&weights, NOW + WANTED);
        assert_eq!(shares.free(80, &whose("a"), &weights), usize::MAX);
        assert_eq!(shares.weight, 0);
    }
}
