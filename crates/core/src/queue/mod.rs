//! The queue: stores what the edge bus brings, attempts it at once over the
//! relay bus, tries again what failed for now, and bounces what failed for
//! good.
//!
//! [`Queue`] has the nine functions of the seed under their names: [`Queue::new`],
//! [`Queue::set_retry_algorithm`], [`Queue::set_bounce_builder`],
//! [`Queue::set_lock_duration`], [`Queue::get_deferred_messages`],
//! [`Queue::get_all_messages`], [`Queue::try_relay`], [`Queue::accept`] and
//! [`Queue::retry`]. [`Queue::run`] stands over them.
//!
//! # Promises
//! - A message that was answered `250` is delivered, bounced or still stored,
//!   whatever happens.
//! - Only the holder of a valid lease attempts a message, and its result is
//!   recorded in one commit that is refused if the lease was lost.
//! - A recipient is delivered when the next hop said 2yz for it, and never else.

mod adopt;
mod attempt;
mod backoff;
mod browse;
mod claim;
mod direct;
mod error;
mod event;
mod give_up;
mod hint;
mod judge;
mod keeper;
mod lane;
mod lanes;
mod limits;
mod live;
mod pace;
mod peers;
mod place;
mod put_off;
mod rate;
mod retry;
mod room;
mod rules;
mod run;
#[cfg(test)]
mod sample;
mod schedule;
mod settle;
mod shared;
mod shares;
mod sites;
mod split;
mod suspend;
mod unlock;
mod wanted;
mod why;
mod work;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::bus;
use crate::message::{
    Bounce, BounceBuilder, Content, Message, MessageId, Report, Response, StoredMessage,
};
use crate::relay::{Delivery, LeaseSignal, Relay, Router};
use crate::storage::{Filter, Leased, Session, Storage};
use crate::world::{Timestamp, Watched, World};

pub use browse::Pages;
pub use direct::{Direct, serve_relay};
pub use error::QueueError;
pub use event::{Event, Log, Observer};
pub use give_up::Bounced;
pub use hint::{HeedReplies, retry_hint};
pub use judge::{Verdict, judge};
pub use limits::Limits;
pub use rate::{Rate, RateError};
pub use retry::RetryAlgorithm;
pub use rules::{ByDestination, DestinationPattern, PatternError};
pub use schedule::{Plan, Schedule, ScheduleError, Step};
pub use split::{ByDomain, split};
pub use why::{InHand, Why};
pub use work::Work;

use claim::{Share, claim_due};
use live::Live;
use shared::{Phase, Rules, Settings, Shared};

/// Default of [`Queue::set_lock_duration`].
const LOCK_DURATION_DEFAULT: Duration = Duration::from_secs(120);

/// Requests from the edge service arrive on this bus.
pub type EdgeBus = Arc<dyn bus::Server<Message, Response>>;
/// Requests to the relay service go out on this bus.
pub type RelayBus = Arc<dyn bus::Client<Delivery, Report>>;

/// A queue. Cheap to clone; clones made after a setting was changed share it,
/// and all share the storage session.
#[derive(Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

/// What [`Queue::try_relay`] answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tried {
    /// What the relay said.
    Report(Report),
    /// The message could not be locked: another session holds it, or it is
    /// gone. The relay was not asked.
    Locked,
}

/// # The seed's nine functions
impl Queue {
    /// A queue that receives requests on `edge_bus`, keeps them in `storage`
    /// and has them attempted over `relay_bus` (the seed's `new`).
    ///
    /// Either bus may be absent: without a relay bus the queue only stores,
    /// without an edge bus it only tries what is stored. The defaults are the
    /// seed's: the first transient failure bounces, bounces have the null
    /// reverse-path and the original's client, and a lock lasts 120 seconds.
    pub fn new(
        edge_bus: Option<EdgeBus>,
        relay_bus: Option<RelayBus>,
        storage: Arc<dyn Storage>,
    ) -> Self {
        let hostname = "localhost".to_owned();
        let rules = Rules {
            relay_bus,
            router: Arc::new(ByDomain {
                local_domain: hostname.clone(),
            }),
            retry: Arc::new(Schedule::none()),
            bounce: Arc::new(Bounce::default()),
            hostname,
            delay_notice_after: None,
            sites: None,
        };
        Queue {
            shared: Arc::new(Shared {
                settings: Settings {
                    world: World::system(),
                    observer: Arc::new(Log),
                    lock_duration: LOCK_DURATION_DEFAULT,
                },
                rules: Live::new(rules),
                edge_bus,
                storage,
                lanes: lanes::Lanes::new(&Limits::default()),
                peers: Arc::default(),
                suspended: Arc::default(),
                session: Arc::new(OnceCell::new()),
                phase: Arc::new(Watched::new(Phase::Running)),
            }),
        }
    }

