//! Whose clock judges leases and due times.

use slimta_core::world::{Timestamp, World};

use crate::server_time::ServerTime;

/// Where a statement takes the time from.
#[derive(Debug)]
pub(super) enum ServerClock {
    /// The database: all managers agree, however wrong their own clocks are.
    Server(ServerTime),
    /// A test moves the time by hand.
    #[cfg_attr(not(test), expect(dead_code))]
    Manual(World),
}

/// The time in a statement whose first parameter is [`ServerClock::parameter`].
pub(super) const NOW: &str =
    "COALESCE($1::bigint, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint)";

impl ServerClock {
    /// What a statement gets for its first parameter.
    pub(super) fn parameter(&self) -> Option<i64> {
        match self {
            ServerClock::Server(_) => None,
            ServerClock::Manual(world) => Some(world.now().as_millis()),
        }
    }

    /// The time, without asking.
    pub(super) fn now(&self) -> Timestamp {
        match self {
            ServerClock::Server(time) => time.now(),
            ServerClock::Manual(world) => world.now(),
        }
    }

    /// Takes over the time of an answer.
    pub(super) fn learn(&self, now: Timestamp) {
        if let ServerClock::Server(time) = self {
            time.learn(now);
        }
    }
}
