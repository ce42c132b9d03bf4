//! What the next hops of a run are like: each destination has one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::chance::Chance;
use crate::flaky::Weather;

/// Where clients send mail to.
pub(crate) const DOMAINS: [&str; 3] = ["d0.example", "d1.example", "d2.example"];
/// Where notices go to.
const SENDERS: &str = "sender.example";

/// What a next hop is like as long as there are faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Nature {
    /// A bit of everything.
    Ordinary,
    /// Takes what comes, as far as the network lets it.
    Good,
    /// Says 450 to nearly everybody.
    Deferring,
    /// Says 550 to nearly everybody.
    Refusing,
    /// Seldom says what it means.
    Lying,
    /// Lets every client wait for an answer, for minutes.
    Slow,
    /// Says nothing.
    Mute,
    /// Swallows attempts to connect.
    BlackHole,
    /// Refuses connections.
    Dead,
}

impl Nature {
    fn draw(chance: &Chance) -> Self {
        match chance.below(16) {
            0..2 => Nature::Good,
            2 => Nature::Deferring,
            3 => Nature::Refusing,
            4 => Nature::Lying,
            5 => Nature::Slow,
            6 => Nature::draw_bad(chance),
            _ => Nature::Ordinary,
        }
    }

    /// One that serves nobody in time.
    fn draw_bad(chance: &Chance) -> Self {
        match chance.below(4) {
            0 => Nature::Slow,
            1 => Nature::Mute,
            2 => Nature::BlackHole,
            _ => Nature::Dead,
        }
    }

    fn is_bad(self) -> bool {
        use Nature::{BlackHole, Dead, Mute, Slow};
        matches!(self, Slow | Mute | BlackHole | Dead)
    }
}

/// All next hops of a run.
#[derive(Debug)]
pub(crate) struct Hops {
    natures: BTreeMap<&'static str, Nature>,
    /// No more faults, but of those that serve nobody.
    is_siege: AtomicBool,
    /// Whom a healthy next hop has deferred during the siege.
    deferred: Mutex<BTreeSet<String>>,
}

impl Hops {
    /// Draws them. For a siege one of them serves nobody.
    pub(crate) fn draw(chance: &Chance, is_siege: bool) -> Arc<Self> {
        let names = DOMAINS.iter().chain([&SENDERS]);
        let mut natures: BTreeMap<_, _> = names.map(|name| (*name, Nature::draw(chance))).collect();
        if is_siege {
            let at = usize::try_from(chance.below(DOMAINS.len() as u64)).unwrap_or(0);
            natures.insert(DOMAINS[at], Nature::draw_bad(chance));
            // Else mail could be lost on notices, which wait for ever.
            natures.insert(SENDERS, Nature::Ordinary);
        }
        Arc::new(Hops {
            natures,
            is_siege: AtomicBool::new(false),
            deferred: Mutex::default(),
        })
    }

    /// All of them, as they are seen from a manager in this weather.
    pub(crate) fn seen(self: &Arc<Self>, weather: &Arc<Weather>) -> Vec<NextHop> {
        let seen = |name: &&'static str| NextHop {
            name,
            hops: self.clone(),
            weather: weather.clone(),
        };
        self.natures.keys().map(seen).collect()
    }

    /// Whether that of a destination serves nobody in time.
    pub(crate) fn is_bad(&self, destination: &str) -> bool {
        self.natures.get(destination).is_some_and(|n| n.is_bad())
    }

    pub(crate) fn set_siege(&self, is_siege: bool) {
        self.is_siege.store(is_siege, Ordering::Relaxed);
    }

    fn is_siege(&self) -> bool {
        self.is_siege.load(Ordering::Relaxed)
    }
}

/// One next hop, as a manager sees it.
#[derive(Clone)]
pub(crate) struct NextHop {
    pub(crate) name: &'static str,
    hops: Arc<Hops>,
    weather: Arc<Weather>,
}

impl NextHop {
    /// What it is like now: once faults have stopped all are good, but for some
    /// during a siege.
    pub(crate) fn nature(&self) -> Nature {
        let nature = self.hops.natures.get(self.name).copied();
        let nature = nature.unwrap_or(Nature::Ordinary);
        let is_kept = !self.weather.is_calm() || (self.hops.is_siege() && nature.is_bad());
        if is_kept { nature } else { Nature::Good }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.nature() == Nature::Good
    }

    /// Whether it defers a recipient though it is good: during a siege each
    /// once, so that mail has to be taken up again beside bad next hops.
    pub(crate) fn defers(&self, recipient: &str) -> bool {
        let deferred = &self.hops.deferred;
        let mut deferred = deferred.lock().unwrap_or_else(PoisonError::into_inner);
        self.hops.is_siege() && deferred.insert(recipient.to_owned())
    }
}
