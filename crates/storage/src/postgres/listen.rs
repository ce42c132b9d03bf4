//! Hears of changes that other processes made: a `NOTIFY` on one channel, sent
//! with whatever others could attempt at once.
//!
//! It only makes things faster. A manager that hears nothing looks for itself
//! when the next due time or the end of a lease has come, and every half minute.

use std::future::poll_fn;
use std::sync::{Arc, Weak};

use slimta_core::storage::StorageError;
use tokio_postgres::AsyncMessage;

use super::circuit::Asks;
use super::rows::told;
use super::target::Target;
use super::{Shared, ask};

/// The channel on which changes are told.
pub(super) const CHANNEL: &str = "slimta";
/// Wakes the managers of all processes when the transaction is committed.
///
/// Commits that notify take turns in the whole database, so what its own
/// manager has already leased is not told.
pub(super) async fn notify(client: &impl Asks) -> Result<(), StorageError> {
    ask::run(client, "SELECT pg_notify($1, '')", &[&CHANNEL])
        .await
        .map(drop)
}

/// Listens as long as the storage is in use.
pub(super) fn begin(shared: &Arc<Shared>) {
    let (target, circuit) = (shared.target.clone(), shared.circuit.clone());
    let mut generation = shared.generation.subscribe();
    let shared = Arc::downgrade(shared);
    let gone = async move { while generation.changed().await.is_ok() {} };
    let listening = async move {
        loop {
            circuit.closed().await;
            let ended = tokio::select! {
                ended = listen(&shared, &target) => ended,
                // A connection through which nothing comes looks as if nobody
                // had anything to tell.
                () = circuit.opened() => Ok(()),
            };
            if let Err(error) = ended {
                let error = told(&error);
                tracing::warn!(error, "changes by other servers are not heard for a moment");
            }
            circuit.pause().await;
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = gone => {}
            () = listening => {}
        }
    });
}

/// Until the connection or the storage is gone.
async fn listen(shared: &Weak<Shared>, target: &Target) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = target.config.connect(target.tls.clone()).await?;
    let listening = client.batch_execute("LISTEN slimta");
    tokio::pin!(listening);
    let mut is_asked = false;
    loop {
        tokio::select! {
            asked = &mut listening, if !is_asked => {
                asked?;
                is_asked = true;
                // What was told meanwhile was told to nobody.
                pass_on(shared);
            }
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(AsyncMessage::Notification(_))) => pass_on(shared),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
        }
    }
}

fn pass_on(shared: &Weak<Shared>) {
    if let Some(shared) = shared.upgrade() {
        shared.changed();
    }
}
