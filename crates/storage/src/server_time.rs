//! The clock of a server, as far as it is known here between two answers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use slimta_core::world::{Timestamp, World};

/// What a server said the time was, carried on by the local clock that never
/// jumps. It lags by the way of the answer, so that what is due by it is due
/// by the server.
#[derive(Debug)]
pub(crate) struct ServerTime {
    world: World,
    /// The time in the last answer, and when that was here.
    last: Mutex<Option<(Timestamp, Duration)>>,
}

impl ServerTime {
    pub(crate) fn new(world: World) -> Self {
        ServerTime {
            world,
            last: Mutex::new(None),
        }
    }

    /// Takes over what an answer said that has just come.
    pub(crate) fn learn(&self, time: Timestamp) {
        let last = Some((time, self.world.monotonic()));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// The time of the server; that of this machine until the server has said.
    pub(crate) fn now(&self) -> Timestamp {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map_or_else(
            || self.world.now(),
            |(time, at)| time.after(self.world.monotonic().saturating_sub(at)),
        )
    }
}
