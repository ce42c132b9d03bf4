//! The doors of managers, and the way of clients to them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use slimta::edge::smtp::SmtpEdge;
use slimta::relay::{Connector, Stream};
use tokio::task::JoinSet;

use crate::books::Books;
use crate::flaky::Weather;
use crate::wire::{self, Line, Near};

/// The door of a manager that is up. Its sessions end with it.
pub(crate) struct Door {
    edge: SmtpEdge,
    weather: Arc<Weather>,
    books: Books,
    sessions: Mutex<Option<JoinSet<()>>>,
}

impl Door {
    pub(crate) fn new(edge: SmtpEdge, weather: Arc<Weather>, books: Books) -> Self {
        Door {
            edge,
            weather,
            books,
            sessions: Mutex::new(Some(JoinSet::new())),
        }
    }

    fn sessions(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all sessions are cut, and none begins any more.
    pub(crate) fn is_shut(&self) -> bool {
        self.sessions().is_none()
    }

    /// Begins a session.
    pub(crate) fn enter(&self) -> io::Result<(Near, Arc<Line>)> {
        let mut sessions = self.sessions();
        let Some(sessions) = sessions.as_mut() else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let (near, stream, line) = wire::connect(&self.weather, &self.books);
        let edge = self.edge.clone();
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        sessions.spawn(async move { edge.serve_stream(stream, ip).await });
        Ok((near, line))
    }
}

/// The doors of all managers that are up.
#[derive(Clone, Default)]
pub(crate) struct Doors(Arc<Mutex<BTreeMap<usize, Arc<Door>>>>);

impl Doors {
    fn map(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<Door>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open(&self, manager: usize, door: Door) {
        self.map().insert(manager, Arc::new(door));
    }

    /// Cuts all sessions of a manager, which takes no more.
    pub(crate) fn shut(&self, manager: usize) {
        if let Some(door) = self.map().remove(&manager) {
            drop(door.sessions().take());
        }
    }

    /// The door of a manager, or of one of those after it.
    pub(crate) fn at(&self, manager: usize) -> Option<Arc<Door>> {
        let map = self.map();
        let mut from = map.range(manager..).chain(map.iter());
        from.next().map(|(_, door)| door.clone())
    }
}

/// The way of a relay to a door.
pub(crate) struct Way {
    pub(crate) door: Arc<Door>,
    /// The connection, once there is one.
    pub(crate) line: Arc<OnceLock<Arc<Line>>>,
}

#[async_trait]
impl Connector for Way {
    async fn connect(&self, _: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let (near, line) = self.door.enter()?;
        // A client connects once a try.
        let _ = self.line.set(line);
        Ok(Box::new(near))
    }
}
