//! The one place where concrete edges, storages and relays meet.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slimta_core::queue::{Observer, Queue};
use slimta_core::storage::{Storage, StorageError};
use slimta_core::world::World;

use crate::admin::{AdminSocket, Desk, Door, socket_path};
use crate::config::{Place, Settings};
use crate::failure::Failure;

/// A server that is put together: everything is open, nothing runs yet.
pub(crate) struct Server {
    pub(crate) world: World,
    pub(crate) queue: Queue,
    pub(crate) desk: Arc<Desk>,
    pub(crate) admin: Option<AdminSocket>,
    pub(crate) edges: Vec<Edge>,
}

/// An edge that listens.
pub(crate) struct Edge {
    address: SocketAddr,
}

impl Edge {
    /// Where it listens, with the real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes mail until `stopped` completes and its clients are gone.
    pub(crate) async fn run(self, stopped: impl Future<Output = ()>) {
        stopped.await;
    }
}

/// How long a command waits for a server that is just starting or ending: it
/// has the store open, but its socket does not answer.
const DOOR_WAIT_MAX: Duration = Duration::from_secs(5);
const DOOR_POLL: Duration = Duration::from_millis(50);

impl Server {
    /// Opens all that the settings name: first what may be wrong, then the
    /// ports.
    pub(crate) async fn open(
        settings: &Settings,
        world: World,
        observer: impl Observer,
    ) -> Result<Self, Failure> {
        let storage = storage(&settings.storage, &world)
            .await
            .map_err(|e| unusable(&e))?;
        let mut queue = Queue::new(None, None, storage.clone())
            .with_world(world.clone())
            .with_hostname(settings.hostname.clone())
            .with_observer(observer)
            .with_limits(settings.limits.clone())
            .with_retry_algorithm(settings.retry.clone());
        queue
            .set_lock_duration(settings.lock_duration)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let session = storage.connect().await.map_err(|error| unusable(&error))?;
        let desk = Arc::new(Desk::new(queue.clone(), session, world.clone()));
        let path = settings
            .admin_socket
            .clone()
            .or_else(|| directory(&settings.storage).map(|directory| socket_path(&directory)));
        let admin = path.map(|path| AdminSocket::bind(&path)).transpose()?;
        Ok(Server {
            world,
            queue,
            desk,
            admin,
            edges: Vec::new(),
        })
    }

    /// Where it takes mail.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.edges.iter().map(Edge::address).collect()
    }
}

/// A way to the queue at `place`: beside its server if one runs, else the store
/// itself.
pub(crate) async fn door(place: &Place) -> Result<Door, Failure> {
    let world = World::system();
    let directory = directory(&place.storage);
    let socket = place.admin_socket.clone();
    let socket = socket.or_else(|| directory.as_deref().map(socket_path));
    let give_up = world.monotonic() + DOOR_WAIT_MAX;
    loop {
        if let Some(socket) = &socket
            && let Some(door) = Door::beside(socket).await?
        {
            return Ok(door);
        }
        if let Some(directory) = &directory {
            check_exists(directory)?;
        }
        match storage(&place.storage, &world).await {
            Ok(storage) => {
                let queue = Queue::new(None, None, storage.clone())
                    .with_world(world.clone())
                    .with_hostname(place.hostname.clone());
                let session = storage.connect().await.map_err(|error| unusable(&error))?;
                return Ok(Door::Desk(Desk::new(queue, session, world)));
            }
            Err(StorageError::InUse { .. }) if world.monotonic() < give_up => {
                world.sleep(DOOR_POLL).await;
            }
            Err(error) => return Err(unusable(&error)),
        }
    }
}

/// Looking at a queue must not make one.
fn check_exists(directory: &Path) -> Result<(), Failure> {
    match std::fs::read_dir(directory) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::Usage(format!(
            "there is no storage in {} (--storage): {error}",
            directory.display()
        ))),
    }
}

/// The directory of a storage, if it has one.
fn directory(url: &str) -> Option<PathBuf> {
    url.strip_prefix("embedded:").map(PathBuf::from)
}

async fn storage(url: &str, _world: &World) -> Result<Arc<dyn Storage>, StorageError> {
    Err(StorageError::Open {
        place: url.to_owned(),
        reason: "no engine is built in".to_owned(),
    })
}

fn unusable(error: &StorageError) -> Failure {
    Failure::Usage(format!("{error} (--storage)"))
}
