//! The doors of managers, and the way of clients to them.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use slimta::edge::smtp::Listener;
use slimta::relay::{Connector, Endpoint, Stream};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use crate::books::Books;
use crate::flaky::Weather;
use crate::wire::{self, Line, Near};

/// The door of a manager that is up.
pub(crate) struct Door {
    weather: Arc<Weather>,
    books: Books,
    clients: mpsc::UnboundedSender<DuplexStream>,
    /// The process behind it is gone, from one moment to the next.
    is_broken: AtomicBool,
}

impl Door {
    /// A door, and where its edge takes clients from.
    pub(crate) fn new(weather: Arc<Weather>, books: Books) -> (Door, Queue) {
        let (clients, queue) = mpsc::unbounded_channel();
        let door = Door {
            weather,
            books,
            clients,
            is_broken: AtomicBool::new(false),
        };
        (door, Queue(Mutex::new(queue)))
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Begins a session.
    pub(crate) fn enter(&self) -> io::Result<(Near, Arc<Line>)> {
        if self.clients.is_closed() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, stream, line) = wire::connect(&self.weather, &self.books);
        let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        self.clients.send(stream).map_err(refused)?;
        Ok((near, line))
    }
}

/// Clients that wait to be let in.
pub(crate) struct Queue(Mutex<mpsc::UnboundedReceiver<DuplexStream>>);

#[async_trait]
impl Listener for Queue {
    type Stream = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, SocketAddr)> {
        let next = poll_fn(|context| {
            let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            clients.poll_recv(context)
        });
        match next.await {
            Some(stream) => Ok((stream, SocketAddr::from((Ipv4Addr::LOCALHOST, 25)))),
            // Nobody will come any more.
            None => std::future::pending().await,
        }
    }

    fn refuse(_: DuplexStream, _: &[u8]) -> io::Result<()> {
        Ok(())
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

    /// Nobody comes in at a manager any more; who is inside may stay, unless
    /// the door is broken.
    pub(crate) fn shut(&self, manager: usize, is_broken: bool) {
        if let Some(door) = self.map().remove(&manager) {
            door.is_broken.store(is_broken, Ordering::Relaxed);
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
    async fn connect(&self, _: &Endpoint, _: Option<IpAddr>) -> io::Result<Box<dyn Stream>> {
        let (near, line) = self.door.enter()?;
        // A client connects once a try.
        let _ = self.line.set(line);
        Ok(Box::new(near))
    }
}
