//! A clock for tests: follows the tokio runtime, which can be paused.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use super::{Clock, Timestamp};

/// A clock that starts at a chosen moment and then follows the tokio runtime.
/// Under `#[tokio::test(start_paused = true)]` it only moves when every task
/// waits, so hours pass at once and every run is the same.
#[derive(Debug)]
pub struct VirtualClock {
    start: Timestamp,
    origin: Instant,
}

impl VirtualClock {
    /// A clock that shows `start` now.
    pub fn starting_at(start: Timestamp) -> Self {
        VirtualClock {
            start,
            origin: Instant::now(),
        }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.start.after(self.origin.elapsed())
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}
