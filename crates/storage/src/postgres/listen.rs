//! Hears of changes that other processes made: a `NOTIFY` on one channel, sent
//! with whatever others could attempt at once.
//!
//! It only makes things faster. A manager that hears nothing looks for itself
//! when the next due time or the end of a lease has come, and every half minute.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::Duration;

use deadpool_postgres::GenericClient;
use slimta_core::storage::StorageError;
use tokio_postgres::{AsyncMessage, Config, NoTls};

use super::{Shared, ask};

/// The channel on which changes are told.
pub(super) const CHANNEL: &str = "slimta";
/// How long to wait before listening again after the connection was lost.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Wakes the managers of all processes when the transaction is committed.
///
/// Commits that notify take turns in the whole database, so what its own
/// manager has already leased is not told.
pub(super) async fn notify(client: &impl GenericClient) -> Result<(), StorageError> {
    ask::run(client, "SELECT pg_notify($1, '')", &[&CHANNEL])
        .await
        .map(drop)
}

/// Listens as long as the storage is in use.
pub(super) fn begin(shared: &Arc<Shared>, config: Config) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        while let Some(world) = shared.upgrade().map(|shared| shared.world.clone()) {
            if let Err(error) = listen(&shared, &config).await {
                tracing::warn!(%error, "changes by other servers are not heard for a moment");
            }
            world.sleep(RETRY_DELAY).await;
        }
    });
}

/// Until the connection or the storage is gone.
async fn listen(shared: &Weak<Shared>, config: &Config) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = config.connect(NoTls).await?;
    let listening = client.batch_execute("LISTEN slimta");
    tokio::pin!(listening);
    let mut is_asked = false;
    loop {
        tokio::select! {
            asked = &mut listening, if !is_asked => {
                asked?;
                is_asked = true;
                // What was told meanwhile was told to nobody.
                told(shared);
            }
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(AsyncMessage::Notification(_))) if !told(shared) => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
        }
    }
}

/// Passes it on; false if nobody is there any more.
fn told(shared: &Weak<Shared>) -> bool {
    let shared = shared.upgrade();
    shared.as_deref().map(Shared::changed).is_some()
}
