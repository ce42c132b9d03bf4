//! Which server has which shard, and calls of scripts there.
//!
//! All keys of a shard carry one hash tag, so that a Cluster keeps them on one
//! server. Where that is, the servers say: each is asked, and answers or names
//! another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{
    Cmd, ConnectionInfo, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value,
    from_redis_value,
};
use slimta_core::message::MessageId;
use slimta_core::storage::StorageError;
use slimta_core::world::{Timestamp, World};
use tokio::sync::watch;

use super::address::{Address, host};
use super::clock::ServerClock;
use super::link::{Access, Failure, Link};
use super::scripts::{self, Args, Script};
use super::sentinels::Sentinels;
use crate::server_time::ServerTime;

/// How often servers may name another for one call.
const REDIRECTS_MAX: usize = 5;
/// How long to go on from one server of the URL to the next.
const SEEDS_TIME_MAX: Duration = Duration::from_millis(500);
/// The version of the keys that this program knows.
const VERSION: &str = "2";
/// Shards of a new queue in a Cluster.
const CLUSTER_SHARDS: u32 = 8;

/// One queue on one or several servers.
#[derive(Debug)]
pub(super) struct Servers {
    address: Address,
    clock: ServerClock,
    world: World,
    sentinels: Option<Sentinels>,
    links: Mutex<BTreeMap<String, Arc<Link>>>,
    /// Set once, when something that was answered for is not there any more.
    lost: watch::Sender<Option<String>>,
}

/// A part of the queue that lies on one server.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) number: u32,
    /// The hash tag that all its keys begin with, and the colon behind it.
    pub(super) base: String,
    generation: String,
    /// The most writes that the server has told of.
    writes: AtomicU64,
    /// The clock of its server.
    time: ServerTime,
    /// The server that had it last; none before the first call.
    server: Mutex<Option<String>>,
}

