//! Whose clock judges leases and due times.

use slimta_core::world::World;

/// Where a script takes the time from.
#[derive(Clone, Debug)]
pub(super) enum ServerClock {
    /// The server that has the shard: all managers agree, however wrong their
    /// own clocks are.
    Server,
    /// A test moves the time by hand.
    #[cfg_attr(not(test), expect(dead_code))]
    Manual(World),
}

impl ServerClock {
    /// What a script gets for the time.
    pub(super) fn argument(&self) -> String {
        match self {
            ServerClock::Server => String::new(),
            ServerClock::Manual(world) => world.now().as_millis().to_string(),
        }
    }
}
