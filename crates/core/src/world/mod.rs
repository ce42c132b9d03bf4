//! The only door to time and chance.
//!
//! Everything above this floor asks a [`World`] what time it is and for random
//! bytes, so that a simulation can answer instead of the machine.

mod random;
mod system;
mod time;
mod virtual_time;
mod watched;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use random::SeededRandom;
pub use system::{SystemClock, SystemRandom};
pub use time::{TimeError, Timestamp};
pub use virtual_time::VirtualClock;
pub(crate) use watched::Watched;

/// A source of time.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The wall clock: may jump, forwards and backwards.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start that never goes back.
    fn monotonic(&self) -> Duration;

    /// Completes once `duration` has passed on the monotonic clock.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A source of chance.
pub trait Random: std::fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// Time and chance, as one cheap handle that is passed to whoever needs either.
#[derive(Clone, Debug)]
pub struct World {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl World {
    /// A world of the given clock and randomness.
    pub fn new(clock: impl Clock, random: impl Random) -> Self {
        World {
            clock: Arc::new(clock),
            random: Arc::new(random),
        }
    }

    /// The machine's own clock and randomness.
    pub fn system() -> Self {
        World::new(SystemClock::new(), SystemRandom)
    }

    /// A world that follows the (pausable) clock of the tokio runtime and draws
    /// all chance from `seed`. For tests and simulations.
    pub fn simulated(start: Timestamp, seed: u64) -> Self {
        World::new(VirtualClock::starting_at(start), SeededRandom::new(seed))
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The monotonic clock.
    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    /// Runs `future`, or gives `None` when `limit` passes first.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = self.clock.sleep(limit) => None,
        }
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    /// A random number.
    pub fn random_u64(&self) -> u64 {
        u64::from_le_bytes(self.random())
    }
}
