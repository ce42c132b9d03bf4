//! Ends connections in good order. A next hop whose client just goes may log that,
//! and hold it against the client.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

use super::connection::Connection;
use super::pool::Pool;
use crate::world::World;

/// Ends the connections that relays keep for the next message: of all relays that
/// were given this, or a clone of it. Relays that are dropped without it just hang
/// up.
#[derive(Clone, Debug, Default)]
pub struct Farewells(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// A std mutex: held to note a pool, or to copy the list.
    pools: Mutex<Vec<Weak<Pool>>>,
    /// On how many connections goodbye is being said.
    leaving: watch::Sender<usize>,
}

/// The relays of one moment: see [`Farewells::of_now`].
#[derive(Debug)]
#[must_use = "their connections are kept until they are ended"]
pub struct Farewell(Vec<Arc<Pool>>);

impl Farewells {
    /// The relays that were given this so far. Those that are given it later are not
    /// among them.
    pub fn of_now(&self) -> Farewell {
        let pools = self.pools().iter().filter_map(Weak::upgrade).collect();
        Farewell(pools)
    }

    /// Ends the connections of all relays, as [`Farewell::end`] does, and waits until
    /// goodbye is said on each of them, and on those that had been ended just before;
    /// but no longer than `limit`. Gives how many the wait was for, and how many were
    /// cut off.
    pub async fn end_all(&self, world: &World, limit: Duration) -> (usize, usize) {
        self.of_now().end();
        let mut leaving = self.0.leaving.subscribe();
        let begun = *leaving.borrow_and_update();
        let all_said = leaving.wait_for(|left| *left == 0);
        match world.timeout(limit, all_said).await {
            Some(_) => (begun, 0),
            None => (begun, *self.0.leaving.borrow()),
        }
    }

    /// Notes who keeps connections.
    pub(super) fn note(&self, pool: &Arc<Pool>) {
        let mut pools = self.pools();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// Says goodbye on a connection, in a task of its own.
    pub(super) fn say(&self, connection: Connection) {
        self.0.leaving.send_modify(|leaving| *leaving += 1);
        let said = Said(self.clone());
        tokio::spawn(async move {
            connection.quit().await;
            drop(said);
        });
    }

    fn pools(&self) -> MutexGuard<'_, Vec<Weak<Pool>>> {
        self.0.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Farewell {
    /// Ends the connections that these relays keep, and from now on each that they have
    /// no more use for. They may go on to be used, at the price of a new connection
    /// for each transaction. Called within a runtime of Tokio, whose tasks say it.
    pub fn end(self) {
        for pool in self.0 {
            pool.close();
        }
    }
}

/// A goodbye that is said, or was cut off, when this is dropped.
struct Said(Farewells);

impl Drop for Said {
    fn drop(&mut self) {
        let Said(Farewells(inner)) = self;
        inner.leaving.send_modify(|leaving| *leaving -= 1);
    }
}
