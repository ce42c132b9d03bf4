//! Mail on a Redis server or Cluster, which several managers share.
//!
//! Every call is one script for each shard that it touches, and a script is one
//! atomic step. Leases are judged by the clock of the server, and every change
//! of a leased message names its token. A server that may lose what was
//! answered for is refused. The keys are described in `docs/design/redis.md`.

mod address;
mod clock;
mod encrypted;
mod link;
mod listen;
mod listing;
mod reads;
mod rows;
mod scripts;
mod sentinels;
mod session;
mod settings;
mod settle;
mod shards;
mod store;
mod suspensions;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use redis::FromRedisValue;
use slimta_core::message::MessageId;
use slimta_core::storage::{Owner, Session, Storage, StorageError, Unreadable};
use slimta_core::world::World;
use tokio::sync::{OnceCell, watch};

use address::Address;
use clock::ServerClock;
use scripts::{Args, Script};
use session::RedisSession;
use shards::{Servers, Shard};

/// Mail on a Redis server or Cluster. The queue is made when the first session
/// is opened.
#[derive(Debug)]
pub struct Redis(Arc<Shared>);

/// What the sessions of one process share.
#[derive(Debug)]
struct Shared {
    servers: Servers,
    world: World,
    /// The queue is there, and changes by others are heard.
    shards: OnceCell<Vec<Shard>>,
    generation: watch::Sender<u64>,
}

impl Redis {
    /// A queue by its URL,
    /// `redis://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/DATABASE][?OPTIONS]`,
    /// or `redis+sentinel://…/MASTER[/DATABASE]` for the primary that sentinels
    /// name; with `rediss` instead of `redis` over TLS. Nothing is connected yet.
    ///
    /// TLS takes the process's default [`rustls::crypto::CryptoProvider`]; if
    /// there is none, it becomes that of ring.
    pub fn new(url: &str, world: World) -> Result<Self, StorageError> {
        Redis::with_clock(url, world, ServerClock::Server)
    }

    fn with_clock(url: &str, world: World, clock: ServerClock) -> Result<Self, StorageError> {
        let address = Address::parse(url)?;
        Ok(Redis(Arc::new(Shared {
            servers: Servers::new(address, clock, world.clone())?,
            world,
            shards: OnceCell::new(),
            generation: watch::Sender::new(0),
        })))
    }
}

#[async_trait]
impl Storage for Redis {
    async fn connect(&self) -> Result<Arc<dyn Session>, StorageError> {
        let shared = &self.0;
        let prepare = async || {
            let shards = shared.servers.open().await?;
            listen::begin(shared);
            Ok::<_, StorageError>(shards)
        };
        shared.shards.get_or_try_init(prepare).await?;
        let owner = Owner::new(format!("redis-{:016x}", shared.world.random_u64()));
        Ok(Arc::new(RedisSession::new(shared.clone(), owner)))
    }
}

impl Shared {
    fn address(&self) -> &Address {
        self.servers.address()
    }

    /// All parts of the queue.
    fn shards(&self) -> Result<&[Shard], StorageError> {
        let open = self.shards.get();
        open.map(Vec::as_slice).ok_or(StorageError::Closed)
    }

    /// Runs a script on a shard.
    async fn call<T: FromRedisValue>(
        &self,
        shard: &Shard,
        script: &Script,
        args: &Args<'_>,
    ) -> Result<T, StorageError> {
        self.servers.call(shard, script, args).await
    }

    /// Runs a script on all of these shards at once.
    async fn on<'s, T: FromRedisValue>(
        &'s self,
        shards: impl Iterator<Item = &'s Shard>,
        script: &Script,
        args: &Args<'_>,
    ) -> Result<Vec<(&'s Shard, T)>, StorageError> {
        let shards: Vec<&Shard> = shards.collect();
        let mut calls = Vec::with_capacity(shards.len());
        for shard in &shards {
            calls.push(self.call(shard, script, args));
        }
        let answers = try_join_all(calls).await?;
        Ok(shards.into_iter().zip(answers).collect())
    }

    /// Runs a script on all shards at once.
    async fn on_all<T: FromRedisValue>(
        &self,
        script: &Script,
        args: &Args<'_>,
    ) -> Result<Vec<(&Shard, T)>, StorageError> {
        self.on(self.shards()?.iter(), script, args).await
    }

    /// Runs a script for one message: first where most messages of that id
    /// would lie, then everywhere else.
    async fn find<T: FromRedisValue>(
        &self,
        id: MessageId,
        script: &Script,
        args: &Args<'_>,
    ) -> Result<Option<(&Shard, T)>, StorageError> {
        let shards = self.shards()?;
        let Some(home) = shards.get(shards::home(id, shards.len())) else {
            return Ok(None);
        };
        if let Some(found) = self.call(home, script, args).await? {
            return Ok(Some((home, found)));
        }
        let others = shards.iter().filter(|shard| shard.number != home.number);
        let found: Vec<(&Shard, Option<T>)> = self.on(others, script, args).await?;
        Ok(found
            .into_iter()
            .find_map(|(shard, found)| Some((shard, found?))))
    }

    /// Puts a message that cannot be read aside. All of its bytes stay.
    async fn quarantine(&self, shard: &Shard, unreadable: &Unreadable) -> Result<(), StorageError> {
        let Unreadable { id, reason } = unreadable;
        tracing::error!(%id, reason, "a message cannot be read and is put into quarantine");
        let args = Args::new().shown(id).text(reason);
        self.call::<i64>(shard, &scripts::QUARANTINE, &args)
            .await
            .map(drop)
    }

    /// Notices a server that came back empty or older, also when nothing else
    /// is to be done.
    async fn see_that_all_is_there(&self) -> Result<(), StorageError> {
        let seen = self.on_all::<i64>(&scripts::CHECK, &Args::new()).await;
        seen.map(drop)
    }

    /// Tells the sessions of this process that something has changed.
    fn changed(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}
