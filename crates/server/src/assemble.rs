//! The one place where concrete edges, storages and relays meet.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slimta::bus;
use slimta::policy::SignDkim;
use slimta::queue::{Direct, EdgeBus, HeedReplies, Observer, Queue, RelayBus};
use slimta::relay::mta_sts::MtaSts;
use slimta::relay::tls_reports::{ReportSender, TlsReports};
use slimta::relay::{Farewells, NextHop, Relay};
use slimta::routing::ByDomain;
use slimta::storage::{
    OpenError, Session, Storage, StorageError, embedded_directory, open, open_checked,
};
use slimta::world::World;

use crate::admin::{AdminSocket, Desk, Door, check_length, socket_path};
use crate::config::{Flags, Place, Settings, TlsKept};
use crate::edges::{Edge, edges};
use crate::failure::Failure;
use crate::first_session::first_session;
use crate::parts::Parts;
use crate::reload::Reloader;

/// A server that is put together: everything is open, nothing runs yet.
pub(crate) struct Server {
    pub(crate) world: World,
    pub(crate) queue: Queue,
    pub(crate) desk: Arc<Desk>,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) admin: Option<AdminSocket>,
    pub(crate) edges: Vec<Edge>,
    /// What ends the connections that relays keep.
    pub(crate) farewells: Farewells,
    /// To be kept fresh while it runs.
    pub(crate) mta_sts: Option<MtaSts>,
    /// What is counted, and what tells of it.
    pub(crate) reports: Option<(TlsReports, ReportSender)>,
}

/// How long to wait for another process that has the store open for a moment:
/// a server that is just starting or ending, whose socket does not answer, or a
/// command that looks at a closed store.
const DOOR_WAIT_MAX: Duration = Duration::from_secs(5);
const DOOR_POLL: Duration = Duration::from_millis(50);
/// How many messages may wait between the edges and the queue, which takes them
/// on as fast as it may. What waits here is counted against the edge's memory.
const EDGE_BUS_CAPACITY: usize = 100;

impl Server {
    /// Opens all that the settings name: first what may be wrong, then the
    /// ports. Waits for a storage that cannot be reached yet.
    pub(crate) async fn open(
        settings: &Settings,
        flags: Flags,
        world: World,
        observer: impl Observer,
    ) -> Result<Self, Failure> {
        let farewells = Farewells::default();
        let parts = Parts::open(settings, &world, &TlsKept::default(), &farewells)?;
        let socket = socket(settings.admin_socket.as_deref(), &settings.storage)?;
        let storage = storage(&settings.storage, &world, open).await;
        let storage = storage.map_err(|error| unusable("--storage", &error))?;
        let (queue_end, edge_end) = bus::local(EDGE_BUS_CAPACITY);
        let (queue_end, edge_end) = (Arc::new(queue_end), Arc::new(edge_end));
        let (tls, dkim, kept) = (parts.tls.clone(), parts.dkim().clone(), parts.kept.clone());
        let policies = &settings.tls_policies;
        let sender = policies.sender(&settings.dns, tls, dkim, edge_end.clone(), &world)?;
        let (queue, wanted) = parts.assemble(
            settings,
            Some(queue_end),
            edge_end.clone(),
            storage.clone(),
            &world,
        )?;
        let queue = queue.with_world(world.clone()).with_observer(observer);
        let session = first_session(&*storage, &world).await;
        let session = session.map_err(|error| unusable("--storage", &error))?;
        let admin = socket.map(|path| AdminSocket::bind(&path)).transpose()?;
        let edges = edges(wanted)?;
        let reloader = Arc::new(Reloader {
            flags,
            queue: queue.clone(),
            bus: edge_end,
            storage,
            world: world.clone(),
            kept: kept.clone(),
            farewells: farewells.clone(),
            listeners: edges.iter().map(Edge::current).collect(),
            running: tokio::sync::Mutex::new(settings.clone()),
        });
        let desk = Desk::new(queue.clone(), session).with_reloader(reloader.clone());
        Ok(Server {
            world,
            queue,
            desk: Arc::new(desk),
            reloader,
            admin,
            edges,
            farewells,
            mta_sts: kept.finder,
            reports: kept.counts.zip(sender),
        })
    }

    /// Where it takes mail.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.edges.iter().map(Edge::address).collect()
    }
}

pub(crate) fn queue(
    settings: &Settings,
    edge_bus: Option<EdgeBus>,
    next_hop: Option<NextHop>,
    storage: Arc<dyn Storage>,
    dkim: &SignDkim,
) -> Result<Queue, Failure> {
    let mut sites = None;
    let (relay_bus, router) = match next_hop {
        Some(NextHop { relay, router }) => {
            let relay: Arc<dyn Relay> = relay.into();
            sites = Some(relay.clone());
            (Some(Arc::new(Direct(relay)) as RelayBus), Some(router))
        }
        None => (None, None),
    };
    let mut queue = Queue::new(edge_bus, relay_bus, storage)
        .with_hostname(settings.hostname.clone())
        .with_delay_notice(settings.delay_notice)
        .with_limits(settings.limits.clone());
    if let Some(relay) = sites {
        queue = queue.with_sites(relay);
    }
    let retry = settings.retry.clone();
    if settings.heed_replies {
        queue.set_retry_algorithm(HeedReplies(retry));
    } else {
        queue.set_retry_algorithm(retry);
    }
    queue.set_bounce_builder(dkim.notices(settings.notices.builder()?));
    queue
        .set_lock_duration(settings.lock_duration)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(match router {
        Some(router) => queue.with_router(router),
        None => queue.with_router(ByDomain {
            local_domain: settings.hostname.clone(),
        }),
    })
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
        check_there(&place.storage, "--storage")?;
        match try_storage(&place.storage, &world, open).await {
            Ok(storage) => {
                let mut queue = Queue::new(None, None, storage.clone())
                    .with_world(world.clone())
                    .with_hostname(place.hostname.clone());
                let dkim = place.dkim.signer()?;
                queue.set_bounce_builder(dkim.notices(place.notices.builder()?));
                let session = storage
                    .connect()
                    .await
                    .map_err(|error| unusable("--storage", &error))?;
                return Ok(Door::Desk(Desk::new(queue, session)));
            }
            Err(error) if is_in_use(&error) && world.monotonic() < give_up => {
                world.sleep(DOOR_POLL).await;
            }
            Err(error) => return Err(unusable("--storage", &error)),
        }
    }
}

