//! Accepts connections, and stops: first those that are idle, then those that
//! had their grace.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use slimta_smtp::server::Settings;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::{JoinError, JoinSet};

use super::SmtpEdge;
use super::connection::Connection;
use super::current::CurrentEdge;
use super::listener::Listener;
use super::origin::{OriginPlace, Turned};
use super::proxy_header::Peer;

/// How long to wait when no connection can be accepted: the usual reason is
/// that no file descriptors are left, and that others give some back.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How long the last goodbyes may take.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(2);

/// How far an edge has stopped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Phase {
    /// It serves.
    Open,
    /// Messages that are being sent may be finished; nothing else begins.
    Stopping,
    /// All has to end.
    Over,
}

/// Serves until `stop` completes and all clients are gone.
pub(super) async fn serve<L: Listener>(
    current: CurrentEdge,
    listener: L,
    stop: impl Future<Output = ()> + Send,
) {
    let (phase, phases) = watch::channel(Phase::Open);
    let serving = current.get();
    let mut door = Door {
        settings: serving.settings.clone(),
        edge: serving.edge.clone(),
        phases,
        sessions: JoinSet::new(),
    };
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = door.sessions.join_next() => {
                report(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                door.follow(&current);
                door.admit::<L>(stream, peer);
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::select! {
                    biased;
                    () = &mut stop => break,
                    () = door.edge.world.sleep(ACCEPT_BACKOFF) => {}
                }
            }
        }
    }
    drop(listener);
    door.close(&phase).await;
}

/// What a client holds while it is connected.
type Places = (OwnedSemaphorePermit, Option<OriginPlace>);

/// Where clients come in.
struct Door {
    edge: Arc<SmtpEdge>,
    settings: Arc<Settings>,
    phases: watch::Receiver<Phase>,
    sessions: JoinSet<()>,
}

impl Door {
    /// Lets sessions begin with what is current.
    fn follow(&mut self, current: &CurrentEdge) {
        let serving = current.get();
        self.edge = serving.edge.clone();
        self.settings = serving.settings.clone();
    }

    /// Begins a session, if there is a place for it.
    fn admit<L: Listener>(&mut self, stream: L::Stream, peer: SocketAddr) {
        let ip = peer.ip().to_canonical();
        match self.places(ip) {
            Ok(places) => {
                tracing::debug!(%peer, "client connected");
                self.begin(stream, ip, places);
            }
            Err(turned) => {
                tell(&self.edge, ip, turned);
                // In the clear, who begins with TLS does not understand.
                if !self.edge.is_encrypted_from_start() {
                    // The client is gone, or its buffer is empty and takes a
                    // line.
                    let _ = L::refuse(stream, turned.response().to_smtp().as_bytes());
                }
            }
        }
    }

    /// The places of a client: among all, and among those of its origin.
    fn places(&self, ip: IpAddr) -> Result<Places, Turned> {
        let all = self.edge.connections.clone().try_acquire_owned();
        let all = all.map_err(|_| Turned::Full)?;
        Ok((all, self.edge.enter(ip)?))
    }

    fn begin(
        &mut self,
        mut stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        ip: IpAddr,
        places: Places,
    ) {
        let (edge, settings) = (self.edge.clone(), self.settings.clone());
        let phases = self.phases.clone();
        self.sessions.spawn(async move {
            let mut behind_proxy = None;
            let mut peer = Some(Peer::client(ip));
            if edge.has_header_from(ip) {
                // In a box: the connection keeps no room for it.
                peer = Box::pin(edge.peer_behind(ip, &mut stream, phases.clone())).await;
                match peer.as_ref().map(|peer| edge.enter(peer.ip)) {
                    Some(Ok(place)) => behind_proxy = place,
                    Some(Err(turned)) => return tell(&edge, ip, turned),
                    None => return,
                }
            }
            if let Some(peer) = peer {
                let connection = Connection::new(edge, settings, stream, peer, phases);
                connection.run().await;
            }
            drop((places, behind_proxy));
        });
    }

    /// Ends all sessions, those that are in the middle of a message after
    /// their grace.
    async fn close(mut self, phase: &watch::Sender<Phase>) {
        let world = self.edge.world.clone();
        phase.send_replace(Phase::Stopping);
        let grace = self.edge.limits.grace_time_max;
        if world.timeout(grace, self.drain()).await.is_none() {
            phase.send_replace(Phase::Over);
            // Those that do not even read their goodbye are cut off.
            world.timeout(GOODBYE_TIME_MAX, self.drain()).await;
        }
        self.sessions.shutdown().await;
    }

    async fn drain(&mut self) {
        while let Some(ended) = self.sessions.join_next().await {
            report(ended);
        }
    }
}

/// Says that a client is not let in, unless that was said often.
fn tell(edge: &SmtpEdge, ip: IpAddr, turned: Turned) {
    if let Some(untold) = edge.origins.telling.tell(edge.world.monotonic()) {
        tracing::info!(%ip, untold, "client refused: {}", turned.reason());
    }
}

/// A session that panicked took only itself along; what it had not handed on
/// its client sends again.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a session failed");
    }
}
