//! Chance, drawn from the seed alone.

use std::sync::Arc;
use std::time::Duration;

use slimta_core::world::{SeededRandom, World};

use crate::clock::Skewed;

/// Draws for one run. Clones draw from the same stream.
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub(crate) World);

impl Chance {
    /// A stream of its own, which others do not move.
    pub(crate) fn fork(&self) -> Chance {
        let clock = Skewed {
            truth: self.0.clone(),
            skew: Arc::default(),
        };
        Chance(World::new(clock, SeededRandom::new(self.0.random_u64())))
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.0.random_u64() % end.max(1)
    }

    /// True `share` times in a thousand.
    pub(crate) fn permille(&self, share: u64) -> bool {
        self.below(1000) < share
    }

    /// A time up to `longest`.
    pub(crate) fn time(&self, longest: Duration) -> Duration {
        let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.below(millis.saturating_add(1)))
    }
}