/// A way to the server at `place`; none if none runs.
pub(crate) async fn beside(place: &Place) -> Result<Option<Door>, Failure> {
    match socket(place.admin_socket.as_deref(), &place.storage)? {
        Some(socket) => Door::beside(&socket).await,
        None => Ok(None),
    }
}

/// Looking at a queue must not make one.
fn check_there(url: &str, flag: &str) -> Result<(), Failure> {
    if url == "memory:" {
        return Err(Failure::Usage(
            "memory: lies in the process that serves it: give both the server and this command \
             an --admin-socket"
                .to_owned(),
        ));
    }
    match directory(url).map(|directory| (std::fs::read_dir(&directory), directory)) {
        Some((Err(error), directory)) => Err(Failure::Usage(format!(
            "there is no storage in {} ({flag}): {error}",
            directory.display()
        ))),
        _ => Ok(()),
    }
}

/// Where operators reach the server, if they can: where they say, or in the
/// directory of the storage.
pub(crate) fn socket(named: Option<&Path>, storage: &str) -> Result<Option<PathBuf>, Failure> {
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

/// A session on the storage that `flag` names, which no server of another
/// process has for itself. Where mail is only taken from, it must be there.
pub(crate) async fn session(
    url: &str,
    flag: &str,
    must_exist: bool,
) -> Result<Arc<dyn Session>, Failure> {
    if must_exist || url == "memory:" {
        check_there(url, flag)?;
    }
    alone(url, flag, open).await
}

/// The same on a storage that is there, after all of it was read.
pub(crate) async fn checked_session(url: &str, flag: &str) -> Result<Arc<dyn Session>, Failure> {
    check_there(url, flag)?;
    alone(url, flag, open_checked).await
}

/// Nobody else may have the storage open, and no admin socket takes its place.
async fn alone(url: &str, flag: &str, open: Opening) -> Result<Arc<dyn Session>, Failure> {
    let unusable = |error: OpenError| match error {
        OpenError::Storage(StorageError::InUse { place, .. }) => Failure::Usage(format!(
            "the storage {place} is open in another process: stop the server first ({flag})"
        )),
        error => unusable(flag, &error),
    };
    let storage = storage(url, &World::system(), open).await;
    let session = storage.map_err(unusable)?.connect().await;
    session.map_err(|error| unusable(error.into()))
}

/// What a storage is called, however its URL is written; without secrets.
pub(crate) fn name(url: &str) -> String {
    if let Some(directory) = embedded_directory(url) {
        let whole = std::fs::canonicalize(directory);
        let whole = whole.as_deref().unwrap_or(directory);
        return format!("embedded:{}", whole.display());
    }
    let bare = url.split(['?', '#']).next().unwrap_or(url);
    match bare.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            format!("{scheme}://{host}")
        }
        None => bare.to_owned(),
    }
}

/// How a storage is opened by its URL.
type Opening = fn(&str, World) -> Result<Arc<dyn Storage>, OpenError>;

/// Opens a storage, as soon as no other process has it open.
async fn storage(url: &str, world: &World, open: Opening) -> Result<Arc<dyn Storage>, OpenError> {
    let give_up = world.monotonic() + DOOR_WAIT_MAX;
    loop {
        match try_storage(url, world, open).await {
            Err(error) if is_in_use(&error) && world.monotonic() < give_up => {
                world.sleep(DOOR_POLL).await;
            }
            opened => return opened,
        }
    }
}

/// Opens a storage, which may read and write the disk, off the runtime's own
/// threads.
async fn try_storage(
    url: &str,
    world: &World,
    open: Opening,
) -> Result<Arc<dyn Storage>, OpenError> {
    let (owned, world) = (url.to_owned(), world.clone());
    let opening = tokio::task::spawn_blocking(move || open(&owned, world));
    opening.await.unwrap_or_else(|error| {
        Err(OpenError::Storage(StorageError::Open {
            place: name(url),
            reason: error.to_string(),
        }))
    })
}

fn is_in_use(error: &OpenError) -> bool {
    matches!(error, OpenError::Storage(StorageError::InUse { .. }))
}

fn unusable(flag: &str, error: &impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("{error} ({flag})"))
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_storage_has_one_name_without_secrets() {
        assert_eq!(name("embedded:."), name("embedded:./"));
        assert_eq!(
            name("postgres://u:s@cr/et@db/mail?x=y"),
            "postgres://db/mail"
        );
        assert_eq!(name("redis://host:6379/1"), "redis://host:6379/1");
    }
}
