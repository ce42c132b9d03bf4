//! What a server and an operator do beside a backlog.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use slimta_core::message::{Content, Destination};
use slimta_core::storage::{Action, Filter, Page, Session};
use slimta_core::world::World;

use crate::Outcome;
use crate::mail::mail;
use crate::path::percentile;

const BODY_BYTES: usize = 1024;
const DESTINATIONS: usize = 1000;
/// How many messages are stored at the same time while the storage is filled.
const FILLERS: usize = 64;
const ROUNDS: usize = 20;
const CLAIM: usize = 50;
const PAGE: usize = 100;
const LEASE: Duration = Duration::from_secs(120);

/// Fills the storage to each depth and measures there.
pub(crate) async fn measure(url: &str, depths: &[usize], world: &World) -> Outcome<()> {
    let session = slimta_storage::open(url, world.clone())?.connect().await?;
    // What the measurements before have left.
    while !deleted(&*session).await?.is_empty() {}
    session.close().await;
    drop(session);
    let mut stored = 0;
    for depth in depths {
        let session = slimta_storage::open(url, world.clone())?.connect().await?;
        let begun = Instant::now();
        fill(&session, world, stored, *depth).await?;
        let rate = depth.saturating_sub(stored) as f64 / begun.elapsed().as_secs_f64();
        println!(r#"{{"work":"fill","depth":{depth},"per_second":{rate:.0}}}"#);
        session.close().await;
        drop(session);
        let left = beside(url, world, *depth).await?;
        stored = (*depth).saturating_sub(left);
    }
    Ok(())
}

async fn fill(session: &Arc<dyn Session>, world: &World, from: usize, depth: usize) -> Outcome<()> {
    let next = Arc::new(AtomicUsize::new(from));
    let tasks: Vec<_> = (0..FILLERS)
        .map(|_| {
            let (session, world, next) = (session.clone(), world.clone(), next.clone());
            tokio::spawn(async move {
                let content = Content::new(vec![b'x'; BODY_BYTES]);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= depth {
                        return Outcome::Ok(());
                    }
                    let destination = format!("{}.example", number % DESTINATIONS);
                    let mail = mail(&*session, &world, &destination, content.clone())?;
                    session.store(mail, None).await?;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// Gives how many messages are gone afterwards.
async fn beside(url: &str, world: &World, depth: usize) -> Outcome<usize> {
    let begun = Instant::now();
    let session = slimta_storage::open(url, world.clone())?.connect().await?;
    told("open", depth, &mut [begun.elapsed()]);
    let session = &*session;
    time("due destinations", depth, async |_| {
        session.due_destinations(None, PAGE).await.map(drop)
    })
    .await?;
    time("claim and unlock 50", depth, async |round| {
        let destination = Destination::new(format!("{round}.example"));
        for leased in session.claim(&destination, CLAIM, LEASE).await? {
            let _ = session.unlock(&leased.lease).await?;
        }
        Ok(())
    })
    .await?;
    time("next due", depth, async |_| {
        session.next_due().await.map(drop)
    })
    .await?;
    time("stats", depth, async |_| session.stats().await.map(drop)).await?;
    time("list 100", depth, async |_| {
        let page = Page::first(PAGE);
        session.list(&Filter::default(), page).await.map(drop)
    })
    .await?;
    let mut gone = 0;
    let mut times = Vec::new();
    for _ in 0..ROUNDS.min(depth / PAGE / 2) {
        let begun = Instant::now();
        gone += deleted(session).await?.len();
        times.push(begun.elapsed());
    }
    told("delete 100", depth, &mut times);
    session.close().await;
    Ok(gone)
}

async fn deleted(session: &dyn Session) -> Outcome<Vec<slimta_core::message::MessageId>> {
    let acted = session
        .act(&Filter::default(), Page::first(PAGE), &Action::Delete)
        .await?;
    Ok(acted.changed)
}

async fn time<F>(work: &str, depth: usize, call: impl Fn(usize) -> F) -> Outcome<()>
where
    F: Future<Output = Result<(), slimta_core::storage::StorageError>>,
{
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let begun = Instant::now();
        call(round).await?;
        times.push(begun.elapsed());
    }
    told(work, depth, &mut times);
    Ok(())
}

fn told(work: &str, depth: usize, times: &mut [Duration]) {
    let (p50, worst) = (percentile(times, 50), percentile(times, 100));
    println!(r#"{{"work":"{work}","depth":{depth},"p50_ms":{p50:.3},"worst_ms":{worst:.3}}}"#);
}
