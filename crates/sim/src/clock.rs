//! A manager's own wall clock, which somebody may set wrong.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use slimta_core::world::{Clock, Timestamp, World};

/// The true clock, and how many milliseconds the wall shows more.
#[derive(Clone, Debug)]
pub(crate) struct Skewed {
    pub(crate) truth: World,
    pub(crate) skew: Arc<AtomicI64>,
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        let skew = self.skew.load(Ordering::Relaxed);
        Timestamp::from_millis(self.truth.now().as_millis().saturating_add(skew))
    }

    fn monotonic(&self) -> Duration {
        self.truth.monotonic()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let truth = self.truth.clone();
        Box::pin(async move { truth.sleep(duration).await })
    }
}
