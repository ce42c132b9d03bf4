//! Connections that are kept for the next message to the same next hop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::connection::Connection;
use super::farewells::Farewells;
use crate::world::World;

/// Most connections that are kept, over all next hops.
const CONNECTIONS_MAX: usize = 500;
/// Time between two looks for connections that were kept too long.
const SWEEP_DELAY: Duration = Duration::from_secs(2);

/// How long connections are kept for the next message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keeping {
    /// How long an unused connection is kept. Default 10 seconds.
    pub idle_time_max: Duration,
    /// How long a connection is used: hosts behind one name change. Default 5
    /// minutes.
    pub age_max: Duration,
}

impl Default for Keeping {
    fn default() -> Self {
        Keeping {
            idle_time_max: Duration::from_secs(10),
            age_max: Duration::from_secs(300),
        }
    }
}

/// Idle connections by next hop.
#[derive(Debug)]
pub(super) struct Pool {
    world: World,
    pub(super) keeping: Keeping,
    pub(super) farewells: Farewells,
    /// A std mutex: held to move one connection in or out, or for a sweep.
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The last put is the first taken, so that those not needed grow old.
    connections: BTreeMap<String, Vec<Kept>>,
    count: usize,
    is_swept: bool,
    /// Nothing is kept any more.
    is_closed: bool,
}

#[derive(Debug)]
struct Kept {
    connection: Connection,
    since: Duration,
}

impl Pool {
    pub(super) fn new(world: World, keeping: Keeping, farewells: Farewells) -> Arc<Self> {
        let pool = Arc::new(Pool {
            world,
            keeping,
            farewells,
            idle: Mutex::default(),
        });
        pool.farewells.note(&pool);
        pool
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection that looks usable. It may turn out not to be: the
    /// next hop may be closing it just now.
    pub(super) fn take(&self, key: &str) -> Option<Connection> {
        loop {
            let mut kept = self.idle().pop(key)?;
            let is_fresh = self.age(&kept) < self.keeping.idle_time_max;
            match kept.connection.is_quiet() {
                true if is_fresh => return Some(kept.connection),
                true => self.farewells.say(kept.connection),
                // It has ended, or is about to.
                false => {}
            }
        }
    }

    fn age(&self, kept: &Kept) -> Duration {
        self.world.monotonic().saturating_sub(kept.since)
    }

    /// Keeps a connection, or ends it if it was used for long: it carries so many
    /// transactions at most.
    pub(super) fn put(self: &Arc<Self>, key: &str, connection: Connection, transactions_max: u32) {
        if !connection.is_open() {
            return;
        }
        let is_old = connection.age() >= self.keeping.age_max;
        let used_up = is_old || connection.transactions() >= transactions_max;
        let mut idle = self.idle();
        if used_up || idle.is_closed || idle.count >= CONNECTIONS_MAX {
            drop(idle);
            self.farewells.say(connection);
            return;
        }
        let since = self.world.monotonic();
        idle.push(key, Kept { connection, since });
        if !std::mem::replace(&mut idle.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), self.world.clone()));
        }
    }

    /// Ends what is kept, and keeps nothing any more.
    pub(super) fn close(&self) {
        let kept = {
            let mut idle = self.idle();
            idle.is_closed = true;
            idle.count = 0;
            std::mem::take(&mut idle.connections)
        };
        for Kept { connection, .. } in kept.into_values().flatten() {
            self.farewells.say(connection);
        }
    }

    /// Takes out what was kept too long; none when nothing is left to sweep.
    fn expired(&self) -> Option<Vec<Connection>> {
        let now = self.world.monotonic();
        let mut idle = self.idle();
        let mut expired = Vec::new();
        idle.connections.retain(|_, kept| {
            let idle_time_max = self.keeping.idle_time_max;
            let is_old = |k: &mut Kept| now.saturating_sub(k.since) >= idle_time_max;
            expired.extend(kept.extract_if(.., is_old).map(|kept| kept.connection));
            !kept.is_empty()
        });
        idle.count -= expired.len();
        idle.is_swept = idle.count > 0;
        (idle.is_swept || !expired.is_empty()).then_some(expired)
    }
}

impl Idle {
    fn push(&mut self, key: &str, kept: Kept) {
        match self.connections.get_mut(key) {
            Some(connections) => connections.push(kept),
            None => drop(self.connections.insert(key.to_owned(), vec![kept])),
        }
        self.count += 1;
    }

    fn pop(&mut self, key: &str) -> Option<Kept> {
        let kept = self.connections.get_mut(key)?.pop()?;
        self.count -= 1;
        Some(kept)
    }
}

/// Ends connections that nobody needed, until none is left or the pool is gone.
async fn sweep(pool: Weak<Pool>, world: World) {
    loop {
        world.sleep(SWEEP_DELAY).await;
        let Some(pool) = pool.upgrade() else {
            return;
        };
        let Some(expired) = pool.expired() else {
            return;
        };
        for connection in expired {
            pool.farewells.say(connection);
        }
    }
}
