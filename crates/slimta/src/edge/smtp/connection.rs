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
use slimta_smtp::server::{Awaits, Ending, Session, Settings, Step};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use super::SmtpEdge;
use super::listen::Phase;
use super::pace::Pace;
use crate::message::{EnhancedCode, Response};

/// How much is read at once where commands are awaited.
const COMMAND_READ_BYTES: usize = 8 << 10;
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
    edge: Arc<SmtpEdge>,
    stream: S,
    ip: IpAddr,
    session: Session,
    input: BytesMut,
    pace: Pace,
    phase: watch::Receiver<Phase>,
    is_permitted: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(
        edge: Arc<SmtpEdge>,
        settings: Arc<Settings>,
        stream: S,
        ip: IpAddr,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let is_permitted = (edge.permit)(ip);
        Connection {
            is_permitted,
            pace: Pace::new(&edge.limits, edge.world.monotonic()),
            session: Session::new(settings).with_priorities(is_permitted),
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
        match self.converse().await {
            Ok(()) => tracing::debug!(ip = %self.ip, "client served"),
            Err(error) => tracing::debug!(ip = %self.ip, %error, "client gone"),
        }
    }

    async fn converse(&mut self) -> io::Result<()> {
        self.session.banner();
        loop {
            match self.session.step(&mut self.input) {
                Step::Read(awaits) => {
                    self.flush().await?;
                    self.read(awaits).await?;
                }
                Step::Write => self.flush().await?,
                Step::Pause => self.edge.world.sleep(PAUSE_TIME).await,
                Step::Recipient(recipient) if self.is_permitted => {
                    self.session.accept_recipient(recipient);
                }
                Step::Recipient(recipient) => {
                    tracing::info!(ip = %self.ip, recipient = %recipient.address, "relaying denied");
                    let denied = Response::permanent(7, 1, "Relaying denied");
                    self.session.refuse_recipient(&denied);
                }
                Step::StartTls => self.session.refuse_tls(),
                Step::Message(received) => {
                    let response = tokio::select! {
                        biased;
                        response = self.edge.deliver(*received, self.ip) => response,
                        () = reached(&mut self.phase, Phase::Over) => shutdown(),
                    };
                    self.session.answer(&response);
                    if *self.phase.borrow() != Phase::Open {
                        self.session.stop();
                    }
                }
                Step::Close => {
                    self.flush().await?;
                    return self.linger().await;
                }
            }
        }
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
            Some(Ok(bytes)) => self.pace.received(bytes),
        }
        Ok(())
    }

    /// Writes all replies, in one piece if the socket takes it.
    async fn flush(&mut self) -> io::Result<()> {
        let output = self.session.output();
        if output.is_empty() {
            return Ok(());
        }
        let writing = self.stream.write_all_buf(output);
        let limit = self.edge.limits.command_time_max;
        let written = self.edge.world.timeout(limit, writing).await;
        written.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Waits a moment for the client to close after the last reply.
    async fn linger(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let (stream, input) = (&mut self.stream, &mut self.input);
        let reading = async {
            let mut read = 0;
            while read < LINGER_BYTES_MAX {
                input.clear();
                match receive(stream, input, &mut BytesMut::new(), COMMAND_READ_BYTES).await {
                    Ok(bytes @ 1..) => read += bytes,
                    _ => break,
                }
            }
        };
        self.edge.world.timeout(LINGER_TIME_MAX, reading).await;
        Ok(())
    }
}

/// Reads what is there, or waits for it, with the buffers given back
/// meanwhile. Zero bytes are the end. Cancel-safe.
async fn receive(
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
async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // If the other end is gone there is no edge to serve for.
    let _ = phases.wait_for(|now| *now >= phase).await;
}

fn shutdown() -> Response {
    let code = EnhancedCode::new(4, 3, 2);
    Response::new(421, Some(code), "Service shutting down")
}
