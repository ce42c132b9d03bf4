//! One connection to a next hop: the session's steps, carried out.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::BytesMut;
use slimta_smtp::client::{
    Channel, Dialect, Extensions, Outcome, Parcel, RECIPIENTS_MAX, Session, Stage, Step, Timing,
};
use tokio::io::{AsyncRead as _, AsyncReadExt, AsyncWrite as _, AsyncWriteExt, ReadBuf};
use tokio::task::unconstrained;

use super::connector::Stream;
use super::domains::Domains;
use super::host_tls::Protection;
use crate::message::{Content, Recipient, Response};
use crate::relay::LeaseSignal;
use crate::world::World;

/// How much is read at once: replies are short.
const READ_BYTES: usize = 1 << 10;
/// How much of the replies is taken up while commands are still being written.
const REPLIES_BYTES_MAX: usize = 64 << 10;
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
    protection: Protection,
    opened: Duration,
    transactions: u32,
    domains: Domains,
}

impl Connection {
    /// A connection that was just made; `host` is the name of the next hop.
    pub(super) fn new(
        stream: Box<dyn Stream>,
        session: Session,
        host: &str,
        timing: Timing,
        world: &World,
    ) -> Self {
        Connection {
            stream,
            session,
            input: BytesMut::new(),
            timing,
            world: world.clone(),
            host: host.to_owned(),
            protection: Protection::Clear,
            opened: world.monotonic(),
            transactions: 0,
            domains: Domains::default(),
        }
    }

    /// The same, with what `encrypt` makes of its stream.
    pub(super) async fn encrypted<F, E>(
        mut self,
        encrypt: impl FnOnce(Box<dyn Stream>) -> F,
    ) -> Result<Self, E>
    where
        F: Future<Output = Result<Box<dyn Stream>, E>>,
    {
        let stream = encrypt(self.stream).await?;
        self.session.tls_started();
        Ok(Connection { stream, ..self })
    }

    /// Sets what it came to be. Default: in clear.
    pub(super) fn with_protection(self, protection: Protection) -> Self {
        Connection { protection, ..self }
    }

    /// Who can read it, and whether the next hop has shown who it is.
    pub(super) fn protection(&self) -> Protection {
        self.protection
    }

    /// How far it is encrypted.
    pub(super) fn channel(&self) -> Channel {
        self.session.channel()
    }

    /// Whether the next hop refused name and password.
    pub(super) fn was_denied(&self) -> bool {
        self.session.was_denied()
    }

    /// Whether its session was given up by this end, so that the next hop is to hear
    /// [goodbye](Self::quit).
    pub(super) fn owes_quit(&self) -> bool {
        self.session.owes_quit()
    }

    /// What is spoken on it.
    pub(super) fn dialect(&self) -> Dialect {
        self.session.dialect()
    }

    /// What the next hop offers.
    pub(super) fn extensions(&self) -> &Extensions {
        self.session.extensions()
    }

    /// How many recipients a transaction may have.
    pub(super) fn recipients_max(&self) -> usize {
        let named = self.extensions().recipients_max;
        let named = named.and_then(|most| usize::try_from(most.get()).ok());
        named.map_or(RECIPIENTS_MAX, |most| most.min(RECIPIENTS_MAX))
    }

    /// Whether a recipient may come next, as far as its domain matters; then it counts.
    pub(super) fn admits(&mut self, to: &Recipient) -> bool {
        let most = self.session.extensions().recipient_domains_max;
        self.domains.admit(to, most)
    }

    /// How many transactions it may carry, where this host wants so many at most.
    pub(super) fn transactions_max(&self, most: u32) -> u32 {
        let named = self.extensions().transactions_max;
        named.map_or(most, |named| most.min(named.get()))
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

    /// One transaction. Neither the final dot nor the last octet of a chunk is sent
    /// once the lease is over: another manager may be sending the same message.
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
                        too_many: Vec::new(),
                        passed_on: false,
                    };
                }
            }
        }
    }

    /// Says goodbye, also by TLS. Nothing depends on the answer.
    pub(super) async fn quit(mut self) {
        self.session.quit();
        self.turn().await;
        let ending = self.stream.shutdown();
        let _ = self.world.timeout(self.timing.quit, ending).await;
    }

    /// Writes and reads until the session wants something else.
    pub(super) async fn turn(&mut self) -> Step {
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
            let heard = self.input.len();
            self.write_commands(&output).await?;
            if self.input.len() > heard {
                return Ok(());
            }
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

    /// Writes commands. Replies that come meanwhile are taken up: a next hop may go on
    /// reading only when they are, and both would wait for ever (RFC 2920 section 3.1).
    async fn write_commands(&mut self, commands: &[u8]) -> Result<(), Response> {
        let Connection { stream, input, .. } = self;
        let mut rest = commands;
        let writing = async {
            poll_fn(|context| write_or_hear(stream, &mut rest, input, context)).await?;
            // TLS may keep the last record back.
            stream.flush().await
        };
        written(self.world.timeout(self.timing.block, writing).await)
    }

    async fn send(&mut self, content: &Content, lease: &LeaseSignal) -> Result<(), Response> {
        let mut wire = self.session.wire(content);
        let mut block = Vec::with_capacity(content.len().min(BLOCK_BYTES) + READ_BYTES);
        while wire.fill(&mut block, BLOCK_BYTES) {
            self.write(&block).await?;
            block.clear();
        }
        if !lease.is_alive() {
            return Err(lease_lost());
        }
        wire.end(&mut block);
        self.write(&block).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Response> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            // TLS may keep the last record back.
            self.stream.flush().await
        };
        written(self.world.timeout(self.timing.block, writing).await)
    }
}

/// Writes all that is left; takes up replies while nothing can be written.
fn write_or_hear(
    stream: &mut Box<dyn Stream>,
    rest: &mut &[u8],
    input: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !rest.is_empty() {
        match Pin::new(&mut *stream).poll_write(context, rest)? {
            Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(count) => *rest = rest.get(count..).unwrap_or_default(),
            Poll::Pending => ready!(hear(stream, input, context))?,
        }
    }
    Poll::Ready(Ok(()))
}

/// Takes up replies, unless there are too many already.
fn hear(
    stream: &mut Box<dyn Stream>,
    input: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    if input.len() >= REPLIES_BYTES_MAX {
        return Poll::Pending;
    }
    let mut replies = [0; READ_BYTES];
    let mut replies = ReadBuf::new(&mut replies);
    ready!(Pin::new(stream).poll_read(context, &mut replies))?;
    if replies.filled().is_empty() {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    input.extend_from_slice(replies.filled());
    Poll::Ready(Ok(()))
}

/// What became of a write, if it came to its end in time.
fn written(outcome: Option<io::Result<()>>) -> Result<(), Response> {
    match outcome {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(lost(&error.to_string())),
        None => Err(silent()),
    }
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
