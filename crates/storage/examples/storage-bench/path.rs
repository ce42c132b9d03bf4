//! The path of mail that is delivered at once: stored, settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use slimta_core::message::{Content, Submission};
use slimta_core::storage::{Change, FirstLeases, Session, Settlement};
use slimta_core::world::World;

use crate::Outcome;
use crate::mail::mail;

const BODY_BYTES: usize = 10 * 1024;
const MEASUREMENT: Duration = Duration::from_secs(4);
/// Bounds what a measurement takes, at about 400 MiB.
const MESSAGES_MAX: usize = 40_000;
const LEASE: FirstLeases = FirstLeases {
    count: 1,
    lease: Duration::from_secs(120),
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Store,
    Lifecycle,
}

/// Stores alone, and whole lives, by few and by many at a time.
pub(crate) async fn measure(url: &str, world: &World) -> Outcome<()> {
    let session = slimta_storage::open(url, world.clone())?.connect().await?;
    for (name, work) in [("store", Work::Store), ("lifecycle", Work::Lifecycle)] {
        for submitters in [1, 20, 100] {
            one(&session, world, name, work, submitters).await?;
        }
    }
    session.close().await;
    Ok(())
}

async fn one(
    session: &Arc<dyn Session>,
    world: &World,
    name: &str,
    work: Work,
    submitters: usize,
) -> Outcome<()> {
    let content = Content::new(vec![b'x'; BODY_BYTES]);
    let left = Arc::new(AtomicUsize::new(MESSAGES_MAX));
    let started = Instant::now();
    let tasks: Vec<_> = (0..submitters)
        .map(|_| {
            let (session, world) = (session.clone(), world.clone());
            let (content, left) = (content.clone(), left.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while started.elapsed() < MEASUREMENT && take_one(&left) {
                    let begun = Instant::now();
                    let mail = mail(&*session, &world, "example.org", content.clone())?;
                    submit(&*session, work, mail).await?;
                    times.push(begun.elapsed());
                }
                Outcome::Ok(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
    println!(
        r#"{{"work":"{name} by {submitters}","per_second":{rate:.0},"p50_ms":{p50:.3},"p99_ms":{p99:.3}}}"#
    );
    Ok(())
}

/// In milliseconds.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let at = times.len().saturating_sub(1) * percent / 100;
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

fn take_one(left: &AtomicUsize) -> bool {
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    });
    taken.is_ok()
}

async fn submit(session: &dyn Session, work: Work, mail: Submission) -> Outcome<()> {
    if work == Work::Store {
        session.store(mail, None).await?;
        return Ok(());
    }
    for leased in session.store(mail, Some(LEASE)).await? {
        let settlement = Settlement {
            lease: leased.lease,
            change: Change::Remove,
            notices: Vec::new(),
        };
        let _ = session.settle(&[settlement]).await?;
    }
    Ok(())
}
