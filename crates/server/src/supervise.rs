//! Starts the parts of a server in order, and stops them in order: edges first,
//! so that nothing new comes in; then the queue, which stores what was taken
//! and lets attempts finish; the storage last.

use std::future::Future;
use std::time::Duration;

use slimta::relay::Farewells;
use slimta_core::queue::QueueError;
use slimta_core::world::World;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::assemble::Server;
use crate::certificates;
use crate::edges::Edge;
use crate::failure::Failure;
use crate::output;

type QueueEnd = Result<Result<(), QueueError>, JoinError>;

/// How long what operators asked for may take once the queue has ended.
const OPERATORS_TIME_MAX: Duration = Duration::from_secs(30);
/// How long next hops may take to answer QUIT. It has left by then, so nobody misses
/// it who is slower.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(2);

/// Runs `server` until `until` completes, and until it has ended in good order.
pub(crate) async fn run(server: Server, until: impl Future<Output = ()>) -> Result<(), Failure> {
    let Server {
        world,
        queue,
        edges,
        farewells,
        desk,
        admin,
        mta_sts,
        reports,
        reloader,
    } = server;
    // Before anything can happen to a message: an audit tells by it which lines
    // are of which life of the server.
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
    let (stop_queue, queue_stopped) = oneshot::channel::<()>();
    let mut queue =
        tokio::spawn(async move { queue.run(async { drop(queue_stopped.await) }).await });
    let (stop_operators, operators_stopped) = oneshot::channel::<()>();
    let operators = admin.map(|socket| {
        let (desk, world) = (desk.clone(), world.clone());
        let stopped = async { drop(operators_stopped.await) };
        tokio::spawn(async move { socket.serve(desk, world, stopped).await })
    });
    // Nothing depends on where it is when the server ends.
    let mut background = JoinSet::new();
    background.spawn(certificates::watch(reloader, world.clone()));
    if let Some(mta_sts) = mta_sts {
        background.spawn(async move { mta_sts.keep_fresh().await });
    }
    let counts = reports.map(|(counts, sender)| {
        let counting = counts.clone();
        background.spawn(async move { counting.run(&sender).await });
        counts
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
    background.shutdown().await;
    drop(stop_queue);
    let ended = match ended_early {
        Some(ended) => ended,
        None => queue.await,
    };
    // Next hops may take their time while all else ends.
    let rest = async {
        if let Some(counts) = counts {
            counts.save().await;
        }
        drop(stop_operators);
        end(operators, &world).await;
        desk.close().await;
    };
    tokio::join!(say_goodbye(&farewells, &world), rest);
    tracing::info!("stopped");
    verdict(ended)
}

/// Starts the edges, and says so for each.
fn start(edges: Vec<Edge>, stopped: &watch::Receiver<()>) -> Result<JoinSet<()>, Failure> {
    let mut running = JoinSet::new();
    for edge in edges {
        let ready = format!("listening on {} ({})", edge.address(), edge.protocol());
        let mut stopped = stopped.clone();
        // The sender never sends: what ends the wait is that it is gone.
        running.spawn(edge.run(async move { while stopped.changed().await.is_ok() {} }));
        tracing::info!("{ready}");
        output::line(ready)?;
    }
    Ok(running)
}

/// Ends the connections that wait for more mail: no attempt needs them any more.
async fn say_goodbye(farewells: &Farewells, world: &World) {
    let (ended, cut) = farewells.end_all(world, FAREWELL_TIME_MAX).await;
    if ended > 0 {
        tracing::info!(connections = ended, cut, "ended connections to next hops");
    }
}

/// Waits until what operators asked for is done and the file of the admin socket
/// is gone.
async fn end(operators: Option<JoinHandle<()>>, world: &World) {
    let Some(mut operators) = operators else {
        return;
    };
    let ended = world.timeout(OPERATORS_TIME_MAX, &mut operators).await;
    if ended.is_none() {
        operators.abort();
        let _ = operators.await;
        tracing::warn!("an operator's request was cut; what it did may have no line");
    }
}

fn verdict(ended: QueueEnd) -> Result<(), Failure> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::Failed(error.to_string())),
        Err(error) => Err(Failure::Failed(format!("the queue failed: {error}"))),
    }
}
