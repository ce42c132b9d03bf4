//! Hears of changes that other processes made: a message on one channel, sent
//! by the scripts that made something claimable.
//!
//! It only makes things faster. A manager that hears nothing looks for itself
//! when the next due time or the end of a lease has come, and every half minute.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::PubSub;
use redis::{Client, ConnectionInfo, RedisError};
use slimta_core::storage::StorageError;
use tokio::sync::watch;

use super::Shared;

/// How long to wait before listening again after the connection was lost, and
/// up to as much again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Listens as long as the storage is in use.
pub(super) fn begin(shared: &Arc<Shared>) {
    let mut in_use = shared.generation.subscribe();
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        let listening = async {
            let mut turn = 0;
            while let Some(world) = shared.upgrade().map(|shared| shared.world.clone()) {
                match listen(&shared, turn).await {
                    // There is nothing more to hear.
                    Err(StorageError::Poisoned(_)) => return,
                    Err(error) => {
                        tracing::warn!(%error, "changes by others are not heard for a moment");
                    }
                    Ok(()) => {}
                }
                turn += 1;
                let jitter = u32::try_from(world.random_u64() % 1000).unwrap_or(0);
                world.sleep(RETRY_DELAY + RETRY_DELAY * jitter / 1000).await;
            }
        };
        tokio::select! {
            () = listening => {}
            () = unused(&mut in_use) => {}
        }
    });
}

/// When nobody has the storage any more.
async fn unused(in_use: &mut watch::Receiver<u64>) {
    while in_use.changed().await.is_ok() {}
}

/// Until the connection or the storage is gone. The servers of a Cluster tell
/// each other, so that one is enough, whichever.
async fn listen(shared: &Weak<Shared>, turn: usize) -> Result<(), StorageError> {
    let Some(strong) = shared.upgrade() else {
        return Ok(());
    };
    let info = strong.servers.place(turn).await?;
    let channel = format!("{}:changed", strong.address().prefix);
    drop(strong);
    let mut connection = subscribe(info, channel).await.map_err(unheard)?;
    if let Some(shared) = shared.upgrade() {
        // A server that was away may have come back empty. And what was told
        // meanwhile was told to nobody.
        shared.see_that_all_is_there().await?;
        shared.changed();
    }
    let mut messages = connection.on_message();
    while messages.next().await.is_some() {
        match shared.upgrade() {
            Some(shared) => shared.changed(),
            None => return Ok(()),
        }
    }
    Ok(())
}

async fn subscribe(info: ConnectionInfo, channel: String) -> Result<PubSub, RedisError> {
    let mut connection = Client::open(info)?.get_async_pubsub().await?;
    connection.subscribe(channel).await?;
    Ok(connection)
}

fn unheard(error: RedisError) -> StorageError {
    StorageError::Unavailable(error.to_string())
}
