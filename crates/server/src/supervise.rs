//! Starts the parts of a server in order, and stops them in order: edges first,
//! so that nothing new comes in; then the queue, which stores what was taken
//! and lets attempts finish; the storage last.

use std::future::Future;

use slimta_core::queue::QueueError;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::assemble::{Edge, Server};
use crate::failure::Failure;
use crate::output;

type QueueEnd = Result<Result<(), QueueError>, JoinError>;

/// Runs `server` until `until` completes, and until it has ended in good order.
pub(crate) async fn run(server: Server, until: impl Future<Output = ()>) -> Result<(), Failure> {
    let Server {
        world,
        queue,
        edges,
        desk,
        admin,
    } = server;
    // Before anything can happen to a message: an audit tells by it which lines
    // are of which life of the server.
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
    let (stop_queue, queue_stopped) = oneshot::channel::<()>();
    let mut queue =
        tokio::spawn(async move { queue.run(async { drop(queue_stopped.await) }).await });
    let operators = admin.map(|socket| {
        let desk = desk.clone();
        tokio::spawn(async move { socket.serve(desk, world).await })
    });
    let (stop_edges, edges_stopped) = watch::channel(());
    let mut edges = start(edges, &edges_stopped)?;

    let ended_early = tokio::select! {
        () = until => None,
        // It was not told to: then nothing works any more.
        ended = &mut queue => Some(ended),
    };

    tracing::info!("stopping: no more mail is taken");
    drop(stop_edges);
    while edges.join_next().await.is_some() {}
    drop(stop_queue);
    let ended = match ended_early {
        Some(ended) => ended,
        None => queue.await,
    };
    end(operators).await;
    desk.close().await;
    tracing::info!("stopped");
    verdict(ended)
}

/// Starts the edges, and says so for each.
fn start(edges: Vec<Edge>, stopped: &watch::Receiver<()>) -> Result<JoinSet<()>, Failure> {
    let mut running = JoinSet::new();
    for edge in edges {
        let ready = format!("listening on {} (smtp)", edge.address());
        let mut stopped = stopped.clone();
        // The sender never sends: what ends the wait is that it is gone.
        running.spawn(edge.run(async move { while stopped.changed().await.is_ok() {} }));
        tracing::info!("{ready}");
        output::line(ready)?;
    }
    Ok(running)
}

/// Cuts the admin socket off and waits until its file is gone.
async fn end(operators: Option<JoinHandle<()>>) {
    if let Some(operators) = operators {
        operators.abort();
        let _ = operators.await;
    }
}

fn verdict(ended: QueueEnd) -> Result<(), Failure> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::Failed(error.to_string())),
        Err(error) => Err(Failure::Failed(format!("the queue failed: {error}"))),
    }
}
