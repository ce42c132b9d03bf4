//! What a server and an operator do beside a backlog.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use slimta_core::message::{Content, Destination, MessageId, Submission};
use slimta_core::storage::{Action, Filter, Page, Session, StorageError};
use slimta_core::world::World;

use crate::Outcome;
use crate::mail::mail;
use crate::path::percentile;

const BODY_BYTES: usize = 1024;
const DESTINATIONS: usize = 100;
/// Half of the mail goes to a destination that does not answer: only its last
/// ten messages of each depth are due, the others wait.
const SILENT: &str = "silent.example";
const RETRY: Duration = Duration::from_secs(3600);
/// Ten of the last messages of each depth go to a destination of their own.
const RARE: &str = "rare.example";
/// So many are the last messages of a depth.
const LAST: usize = 20;
/// Messages of one submission, which share their contents: so a million are
/// stored in minutes.
const SHARERS: usize = 10;
/// How many messages are stored at the same time while the storage is filled.
const FILLERS: usize = 64;
const ROUNDS: usize = 21;
const CLAIM: usize = 10;
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
                loop {
                    let first = next.fetch_add(SHARERS, Ordering::Relaxed);
                    if first >= depth {
                        return Outcome::Ok(());
                    }
                    let numbers = first..depth.min(first + SHARERS);
                    let mail = submission(&*session, &world, numbers, depth)?;
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

/// The messages of these numbers, with contents that they share.
fn submission(
    session: &dyn Session,
    world: &World,
    numbers: Range<usize>,
    depth: usize,
) -> Outcome<Submission> {
    let content = Content::new(vec![b'x'; BODY_BYTES]);
    let mut submission = mail(session, world, RARE, content)?;
    let Some(first) = submission.messages.pop() else {
        return Ok(submission);
    };
    for number in numbers.clone() {
        let mut message = first.clone();
        if number > numbers.start {
            message.id = MessageId::new(world);
        }
        let is_last = number + LAST >= depth;
        if number % 2 == 1 {
            message.destination = Destination::new(SILENT);
            message.due = message
                .due
                .after(if is_last { Duration::ZERO } else { RETRY });
        } else if !is_last {
            message.destination = Destination::new(format!("{}.example", number % DESTINATIONS));
        }
        submission.messages.push(message);
    }
    Ok(submission)
}

/// Gives how many messages are gone afterwards.
async fn beside(url: &str, world: &World, depth: usize) -> Outcome<usize> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let session = slimta_storage::open(url, world.clone())?.connect().await?;
        times.push(begun.elapsed());
        session.close().await;
    }
    told("open", depth, &mut times);
    let session = slimta_storage::open(url, world.clone())?.connect().await?;
    let session = &*session;
    time("due destinations", depth, async |_| {
        session.due_destinations(None, PAGE).await.map(drop)
    })
    .await?;
    let busy = |round| format!("{}.example", 2 * round);
    claims("claim 10", depth, session, busy).await?;
    let silent = |_| SILENT.to_owned();
    claims("claim the 10 due of a silent one", depth, session, silent).await?;
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
    for (name, destination) in [
        ("list a silent destination", SILENT),
        ("list a rare one", RARE),
    ] {
        let filter = Filter {
            destination: Some(Destination::new(destination)),
            ..Filter::default()
        };
        time(name, depth, async |_| {
            session.list(&filter, Page::first(PAGE)).await.map(drop)
        })
        .await?;
    }
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

/// Times claims alone; what they lease is given back.
async fn claims(
    work: &str,
    depth: usize,
    session: &dyn Session,
    destination: impl Fn(usize) -> String,
) -> Outcome<()> {
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let destination = Destination::new(destination(round));
        let begun = Instant::now();
        let claimed = session.claim(&destination, CLAIM, LEASE).await?;
        times.push(begun.elapsed());
        for leased in claimed {
            let _ = session.unlock(&leased.lease).await?;
        }
    }
    told(work, depth, &mut times);
    Ok(())
}

async fn deleted(session: &dyn Session) -> Outcome<Vec<MessageId>> {
    let acted = session
        .act(&Filter::default(), Page::first(PAGE), &Action::Delete)
        .await?;
    Ok(acted.changed)
}

async fn time<F>(work: &str, depth: usize, call: impl Fn(usize) -> F) -> Outcome<()>
where
    F: Future<Output = Result<(), StorageError>>,
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
