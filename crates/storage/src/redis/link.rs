//! The connections to one server, which all sessions of the process share.
//!
//! Who calls gets an answer in bounded time: a connection is made or refused in
//! a second and a half, and after a failure the next is tried a second later,
//! with a different moment for each process. A server that says nothing for two
//! seconds is taken to be away.
//!
//! A server reads 16 KiB of each connection at a time, carries out what it has
//! read of all, and writes it to disk once. So there are several connections:
//! on a single one, each message of the usual size would wait for a sync alone.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex as Lock, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError,
    ServerErrorKind, Value,
};
use slimta_core::storage::StorageError;
use slimta_core::world::World;
use tokio::sync::Mutex;

use super::address::host;
use super::encrypted;
use super::settings::{self, Kind, Unfit};

/// How long a server may take until it can be used.
const CONNECT_TIME_MAX: Duration = Duration::from_millis(1500);
/// How long a server may say nothing at all while it is asked something.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// How long a server may take to answer one call.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long to wait behind a failure, and up to as much again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Of a server that takes no writes.
const REPLICA: &str = "the server is a replica: name its primary in the URL";
/// A password is missing or wrong, or its user may not do what is needed.
const REFUSALS: [&str; 3] = ["NOAUTH", "WRONGPASS", "NOPERM"];
/// Connections to one server.
const LANES: usize = 16;

/// How a server came to be used.
#[derive(Clone, Copy)]
pub(super) struct Access {
    /// The operator takes a server that may lose mail.
    pub(super) allow_lossy: bool,
    /// Sentinels named it, and will name another if it becomes a replica.
    pub(super) is_followed: bool,
}

/// Connections that are made when they are needed.
pub(super) struct Link {
    info: ConnectionInfo,
    access: Access,
    world: World,
    lanes: [Lock<Option<Open>>; LANES],
    next: AtomicUsize,
    /// When the server answered last.
    heard: Lock<Duration>,
    /// How often the server was found to be gone.
    era: AtomicU64,
    /// What the last attempt to connect failed with, and when to try again.
    /// Only one caller makes a connection at a time.
    failed: Mutex<Option<(StorageError, Duration)>>,
}

/// A connection in use.
#[derive(Clone)]
pub(super) struct Open {
    connection: MultiplexedConnection,
    era: u64,
    pub(super) is_cluster: bool,
}

impl Link {
    pub(super) fn new(info: ConnectionInfo, access: Access, world: World) -> Self {
        Link {
            info,
            access,
            world,
            lanes: Default::default(),
            next: AtomicUsize::new(0),
            heard: Lock::default(),
            era: AtomicU64::new(0),
            failed: Mutex::default(),
        }
    }

    pub(super) fn host(&self) -> String {
        host(&self.info)
    }

    /// A connection; callers take turns through all of them.
    pub(super) async fn open(&self) -> Result<Open, StorageError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % LANES;
        let lane = &self.lanes[turn];
        let look = || lane.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(open) = look() {
            return Ok(open);
        }
        let locking = self.world.timeout(CONNECT_TIME_MAX, self.failed.lock());
        let mut failed = locking.await.ok_or_else(|| self.silent())?;
        if let Some(open) = look() {
            return Ok(open);
        }
        if let Some((error, retry)) = &*failed
            && self.world.monotonic() < *retry
        {
            return Err(error.clone());
        }
        let era = self.era.load(Ordering::Acquire);
        let made = self.world.timeout(CONNECT_TIME_MAX, self.connect()).await;
        match made.unwrap_or_else(|| Err(self.away(self.unopened()))) {
            Ok((connection, kind)) => {
                *failed = None;
                let open = Open {
                    connection,
                    era,
                    is_cluster: kind.is_cluster,
                };
                *lane.lock().unwrap_or_else(PoisonError::into_inner) = Some(open.clone());
                Ok(open)
            }
            Err(error) => {
                if matches!(error, StorageError::Open { .. }) {
                    // What one connection was refused for is true of all.
                    self.give_up(era);
                }
                let jitter = u32::try_from(self.world.random_u64() % 1000).unwrap_or(0);
                let delay = RETRY_DELAY + RETRY_DELAY * jitter / 1000;
                *failed = Some((error.clone(), self.world.monotonic() + delay));
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<(MultiplexedConnection, Kind), StorageError> {
        let client = Client::open(self.info.clone()).map_err(|error| self.failed(&error))?;
        // Time is kept here, by the clock of the world.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await.map_err(|error| {
            if error.is_connection_refusal() {
                // Nobody listens there: who did is gone, and its connections are.
                self.give_up(self.era.load(Ordering::Acquire));
            }
            self.failed(&error)
        })?;
        match settings::check(&mut connection, self.access.allow_lossy).await {
            Ok(kind) => Ok((connection, kind)),
            Err(Unfit::Away(error)) => Err(self.failed(&error)),
            Err(Unfit::Replica) if self.access.is_followed => {
                Err(self.away("it is a replica, though the sentinels name it"))
            }
            Err(Unfit::Replica) => Err(self.refused(REPLICA.to_owned())),
            Err(Unfit::Refused(reason)) => Err(self.refused(reason)),
        }
    }

