//! Whose clock judges leases and due times.

use slimta_core::world::World;

/// Where a statement takes the time from.
#[derive(Clone, Debug)]
pub(super) enum ServerClock {
    /// The database: all managers agree, however wrong their own clocks are.
    Server,
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
            ServerClock::Server => None,
            ServerClock::Manual(world) => Some(world.now().as_millis()),
        }
    }
}
