//! The one place where concrete edges, storages and relays meet.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slimta::storage::{OpenError, Storage, StorageError, embedded_directory};
use slimta_core::queue::{Observer, Queue};
use slimta_core::world::World;

use crate::admin::{AdminSocket, Desk, Door, check_length, socket_path};
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

/// How long to wait for another process that has the store open for a moment:
/// a server that is just starting or ending, whose socket does not answer, or a
/// command that looks at a closed store.
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
        let socket = socket(settings.admin_socket.as_deref(), &settings.storage)?;
        let storage = storage(&settings.storage, &world).await?;
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
        let admin = socket.map(|path| AdminSocket::bind(&path)).transpose()?;
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
    let socket = socket(place.admin_socket.as_deref(), &place.storage)?;
    let give_up = world.monotonic() + DOOR_WAIT_MAX;
    loop {
        if let Some(socket) = &socket
            && let Some(door) = Door::beside(socket).await?
        {
            return Ok(door);
        }
        check_there(&place.storage)?;
        match try_storage(&place.storage, &world).await {
            Ok(storage) => {
                let queue = Queue::new(None, None, storage.clone())
                    .with_world(world.clone())
                    .with_hostname(place.hostname.clone());
                let session = storage.connect().await.map_err(|error| unusable(&error))?;
                return Ok(Door::Desk(Desk::new(queue, session, world)));
            }
            Err(error) if is_in_use(&error) && world.monotonic() < give_up => {
                world.sleep(DOOR_POLL).await;
            }
            Err(error) => return Err(unusable(&error)),
        }
    }
}

/// Looking at a queue must not make one.
fn check_there(url: &str) -> Result<(), Failure> {
    if url == "memory:" {
        return Err(Failure::Usage(
            "memory: lies in the process that serves it: give both the server and this command \
             an --admin-socket"
                .to_owned(),
        ));
    }
    match directory(url).map(|directory| (std::fs::read_dir(&directory), directory)) {
        Some((Err(error), directory)) => Err(Failure::Usage(format!(
            "there is no storage in {} (--storage): {error}",
            directory.display()
        ))),
        _ => Ok(()),
    }
}

/// Where operators reach the server, if they can: where they say, or in the
/// directory of the storage.
fn socket(named: Option<&Path>, storage: &str) -> Result<Option<PathBuf>, Failure> {
    let path = named.map(Path::to_owned);
    let path = path.or_else(|| directory(storage).map(|directory| socket_path(&directory)));
    if let Some(path) = &path {
        check_length(path)?;
    }
    Ok(path)
}

/// The directory of a storage, if it has one.
fn directory(url: &str) -> Option<PathBuf> {
    embedded_directory(url).map(Path::to_owned)
}

/// Opens a storage, as soon as no other process has it open.
async fn storage(url: &str, world: &World) -> Result<Arc<dyn Storage>, Failure> {
    let give_up = world.monotonic() + DOOR_WAIT_MAX;
    loop {
        match try_storage(url, world).await {
            Ok(storage) => return Ok(storage),
            Err(error) if is_in_use(&error) && world.monotonic() < give_up => {
                world.sleep(DOOR_POLL).await;
            }
            Err(error) => return Err(unusable(&error)),
        }
    }
}

/// Opens a storage, which may read and write the disk, off the runtime's own
/// threads.
async fn try_storage(url: &str, world: &World) -> Result<Arc<dyn Storage>, OpenError> {
    let (owned, world) = (url.to_owned(), world.clone());
    let opening = tokio::task::spawn_blocking(move || slimta::storage::open(&owned, world));
    opening.await.unwrap_or_else(|error| {
        Err(OpenError::Storage(StorageError::Open {
            place: url.to_owned(),
            reason: error.to_string(),
        }))
    })
}

fn is_in_use(error: &OpenError) -> bool {
    matches!(error, OpenError::Storage(StorageError::InUse { .. }))
}

fn unusable(error: &impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("{error} (--storage)"))
}
