//! One client's connection: moves bytes between its socket and its session,
//! keeps the time, and does what the session asks for.
//!
//! A connection that waits for its client keeps no buffers: ten thousand idle
//! ones cost little more than their sockets.

use std::future::{Future as _, poll_fn};
use std::io;
use std::mem;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use slimta_core::world::World;
use slimta_smtp::server::{Awaits, Ending, Injected, Session, Settings, Step};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::SmtpEdge;
use super::auth::{Authentication, Exchange};
use super::listen::Phase;
use super::origin::OriginPlace;
use super::pace::Pace;
use super::proxy_header::Peer;
use super::tls;
use crate::message::{EnhancedCode, Response};

/// How much is read at once where commands are awaited.
pub(super) const COMMAND_READ_BYTES: usize = 8 << 10;
/// How much is read at once where a message is.
const DATA_READ_BYTES: usize = 64 << 10;
/// How much unused buffer a waiting connection may keep.
const SLACK_BYTES_MAX: usize = 1 << 10;
/// How long a client that sends many bad commands waits for each reply.
const PAUSE_TIME: Duration = Duration::from_secs(1);
/// How long and how much is read after the last reply. A socket that is closed
/// with input left is reset, and the client may never see that reply.
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1 << 20;

/// One client's connection.
pub(super) struct Connection<S> {
    pub(super) edge: Arc<SmtpEdge>,
    pub(super) stream: S,
    pub(super) ip: IpAddr,
    pub(super) session: Session,
    pub(super) input: BytesMut,
    pub(super) pace: Pace,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) is_permitted: bool,
    /// What goes on with a client that is saying who it is.
    pub(super) exchange: Option<Box<Exchange>>,
    /// The place of whom a proxy speaks for.
    pub(super) place: Option<OriginPlace>,
}

