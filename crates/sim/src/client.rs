//! Clients that hand mail in by SMTP, over the simulated network.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use slimta::edge::smtp::SmtpEdge;
use slimta::relay::{Connector, SmtpRelay, Stream};
use slimta_core::message::{Destination, Message, MessageId, Priority, Report, StoredMessage};
use slimta_core::relay::{Delivery, LeaseSignal, Relay as _};
use slimta_core::world::World;
use tokio::task::JoinSet;

use crate::books::Books;
use crate::flaky::Weather;
use crate::wire;

/// The door of a manager that is up. Its sessions end with it.
pub(crate) struct Door {
    edge: SmtpEdge,
    weather: Arc<Weather>,
    books: Books,
    sessions: Mutex<Option<JoinSet<()>>>,
}

impl Door {
    pub(crate) fn new(edge: SmtpEdge, weather: Arc<Weather>, books: Books) -> Arc<Self> {
        Arc::new(Door {
            edge,
            weather,
            books,
            sessions: Mutex::new(Some(JoinSet::new())),
        })
    }

    /// Cuts all sessions, and takes no more.
    pub(crate) fn shut(&self) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        drop(sessions.take());
    }
}

/// The way to a door.
struct Way(Arc<Door>);

#[async_trait]
impl Connector for Way {
    async fn connect(&self, _: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let door = &self.0;
        let mut sessions = door.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sessions) = sessions.as_mut() else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let (near, stream, _) = wire::connect(&door.weather, &door.books);
        let edge = door.edge.clone();
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        sessions.spawn(async move { edge.serve_stream(stream, ip).await });
        Ok(Box::new(near))
    }
}

/// Hands a message in, and gives what the client heard. The client is our own
/// relay: it believes nothing but a reply to its final dot.
pub(crate) async fn hand_in(door: Arc<Door>, message: Message, world: World) -> Report {
    let id = MessageId::new(&world);
    let stored = StoredMessage {
        id,
        submission: id,
        destination: Destination::new("edge"),
        client: message.client,
        envelope: message.envelope,
        received: world.now(),
        size: message.content.len() as u64,
        priority: Priority::default(),
        attempts: 0,
        due: world.now(),
        held: None,
        last_response: None,
    };
    let delivery = Delivery {
        message: Arc::new(stored),
        content: message.content,
        lease: LeaseSignal::unleased(),
    };
    SmtpRelay::new("192.0.2.2", 25, "client.example", world)
        .with_connector(Way(door))
        .attempt(delivery)
        .await
}
