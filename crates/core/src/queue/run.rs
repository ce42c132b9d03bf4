//! Runs a queue: accepts, schedules, and ends in good order.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bus;
use crate::message::{Message, Response};
use crate::storage::{Due, Session, StorageError};

use super::claim::{Claimed, Share, claim_due};
use super::error::QueueError;
use super::peers;
use super::put_off::make_due;
use super::shared::{Phase, Shared};
use super::work::Work;

/// Least time between two looks at what is due: many small commits do not
/// become as many looks.
const ROUND_TIME_MIN: Duration = Duration::from_millis(5);
/// Time between two looks that find much of which nothing may be taken.
const FRUITLESS_TIME: Duration = Duration::from_millis(20);
/// Longest time without a look, because the wall clock may jump.
const ROUND_TIME_MAX: Duration = Duration::from_secs(30);
/// Time between looks while due mail waits for room.
const BLOCKED_TIME_MAX: Duration = Duration::from_secs(1);
/// Wait after the storage failed.
const FAILURE_DELAY: Duration = Duration::from_secs(1);
/// How long handing back may take once attempts are cut.
const HAND_BACK_TIME_MAX: Duration = Duration::from_secs(5);

/// Runs until `shutdown` completes and all work has ended, or until the storage
/// says that it has stopped writing: only opening it anew can help, and mail
/// that it still hands out could not be settled.
pub(super) async fn run(
    shared: Arc<Shared>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), QueueError> {
    let stopping = async {
        tokio::select! {
            biased;
            () = shutdown => shared.phase.set(Phase::Draining),
            () = shared.reached(Phase::Draining) => {}
        }
    };
    let (intakes, (attempts, ended), ()) =
        tokio::join!(intake(&shared), schedule(&shared), stopping);
    finish(&shared, intakes, attempts).await;
    if let Ok(session) = shared.session().await {
        session.close().await;
    }
    Ok(ended?)
}

/// Takes requests from the edge bus until the shutdown, then what is left in it.
async fn intake(shared: &Arc<Shared>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let Some(edge_bus) = &shared.edge_bus else {
        return tasks;
    };
    let intakes_max = shared.lanes.limits.get().intakes_max;
    let storing = Arc::new(Semaphore::new(intakes_max.clamp(1, Semaphore::MAX_PERMITS)));
    loop {
        tokio::select! {
            biased;
            () = shared.reached(Phase::Draining) => break,
            Some(ended) = tasks.join_next() => report_panic(ended),
            (storing, accepted) = async {
                let storing = storing.clone().acquire_owned().await;
                (storing, accept(shared, &**edge_bus).await)
            } => match accepted {
                Some(work) => drop(tasks.spawn(async move {
                    let stored = work.store().await;
                    // Attempts are bounded by their places, and may take long:
                    // however many wait for a turn, what comes in is stored.
                    drop(storing);
                    stored.attempt().await;
                })),
                None => break,
            },
        }
    }
    while let Some(Some(work)) = accept(shared, &**edge_bus).now_or_never() {
        tasks.spawn(work.run());
    }
    tasks
}

async fn accept(
    shared: &Arc<Shared>,
    edge_bus: &dyn bus::Server<Message, Response>,
) -> Option<Work> {
    let (messages, reply) = edge_bus.accept().await.ok()?.into_parts();
    Some(Work::store_all(shared.clone(), messages, reply))
}

/// Claims what is due and attempts it, until the shutdown or the end of the
/// storage. Without a relay it waits for the same ends.
async fn schedule(shared: &Arc<Shared>) -> (JoinSet<()>, Result<(), StorageError>) {
    let mut tasks = JoinSet::new();
    let (mut seen, mut go_on) = (0, None);
    peers::enter(shared).await;
    while shared.phase() == Phase::Running {
        while let Some(ended) = tasks.try_join_next() {
            report_panic(ended);
        }
        // Never cut a round: what it has just leased must reach its attempt.
        let looked = match shared.has_relay() {
            true => round(shared, &mut tasks, &mut seen, &mut go_on).await,
            false => watch(shared, &mut seen).await,
        };
        match looked {
            Ok(()) => {}
            Err(error @ StorageError::Poisoned(_)) => {
                tracing::error!(%error, "the queue stops: its storage has to be opened anew");
                shared.phase.set(Phase::Draining);
                return (tasks, Err(error));
            }
            Err(error) => {
                tracing::error!(%error, "the storage could not be asked for due mail, trying again");
                shared.world().sleep(FAILURE_DELAY).await;
            }
        }
    }
    peers::leave(shared).await;
    (tasks, Ok(()))
}