    fn settings(&mut self) -> &mut Settings {
        &mut Arc::make_mut(&mut self.shared).settings
    }

    fn set(&mut self, change: impl FnOnce(&mut Rules)) {
        Arc::make_mut(&mut self.shared).rules.change(change);
    }

    /// Sets when a message that failed for now is tried again: a [`Schedule`],
    /// or any closure of message and response that gives a time, or none to
    /// bounce (the seed's `set_retry_algorithm`).
    pub fn set_retry_algorithm(&mut self, algorithm: impl RetryAlgorithm) {
        self.set(|rules| rules.retry = Arc::new(algorithm));
    }

    /// Sets what builds bounces (the seed's `set_bounce_builder`).
    pub fn set_bounce_builder(&mut self, builder: impl BounceBuilder + 'static) {
        self.set(|rules| rules.bounce = Arc::new(builder));
    }

    /// Sets how long a lock lasts unless it is renewed, which happens at each
    /// third of it while an attempt works (the seed's `set_lock_duration`).
    /// Zero is refused.
    pub fn set_lock_duration(&mut self, duration: Duration) -> Result<(), QueueError> {
        if duration.is_zero() {
            let why = "the lock duration must be longer than zero";
            return Err(QueueError::Setting(why.to_owned()));
        }
        self.settings().lock_duration = duration;
        Ok(())
    }

    /// Messages that wait for an attempt (the seed's `get_deferred_messages`):
    /// neither held nor leased, with `timestamp` only those due at that time or
    /// before. Fresh messages count, for they are due now.
    pub fn get_deferred_messages(
        &self,
        session: &Arc<dyn Session>,
        timestamp: Option<Timestamp>,
    ) -> Pages {
        let filter = Filter {
            due_by: Some(timestamp.unwrap_or(Timestamp::MAX)),
            ..Filter::default()
        };
        Pages::new(session.clone(), filter)
    }

    /// All stored messages (the seed's `get_all_messages`).
    pub fn get_all_messages(&self, session: &Arc<dyn Session>) -> Pages {
        Pages::new(session.clone(), Filter::default())
    }

    /// Attempts one delivery and gives the relay's answer (the seed's
    /// `try_relay`). Nothing is recorded: attempts, due time and the message
    /// itself stay as they are.
    ///
    /// With a session the message is attempted only if it can be locked, as it
    /// is read under the lock, and unlocked afterwards, also when the attempt
    /// is cancelled.
    pub async fn try_relay(
        &self,
        message: &StoredMessage,
        content: &Content,
        session: Option<&Arc<dyn Session>>,
    ) -> Result<Tried, QueueError> {
        if !self.shared.has_relay() {
            return Err(QueueError::NoRelay);
        }
        match session {
            None => {
                let report = self.ask(message.clone(), content.clone(), LeaseSignal::unleased());
                Ok(Tried::Report(report.await))
            }
            Some(session) => self.try_locked(message.id, session).await,
        }
    }

    /// Waits for a request from the edge bus and gives the work of storing and
    /// attempting it (the seed's `accept`). Stores nothing itself, so that it
    /// can be called again at once. Cancel-safe.
    pub async fn accept(&self) -> Result<Work, QueueError> {
        let edge_bus = self.shared.edge_bus.as_ref().ok_or(QueueError::NoEdge)?;
        let transaction = edge_bus.accept().await.map_err(|_| QueueError::NoEdge)?;
        let (messages, reply) = transaction.into_parts();
        Ok(Work::store_all(self.shared.clone(), messages, reply))
    }

