//! The memory engine: keeps mail in this process, and loses it with it.
//!
//! For tests, simulations and trials. It keeps the whole contract but
//! durability, and is the model that other engines are compared with.

mod session;
mod shelf;
mod suspensions;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{Owner, Session, Storage, StorageError};
use crate::world::{Watched, World};
use session::MemorySession;
use shelf::Shelf;

/// How many bytes of contents are kept unless said otherwise.
const BYTES_MAX: u64 = 1 << 30;

/// Mail in memory. Clones and sessions see the same mail.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    world: World,
    bytes_max: u64,
    shelf: Mutex<Shelf>,
    /// Grows with every change that a waiting manager may care about.
    generation: Watched<u64>,
}

impl Memory {
    /// An empty store of at most 1 GiB of contents, whose leases end by the
    /// clock of `world`.
    pub fn new(world: World) -> Self {
        Memory::with_bytes_max(world, BYTES_MAX)
    }

    /// An empty store that is full at `bytes_max` bytes of contents.
    pub fn with_bytes_max(world: World, bytes_max: u64) -> Self {
        Memory(Arc::new(Shared {
            world,
            bytes_max,
            shelf: Mutex::default(),
            generation: Watched::new(0),
        }))
    }
}

#[async_trait]
impl Storage for Memory {
    async fn connect(&self) -> Result<Arc<dyn Session>, StorageError> {
        let owner = Owner::new(format!("memory-{:016x}", self.0.world.random_u64()));
        Ok(Arc::new(MemorySession::new(self.0.clone(), owner)))
    }
}

impl Shared {
    /// Runs one atomic step, with run-out leases put back first.
    fn step<T>(&self, step: impl FnOnce(&mut Shelf, Now) -> T) -> T {
        // A panic in a step is a bug; the mail that is there stays in reach.
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Now {
            wall: self.world.now(),
            monotonic: self.world.monotonic(),
        };
        shelf.end_leases(now.monotonic);
        step(&mut shelf, now)
    }

    fn changed(&self) {
        self.generation.update(|generation| *generation += 1);
    }
}

/// One moment on both clocks: mail is due by the wall, leases end by the clock
/// that never jumps.
#[derive(Clone, Copy, Debug)]
struct Now {
    wall: crate::world::Timestamp,
    monotonic: std::time::Duration,
}