    fn refused(&self, reason: String) -> StorageError {
        tracing::error!(host = self.host(), reason, "this Redis is not used");
        self.unusable(reason)
    }

    /// Sends a command. If the server does not answer, the connection is given
    /// up, and what became of the command is unknown.
    pub(super) async fn send(&self, open: &Open, command: &Cmd) -> Result<Value, Failure> {
        match self.hear(open, command).await {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) if is_refusal(&error) => {
                if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) {
                    // It has become a replica: look at it anew.
                    self.give_up(open.era);
                }
                Err(Failure::Refused(error))
            }
            Some(Err(error)) => {
                self.give_up(open.era);
                Err(Failure::Lost(self.away(&error.to_string())))
            }
            None => {
                self.give_up(open.era);
                Err(Failure::Lost(self.silent()))
            }
        }
    }

    /// The answer to a command; none if the server is silent.
    async fn hear(&self, open: &Open, command: &Cmd) -> Option<Result<Value, RedisError>> {
        let mut connection = open.connection.clone();
        let answer = async {
            let answer = connection.send_packed_command(command).await;
            answer.and_then(Value::extract_error)
        };
        tokio::pin!(answer);
        let asked = self.world.monotonic();
        loop {
            let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let end = (heard.max(asked) + SILENCE_MAX).min(asked + ANSWER_TIME_MAX);
            let left = end.checked_sub(self.world.monotonic());
            let left = left.filter(|left| !left.is_zero())?;
            if let Some(answer) = self.world.timeout(left, &mut answer).await {
                let now = self.world.monotonic();
                *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = now;
                return Some(answer);
            }
        }
    }

    /// If the server is gone for one connection, it is for all of the same era.
    fn give_up(&self, era: u64) {
        self.era.fetch_max(era + 1, Ordering::AcqRel);
        for lane in &self.lanes {
            let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
            lane.take_if(|other| other.era <= era);
        }
    }

    fn silent(&self) -> StorageError {
        self.away("it does not answer")
    }

    /// A Redis that expects no TLS waits for the end of what it takes for a command.
    fn unopened(&self) -> &'static str {
        match self.info.addr() {
            ConnectionAddr::TcpTls { .. } => "it does not answer: is this its port for TLS?",
            _ => "it does not answer",
        }
    }

    /// What every error of a server that is not understood is to the queue: try
    /// again later.
    pub(super) fn away(&self, why: &str) -> StorageError {
        StorageError::Unavailable(format!("Redis at {}: {why}", self.host()))
    }

    fn unusable(&self, reason: String) -> StorageError {
        let scheme = match self.info.addr() {
            ConnectionAddr::TcpTls { .. } => "rediss",
            _ => "redis",
        };
        StorageError::Open {
            place: format!("{scheme}://{}", self.host()),
            reason,
        }
    }

    fn failed(&self, error: &RedisError) -> StorageError {
        if let Some(reason) = encrypted::refusal(error) {
            return self.unusable(reason);
        }
        let is_refused = error.code().is_some_and(|code| REFUSALS.contains(&code));
        match error.kind() {
            ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => {
                self.unusable(error.to_string())
            }
            _ if is_refused => self.unusable(error.to_string()),
            _ => self.away(&error.to_string()),
        }
    }
}

/// Why there is no answer.
pub(super) enum Failure {
    /// The server refused the command, and did nothing.
    Refused(RedisError),
    /// Nobody knows whether the command was carried out.
    Lost(StorageError),
}

fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.host()).finish()
    }
}