/// How a conversation ended.
pub(super) enum Ended {
    /// The connection is over.
    Over,
    /// The client was told to begin with TLS, and has a place for it.
    Encrypting(OwnedSemaphorePermit),
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection<S> {
    pub(super) fn new(
        edge: Arc<SmtpEdge>,
        settings: Arc<Settings>,
        stream: S,
        peer: Peer,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let ip = peer.ip;
        let is_permitted = peer.is_client && (edge.permit)(ip);
        let authentication = edge.authentication.as_ref();
        let mechanisms = authentication.map(Authentication::mechanisms);
        let mut session = Session::new(settings)
            .with_priorities(is_permitted)
            .with_xclient((edge.xclient_from)(ip))
            .with_mechanisms(mechanisms.unwrap_or_default());
        session.tell_time(edge.world.now());
        Connection {
            is_permitted,
            pace: Pace::new(&edge.limits, edge.world.monotonic()),
            session,
            exchange: None,
            place: None,
            input: BytesMut::new(),
            edge,
            stream,
            ip,
            phase,
        }
    }

    /// Serves the client until one of the two is done. What it sent of a
    /// message when it hangs up is dropped.
    pub(super) async fn run(mut self) {
        let ip = self.ip;
        let is_clear = !self.edge.is_encrypted_from_start();
        let ended = if is_clear {
            match Box::pin(self.patience()).await {
                Ok(()) => self.greet().await,
                Err(response) => self.session.turn_away(&response),
            }
            self.converse().await
        } else {
            // If there is none, a line that says so would not be understood.
            let place = self.handshake_place();
            place
                .map(Ended::Encrypting)
                .ok_or_else(|| io::ErrorKind::ResourceBusy.into())
        };
        let ended = match (ended, self.edge.encryption.clone()) {
            (Ok(Ended::Encrypting(place)), Some(encryption)) => {
                tls::serve(self, encryption, place).await
            }
            (ended, _) => ended.map(drop),
        };
        match ended {
            Ok(()) => tracing::debug!(%ip, "client served"),
            Err(error) => tracing::debug!(%ip, %error, "client gone"),
        }
    }

    /// Speaks with the client until the connection is over or turns to TLS.
    pub(super) async fn converse(&mut self) -> io::Result<Ended> {
        loop {
            match self.session.step(&mut self.input) {
                Step::Read(awaits) => {
                    self.flush().await?;
                    self.read(awaits).await?;
                }
                Step::Write => self.flush().await?,
                Step::Pause => self.edge.world.sleep(PAUSE_TIME).await,
                // In boxes, so that a connection that waits keeps no room for them.
                Step::Decide(asked) => self.decide(asked).await,
                Step::Recipient(recipient) => Box::pin(self.take(recipient)).await,
                Step::Authenticate(credentials) => {
                    Box::pin(self.authenticate(&credentials)).await;
                }
                Step::XClient(told) => Box::pin(self.speak_for(&told)).await,
                Step::Sasl(message) => Box::pin(self.exchange(message)).await,
                Step::StartTls => {
                    if let Some(place) = self.accept_tls().await {
                        self.flush().await?;
                        return Ok(Ended::Encrypting(place));
                    }
                }
                Step::Message(received) => {
                    let responses = tokio::select! {
                        biased;
                        responses = self.edge.deliver(*received, self.ip) => responses,
                        () = reached(&mut self.phase, Phase::Over) => vec![shutdown()],
                    };
                    self.session.answer_each(&responses);
                    if *self.phase.borrow() != Phase::Open {
                        self.session.stop();
                    }
                }
                Step::Close => {
                    self.flush().await?;
                    linger(&self.edge.world, &mut self.stream, &mut self.input).await?;
                    return Ok(Ended::Over);
                }
            }
        }
    }

    /// Decides on the wish for TLS; gives the place of the handshake if it is
    /// to begin.
    async fn accept_tls(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Err(response) = self.validate_tls().await {
            self.session.refuse_tls_with(&response);
            return None;
        }
        let Some(place) = self.handshake_place() else {
            self.session.refuse_tls();
            return None;
        };
        match self.session.accept_tls(&self.input) {
            Ok(()) => Some(place),
            Err(Injected) => {
                tracing::warn!(ip = %self.ip, "client closed: commands behind STARTTLS in the clear");
                None
            }
        }
    }

    fn handshake_place(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.edge.handshakes.clone().try_acquire_owned().ok();
        if place.is_none() {
            tracing::info!(ip = %self.ip, "no TLS with a client: too many handshakes");
        }
        place
    }

    /// Reads more, unless the client's time is up or the edge stops.
    async fn read(&mut self, awaits: Awaits) -> io::Result<()> {
        let now = self.edge.world.monotonic();
        self.pace.progress(self.session.commands_done(), now);
        let left = self.pace.left(awaits, &self.edge.limits, now);
        if left.is_zero() {
            self.session.end(Ending::TimedOut);
            return Ok(());
        }
        let (phase, bytes) = match awaits {
            Awaits::Command => (Phase::Stopping, COMMAND_READ_BYTES),
            Awaits::Data => (Phase::Over, DATA_READ_BYTES),
        };
        let reading = receive(
            &mut self.stream,
            &mut self.input,
            self.session.output(),
            bytes,
        );
        let read = tokio::select! {
            biased;
            () = reached(&mut self.phase, phase) => {
                self.session.end(Ending::Shutdown);
                return Ok(());
            }
            read = self.edge.world.timeout(left, reading) => read,
        };
        match read {
            None => self.session.end(Ending::TimedOut),
            Some(Err(error)) => return Err(error),
            Some(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(Ok(bytes)) => {
                self.pace.received(bytes);
                self.session.tell_time(self.edge.world.now());
            }
        }
        Ok(())
    }

    /// Writes all replies, in one piece if the socket takes it.
    async fn flush(&mut self) -> io::Result<()> {
        let output = self.session.output();
        if output.is_empty() {
            return Ok(());
        }
        let stream = &mut self.stream;
        let writing = async {
            stream.write_all_buf(output).await?;
            // TLS may hold some of it still.
            stream.flush().await
        };
        let limit = self.edge.limits.command_time_max;
        let written = self.edge.world.timeout(limit, writing).await;
        written.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Says that nothing more comes, and waits a moment for the client to close
/// after the last reply.
pub(super) async fn linger(
    world: &World,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    input: &mut BytesMut,
) -> io::Result<()> {
    let closing = async {
        stream.shutdown().await?;
        let mut read = 0;
        while read < LINGER_BYTES_MAX {
            input.clear();
            match receive(stream, input, &mut BytesMut::new(), COMMAND_READ_BYTES).await {
                Ok(bytes @ 1..) => read += bytes,
                _ => break,
            }
        }
        Ok(())
    };
    // A client that waits for more itself has had its moment.
    let closed = world.timeout(LINGER_TIME_MAX, closing).await;
    closed.unwrap_or(Ok(()))
}

/// Reads what is there, or waits for it, with the buffers given back
/// meanwhile. Zero bytes are the end. Cancel-safe.
pub(super) async fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
    output: &mut BytesMut,
    bytes: usize,
) -> io::Result<usize> {
    poll_fn(|context| {
        input.reserve(bytes);
        // Begun anew at each look: between two of them nothing is borrowed.
        let read = pin!(stream.read_buf(input)).poll(context);
        if read.is_pending() {
            if input.capacity() > input.len() + SLACK_BYTES_MAX {
                *input = BytesMut::from(&**input);
            }
            // It was written before anything is read.
            drop(mem::take(output));
            return Poll::Pending;
        }
        read
    })
    .await
}

/// Completes when the edge has stopped as far as `phase`.
pub(super) async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // If the other end is gone there is no edge to serve for.
    let _ = phases.wait_for(|now| *now >= phase).await;
}

pub(super) fn shutdown() -> Response {
    let code = EnhancedCode::new(4, 3, 2);
    Response::new(421, Some(code), "Service shutting down")
}