impl Servers {
    pub(super) fn new(
        address: Address,
        clock: ServerClock,
        world: World,
    ) -> Result<Self, StorageError> {
        let sentinels = address.sentinels.as_ref();
        let sentinels = sentinels.map(|those| Sentinels::new(&address, those, world.clone()));
        Ok(Servers {
            sentinels: sentinels.transpose()?,
            address,
            clock,
            world,
            links: Mutex::default(),
            lost: watch::Sender::new(None),
        })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Opens the queue, and makes it if the servers are empty.
    pub(super) async fn open(&self) -> Result<Vec<Shard>, StorageError> {
        let count = match self.address.shards {
            Some(count) => count,
            None if self.is_cluster().await? => CLUSTER_SHARDS,
            None => 1,
        };
        let generation = format!("{:016x}", self.world.random_u64());
        let must_exist = self.address.must_exist;
        let (first, opened) = self.open_shard(0, &generation, count, must_exist).await?;
        let mut shards = vec![first];
        for number in 1..opened.shards {
            let must_exist = opened.is_complete || self.address.must_exist;
            let generation = &opened.generation;
            let next = self.open_shard(number, generation, opened.shards, must_exist);
            let (shard, found) = next.await?;
            if found.generation != opened.generation {
                return Err(self.unusable(format!("shard {number} belongs to another queue")));
            }
            shards.push(shard);
        }
        // With these answers the time is known, too.
        for shard in &shards {
            let script = match shard.number == 0 && !opened.is_complete {
                true => &scripts::COMPLETE,
                false => &scripts::CHECK,
            };
            self.call::<i64>(shard, script, &Args::new()).await?;
        }
        Ok(shards)
    }

    async fn is_cluster(&self) -> Result<bool, StorageError> {
        Ok(self.seed().await?.open().await?.is_cluster)
    }

    async fn open_shard(
        &self,
        number: u32,
        generation: &str,
        shards: u32,
        must_exist: bool,
    ) -> Result<(Shard, Opened), StorageError> {
        let mut shard = Shard {
            number,
            base: format!("{{{}:{number}}}:", self.address.prefix),
            generation: String::new(),
            writes: AtomicU64::new(0),
            time: ServerTime::new(self.world.clone()),
            server: Mutex::default(),
        };
        let args = Args::new()
            .text(VERSION)
            .text(generation)
            .shown(shards)
            .shown(u8::from(!must_exist));
        let command = |mut command: Cmd| {
            command.arg(1).arg(shard.key());
            args.add_to(&mut command);
            command
        };
        let answer = self.run(&shard, &scripts::OPEN, command).await?;
        let Some(opened) = typed::<Option<Opened5>>(answer)? else {
            let reason = format!(
                "there is no queue \"{}\", shard {number}: the server is empty, \
                 or lost it",
                self.address.prefix
            );
            return Err(self.unusable(reason));
        };
        let (version, generation, shards, writes, is_complete) = opened;
        if version != VERSION {
            return Err(StorageError::Version {
                place: self.address.place.clone(),
                found: version,
                known: VERSION.to_owned(),
            });
        }
        shard.generation.clone_from(&generation);
        shard.writes = AtomicU64::new(writes);
        let opened = Opened {
            generation,
            shards,
            is_complete: is_complete.is_some(),
        };
        Ok((shard, opened))
    }

    fn unusable(&self, reason: String) -> StorageError {
        StorageError::Open {
            place: self.address.place.clone(),
            reason,
        }
    }

    /// Runs a script on a shard.
    pub(super) async fn call<T: FromRedisValue>(
        &self,
        shard: &Shard,
        script: &Script,
        args: &Args<'_>,
    ) -> Result<T, StorageError> {
        self.check_lost()?;
        let command = |mut command: Cmd| {
            command
                .arg(1)
                .arg(shard.key())
                .arg(self.clock.argument())
                .arg(&shard.generation)
                .arg(shard.writes.load(Ordering::Acquire));
            args.add_to(&mut command);
            command
        };
        let answer = self.run(shard, script, command).await?;
        let (writes, now, value): (u64, i64, Value) = typed(answer)?;
        shard.time.learn(Timestamp::from_millis(now));
        shard.writes.fetch_max(writes, Ordering::AcqRel);
        typed(value)
    }

    /// Runs a script where the shard is.
    async fn run(
        &self,
        shard: &Shard,
        script: &Script,
        command: impl Fn(Cmd) -> Cmd,
    ) -> Result<Value, StorageError> {
        for _ in 0..REDIRECTS_MAX {
            let link = self.link_of(shard).await?;
            let open = link.open().await.inspect_err(|_| shard.forget_server())?;
            let mut answer = link.send(&open, &command(script.by_checksum())).await;
            if matches!(&answer, Err(Failure::Refused(error)) if is_unknown_script(error)) {
                answer = link.send(&open, &command(script.by_text())).await;
            }
            match answer {
                Ok(value) => {
                    shard.remember_server(link.host());
                    return Ok(value);
                }
                Err(Failure::Lost(error)) => {
                    shard.forget_server();
                    return Err(error);
                }
                Err(Failure::Refused(error)) => match moved_to(&error) {
                    Some(host) => shard.remember_server(host),
                    None => {
                        if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) {
                            // It has become a replica; another may be known soon.
                            shard.forget_server();
                        }
                        return Err(self.refused(&link, shard, &error));
                    }
                },
            }
        }
        let why = "the servers send each other this call";
        Err(StorageError::Unavailable(why.to_owned()))
    }

    fn refused(&self, link: &Link, shard: &Shard, error: &RedisError) -> StorageError {
        match error.code() {
            Some("OOM") => StorageError::Full(format!("Redis at {} is full", link.host())),
            Some("SLIMTALOST") => {
                let why = error.detail().unwrap_or_default();
                let why = format!(
                    "Redis at {} lost mail: {why}. Nothing is taken in or delivered until somebody \
                     has looked and says HDEL {} lost",
                    link.host(),
                    shard.key()
                );
                tracing::error!("{why}");
                self.lost.send_replace(Some(why.clone()));
                StorageError::Poisoned(why)
            }
            _ => link.away(&error.to_string()),
        }
    }