    /// Leases what is due, at most [`Limits::retry_batch_max`] messages, and
    /// gives the work of attempting it; none when nothing is due (the seed's
    /// `retry`). Never waits for mail to become due.
    pub async fn retry(&self) -> Result<Option<Work>, QueueError> {
        if !self.shared.has_relay() {
            return Err(QueueError::NoRelay);
        }
        let batch_max = self.shared.lanes.limits.get().retry_batch_max;
        let mut attempts = Vec::new();
        // Each look takes some of every destination: look until nothing is left.
        loop {
            let left = batch_max.saturating_sub(attempts.len());
            let claimed = claim_due(&self.shared, left, Share::All, &mut None).await?;
            if claimed.attempts.is_empty() {
                break;
            }
            attempts.extend(claimed.attempts);
        }
        Ok((!attempts.is_empty()).then(|| Work::attempt_all(self.shared.clone(), attempts)))
    }
}

/// # Beyond the seed
impl Queue {
    /// Replaces the machine's clock and randomness.
    #[must_use]
    pub fn with_world(mut self, world: World) -> Self {
        self.settings().world = world;
        self
    }

    /// As [`Queue::set_retry_algorithm`].
    #[must_use]
    pub fn with_retry_algorithm(mut self, algorithm: impl RetryAlgorithm) -> Self {
        self.set_retry_algorithm(algorithm);
        self
    }

    /// Sets how recipients are split by destination. Default: by their domain.
    #[must_use]
    pub fn with_router(mut self, router: impl Router) -> Self {
        self.set(|rules| rules.router = Arc::new(router));
        self
    }

    /// Sets who watches events. Default: [`Log`].
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer) -> Self {
        self.settings().observer = Arc::new(observer);
        self
    }

    /// Sets the name of this host in notices. Default: `localhost`. Where mail
    /// for `postmaster` without a domain goes is the router's to say.
    #[must_use]
    pub fn with_hostname(mut self, hostname: impl Into<String>) -> Self {
        self.set(|rules| rules.hostname = hostname.into());
        self
    }

    /// Sets the age at which the sender of a message that still waits is told, by
    /// the next attempt that fails, and once; none to tell nobody, the default.
    #[must_use]
    pub fn with_delay_notice(mut self, after: Option<Duration>) -> Self {
        self.set(|rules| rules.delay_notice_after = after);
        self
    }

    /// Sets what knows which destinations share their hosts: the relay behind the bus.
    /// Default: none do.
    #[must_use]
    pub fn with_sites(mut self, relay: Arc<dyn Relay>) -> Self {
        self.set(|rules| rules.sites = Some(relay));
        self
    }

    /// Sets the bounds within which the queue works.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        Arc::make_mut(&mut self.shared).lanes = lanes::Lanes::new(&limits);
        self
    }

    /// Runs the queue: accepts, claims what is due, attempts, and renews
    /// leases, until `shutdown` completes. Then it takes what is left in the
    /// edge bus, lets attempts finish for [`Limits::drain_time_max`], and hands
    /// back what is still not done. Stop the edges first.
    ///
    /// It ends early, with that error, when the storage has stopped writing
    /// ([`StorageError::Poisoned`](crate::storage::StorageError::Poisoned)): open
    /// the storage anew and start again.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) -> Result<(), QueueError> {
        run::run(self.shared.clone(), shutdown).await
    }

    async fn ask(&self, message: StoredMessage, content: Content, lease: LeaseSignal) -> Report {
        let delivery = Delivery {
            message: Arc::new(message),
            content,
            now: self.shared.world().now(),
            lease,
        };
        attempt::ask_relay(&self.shared, delivery).await
    }

    async fn try_locked(
        &self,
        id: MessageId,
        session: &Arc<dyn Session>,
    ) -> Result<Tried, QueueError> {
        let world = self.shared.world();
        let duration = self.shared.settings.lock_duration;
        let asked = world.monotonic();
        let Some(Leased { lease, message }) = session.lock(id, duration).await? else {
            return Ok(Tried::Locked);
        };
        let ticket = lease.ticket();
        let guard = unlock::Unlock::new(session.clone(), lease);
        let Some(content) = session.contents(id).await? else {
            return Ok(Tried::Locked);
        };
        let signal = LeaseSignal::until(world.clone(), keeper::reliable_until(asked, duration));
        let keeping = keeper::keep(&**session, ticket, duration, &signal, world);
        let report = tokio::select! {
            biased;
            report = self.ask(message, content, signal.clone()) => report,
            never = keeping => match never {},
        };
        guard.unlock().await;
        Ok(Tried::Report(report))
    }
}
