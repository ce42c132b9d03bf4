//! One connection to a next hop: the session's steps, carried out.

use std::future::Future as _;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use slimta_smtp::client::{Outcome, Parcel, Session, Stage, Step, Stuffing, Timing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::unconstrained;

use super::Host;
use super::connector::{Connector, Stream};
use super::source::Unusable;
use crate::message::{Content, Response};
use crate::relay::LeaseSignal;
use crate::world::World;

/// How much is read at once: replies are short.
const READ_BYTES: usize = 1 << 10;
/// How much of the contents is written at once.
const BLOCK_BYTES: usize = 64 << 10;

/// An open connection, between transactions or in one.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    session: Session,
    input: BytesMut,
    timing: Timing,
    world: World,
    host: String,
    opened: Duration,
    transactions: u32,
}

impl Connection {
    /// Connects and says hello. An error is the answer for the message: it was
    /// not even offered.
    pub(super) async fn open(
        connector: &dyn Connector,
        host: &Host,
        source: Option<IpAddr>,
        hostname: &str,
        timing: &Timing,
        world: &World,
    ) -> Result<Self, Response> {
        let failed = |why: String| {
            let text = format!("Connection to {} failed: {why}", host.address);
            Response::transient(4, 1, text)
        };
        let connecting = connector.connect(host.address, source);
        let stream = match world.timeout(timing.connect, connecting).await {
            Some(Ok(stream)) => stream,
            Some(Err(error)) if is_our_fault(&error) => {
                let text = format!("No connection to {}: {error}", host.address);
                return Err(Response::transient(3, 0, text));
            }
            Some(Err(error)) => return Err(failed(error.to_string())),
            None => return Err(failed("no answer".to_owned())),
        };
        let mut connection = Connection {
            stream,
            session: Session::new(hostname, timing.clone()),
            input: BytesMut::new(),
            timing: timing.clone(),
            world: world.clone(),
            host: host.name.clone(),
            opened: world.monotonic(),
            transactions: 0,
        };
        match connection.turn().await {
            Step::Ready => Ok(connection),
            Step::Closed(why) => Err(why),
            _ => Err(failed("the session is out of step".to_owned())),
        }
    }

    /// The name of the next hop.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// How long ago it was opened.
    pub(super) fn age(&self) -> Duration {
        self.world.monotonic().saturating_sub(self.opened)
    }

    /// How many transactions it has carried.
    pub(super) fn transactions(&self) -> u32 {
        self.transactions
    }

    /// Whether the next hop would take another transaction.
    pub(super) fn is_open(&self) -> bool {
        self.session.is_open()
    }

    /// Whether nothing came while it was idle: neither an end nor a farewell.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0; 1];
        // A look, not a wait: it must not depend on what else the task did.
        let reading = pin!(unconstrained(self.stream.read(&mut byte)));
        let mut context = Context::from_waker(Waker::noop());
        matches!(reading.poll(&mut context), Poll::Pending)
    }

    /// One transaction. The final dot is not sent once the lease is over:
    /// another manager may be sending the same message.
    pub(super) async fn transact(&mut self, parcel: &Parcel<'_>, lease: &LeaseSignal) -> Outcome {
        self.transactions += 1;
        self.session.begin(parcel);
        loop {
            match self.turn().await {
                Step::Done(outcome) => return outcome,
                Step::Contents => match self.send(parcel.content, lease).await {
                    Ok(()) => self.session.contents_sent(),
                    Err(why) => self.session.fail(why),
                },
                Step::Read(_) | Step::StartTls | Step::Ready | Step::Closed(_) => {
                    let lost = Response::transient(4, 2, "The session is out of step");
                    return Outcome {
                        responses: vec![lost; parcel.recipients.len()],
                        stage: Stage::Contents,
                        passed_on: false,
                    };
                }
            }
        }
    }

    /// Says goodbye. Nothing depends on the answer.
    pub(super) async fn quit(mut self) {
        self.session.quit();
        self.turn().await;
    }

    /// Writes and reads until the session wants something else.
    async fn turn(&mut self) -> Step {
        // A time is for a whole reply: it does not begin anew with each byte.
        let mut awaited: Option<(u64, Duration)> = None;
        loop {
            let limit = match self.session.step(&mut self.input) {
                Step::Read(limit) => limit,
                step => return step,
            };
            let replies = self.session.replies();
            let deadline = match awaited {
                Some((before, deadline)) if before == replies => deadline,
                _ => self.world.monotonic() + limit,
            };
            awaited = Some((replies, deadline));
            let left = deadline.saturating_sub(self.world.monotonic());
            if let Err(why) = self.exchange(left).await {
                self.session.fail(why);
            }
        }
    }

    /// Writes what there is to write, then reads something.
    async fn exchange(&mut self, limit: Duration) -> Result<(), Response> {
        if !self.session.output().is_empty() {
            let output = std::mem::take(self.session.output());
            self.write(&output).await?;
        }
        self.input.reserve(READ_BYTES);
        let reading = self.stream.read_buf(&mut self.input);
        match self.world.timeout(limit, reading).await {
            Some(Ok(0)) => Err(lost("closed by the next hop")),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(lost(&error.to_string())),
            None => Err(silent()),
        }
    }

    async fn send(&mut self, content: &Content, lease: &LeaseSignal) -> Result<(), Response> {
        let mut stuffing = Stuffing::new(content);
        let mut block = Vec::with_capacity(content.len().min(BLOCK_BYTES) + READ_BYTES);
        while stuffing.fill(&mut block, BLOCK_BYTES) {
            self.write(&block).await?;
            block.clear();
        }
        if !lease.is_alive() {
            return Err(lease_lost());
        }
        block.extend_from_slice(Stuffing::END);
        self.write(&block).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Response> {
        let writing = self.stream.write_all(bytes);
        match self.world.timeout(self.timing.block, writing).await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(lost(&error.to_string())),
            None => Err(silent()),
        }
    }
}

/// Whether this machine has no descriptor left (ENFILE, EMFILE), or not the
/// source address: it says nothing of the next hop, which must not be left
/// alone for it.
fn is_our_fault(error: &io::Error) -> bool {
    let inner = error.get_ref();
    matches!(error.raw_os_error(), Some(23 | 24)) || inner.is_some_and(|e| e.is::<Unusable>())
}

fn lost(why: &str) -> Response {
    Response::transient(4, 2, format!("Connection lost: {why}"))
}

fn silent() -> Response {
    Response::transient(4, 2, "The next hop took too long to answer")
}

/// For messages that another manager may have by now.
pub(super) fn lease_lost() -> Response {
    Response::transient(3, 0, "The lock on the message ran out")
}