    /// The time by the clock that is behind all others, so that what is due by it
    /// is due everywhere.
    pub(super) fn now(&self, shards: &[Shard]) -> Timestamp {
        let manual = match &self.clock {
            ServerClock::Manual(world) => Some(world.now()),
            ServerClock::Server => None,
        };
        let earliest = || shards.iter().map(|shard| shard.time.now()).min();
        manual.or_else(earliest).unwrap_or_else(|| self.world.now())
    }

    /// An error once the servers lost something.
    pub(super) fn check_lost(&self) -> Result<(), StorageError> {
        match &*self.lost.borrow() {
            Some(why) => Err(StorageError::Poisoned(why.clone())),
            None => Ok(()),
        }
    }

    /// Waits until the servers lost something.
    pub(super) async fn lost(&self) -> StorageError {
        let mut lost = self.lost.subscribe();
        let why = lost.wait_for(Option::is_some).await;
        StorageError::Poisoned(why.ok().and_then(|why| why.clone()).unwrap_or_default())
    }

    async fn link_of(&self, shard: &Shard) -> Result<Arc<Link>, StorageError> {
        let server = shard
            .server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let known = server.and_then(|server| {
            let info = self.address.other(&server)?;
            Some(self.link(&server, || info))
        });
        match known {
            Some(link) => Ok(link),
            None => self.seed().await,
        }
    }

    /// The server that the sentinels name, or else the one of the URL that comes
    /// at this place, round and round.
    pub(super) async fn place(&self, turn: usize) -> Result<ConnectionInfo, StorageError> {
        let info = match &self.sentinels {
            Some(sentinels) => self.address.other(&sentinels.primary().await?),
            None => self.address.seeds.iter().cycle().nth(turn).cloned(),
        };
        info.ok_or_else(|| self.unusable("no server is named".to_owned()))
    }

    /// The first server of the URL that can be used, or whom the sentinels name.
    async fn seed(&self) -> Result<Arc<Link>, StorageError> {
        if self.sentinels.is_some() {
            let info = self.place(0).await?;
            return Ok(self.link(&host(&info), || info));
        }
        let begin = self.world.monotonic();
        let mut why = StorageError::Closed;
        for seed in &self.address.seeds {
            let link = self.link(&host(seed), || seed.clone());
            match link.open().await {
                Ok(_) => return Ok(link),
                Err(error) => why = error,
            }
            // Who calls is told in time; the next call begins with the others.
            if self.world.monotonic().saturating_sub(begin) > SEEDS_TIME_MAX {
                break;
            }
        }
        Err(why)
    }

    fn link(&self, host: &str, info: impl FnOnce() -> ConnectionInfo) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let link = links.entry(host.to_owned()).or_insert_with(|| {
            let access = Access {
                allow_lossy: self.address.allow_lossy,
                is_followed: self.sentinels.is_some(),
            };
            Arc::new(Link::new(info(), access, self.world.clone()))
        });
        link.clone()
    }
}

impl Shard {
    /// The hash that all scripts begin with.
    fn key(&self) -> String {
        format!("{}shard", self.base)
    }

    fn remember_server(&self, host: String) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(host);
    }

    fn forget_server(&self) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Which of so many shards a submission lies on. Notices lie with the message
/// that they speak of, whatever their id is.
pub(super) fn home(submission: MessageId, shards: usize) -> usize {
    let hash = crc32fast::hash(submission.as_bytes()) as usize;
    hash.checked_rem(shards).unwrap_or(0)
}

/// What the script `open` gives.
type Opened5 = (String, String, u32, u64, Option<String>);

struct Opened {
    generation: String,
    shards: u32,
    is_complete: bool,
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// The server that has the shard for good.
fn moved_to(error: &RedisError) -> Option<String> {
    let is_moved = error.kind() == ErrorKind::Server(ServerErrorKind::Moved);
    let (host, _) = error.redirect_node().filter(|_| is_moved)?;
    Some(host.to_owned())
}

fn typed<T: FromRedisValue>(value: Value) -> Result<T, StorageError> {
    from_redis_value(value)
        .map_err(|error| StorageError::Unavailable(format!("Redis gave a strange answer: {error}")))
}
