//! Starts the parts of a server in order, and stops them in order.

use slimta_core::queue::QueueError;
use tokio::sync::oneshot;

use crate::assemble::Server;
use crate::failure::Failure;
use crate::signals::{Signals, Wish};

/// Runs `server` until a signal asks for its end.
pub(crate) async fn run(server: Server, mut signals: Signals) -> Result<(), Failure> {
    let (stop_queue, stopped) = oneshot::channel::<()>();
    let queue = server.queue.clone();
    let mut queue = tokio::spawn(async move { queue.run(async { drop(stopped.await) }).await });
    loop {
        match signals.next().await {
            Wish::Stop => break,
            Wish::Reload => tracing::info!("nothing is reloaded on SIGHUP yet"),
        }
    }
    drop(stop_queue);
    let ended = (&mut queue).await;
    server.desk.close().await;
    match ended {
        Ok(ended) => ended.map_err(|error: QueueError| Failure::Failed(error.to_string())),
        Err(error) => Err(Failure::Failed(format!("the queue failed: {error}"))),
    }
}