/// Waits until something changes in the storage, which may be its end.
async fn watch(shared: &Shared, seen: &mut u64) -> Result<(), StorageError> {
    let session = shared.session().await?;
    tokio::select! {
        biased;
        () = shared.reached(Phase::Draining) => {}
        generation = session.changed(*seen) => *seen = generation?,
    }
    Ok(())
}

/// One look at what is due, then a wait until looking again is worth it.
async fn round(
    shared: &Arc<Shared>,
    tasks: &mut JoinSet<()>,
    seen: &mut u64,
    go_on: &mut Option<Due>,
) -> Result<(), StorageError> {
    let session = shared.session().await?;
    let attempts_max = shared.lanes.limits.get().attempts_max.max(1);
    let mut claimed = claim_due(shared, attempts_max, Share::Own, go_on).await?;
    let found = !claimed.attempts.is_empty() || !claimed.put_off.is_empty();
    for attempt in std::mem::take(&mut claimed.attempts) {
        let shared = shared.clone();
        tasks.spawn(async move { attempt.run(&shared).await });
    }
    for put_off in std::mem::take(&mut claimed.put_off) {
        let shared = shared.clone();
        tasks.spawn(async move { put_off.run(&shared).await });
    }
    let returned = shared.lanes.take_returned();
    if !returned.is_empty() {
        tasks.spawn(make_due(shared.clone(), returned));
    }
    shared.world().sleep(ROUND_TIME_MIN).await;
    if found {
        return Ok(());
    }
    if go_on.is_some() {
        shared.world().sleep(FRUITLESS_TIME).await;
        return Ok(());
    }
    let pause = pause(&*session, &claimed).await?;
    tokio::select! {
        biased;
        () = shared.reached(Phase::Draining) => {}
        generation = session.changed(*seen) => *seen = generation?,
        () = shared.lanes.freed(), if claimed.blocked => {}
        () = shared.lanes.returned() => {}
        () = shared.world().sleep(pause) => {}
    }
    Ok(())
}

/// How long nothing will become due.
async fn pause(session: &dyn Session, claimed: &Claimed) -> Result<Duration, StorageError> {
    if claimed.blocked || claimed.left_for.is_some() {
        let left_for = claimed.left_for.unwrap_or(BLOCKED_TIME_MAX);
        return Ok(left_for.min(BLOCKED_TIME_MAX));
    }
    let next = session.next_due().await?;
    let pause = next.map_or(ROUND_TIME_MAX, |due| due.since(session.now()));
    Ok(pause.min(ROUND_TIME_MAX))
}

/// Lets what runs come to its end for a while, then cuts it and hands its
/// messages back.
async fn finish(shared: &Shared, mut intakes: JoinSet<()>, mut attempts: JoinSet<()>) {
    let world = shared.world();
    let ending = async {
        while let Some(ended) = intakes.join_next().await {
            report_panic(ended);
        }
        while let Some(ended) = attempts.join_next().await {
            report_panic(ended);
        }
    };
    let mut ending = Box::pin(ending);
    let drain_time_max = shared.lanes.limits.get().drain_time_max;
    if world.timeout(drain_time_max, &mut ending).await.is_some() {
        return;
    }
    shared.phase.set(Phase::Cut);
    if world
        .timeout(HAND_BACK_TIME_MAX, &mut ending)
        .await
        .is_none()
    {
        tracing::warn!("some messages could not be handed back; their leases run out");
    }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "an attempt panicked; its message is due again when its lease ends");
    }
}
