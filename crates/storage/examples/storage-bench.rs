//! How fast an engine stores and settles on this machine's disk:
//!
//! ```text
//! cargo run --release -p slimta-storage --example storage-bench [DIRECTORY | URL]
//! ```
//!
//! Without a directory it uses a temporary one. What is stored at a URL stays
//! there. Each line is one measurement of
//! messages of 10 KiB, durable before the call returns; all take less than a
//! minute. `store` only stores; `lifecycle` stores under a lease and removes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use slimta_core::message::{
    Client, Content, Destination, Envelope, MessageId, Priority, ReversePath, StoredMessage,
    Submission,
};
use slimta_core::storage::{Change, FirstLeases, Session, Settlement};
use slimta_core::world::World;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const BODY_BYTES: usize = 10 * 1024;
const MEASUREMENT: Duration = Duration::from_secs(4);
/// Bounds the disk that is taken, at about 1 GiB.
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

#[tokio::main]
async fn main() -> Outcome<()> {
    let given = std::env::args().nth(1);
    let temporary = tempfile::tempdir()?;
    let directory = given.as_deref().map_or(temporary.path(), Path::new);
    println!("work       submitters  messages  per second  p50 ms  p99 ms");
    for (name, work) in [("store", Work::Store), ("lifecycle", Work::Lifecycle)] {
        for submitters in [1, 20, 100] {
            let store = directory.join(format!("bench-{name}-{submitters}"));
            match given.as_deref().filter(|given| given.contains("://")) {
                Some(url) => measure(name, work, submitters, url).await?,
                None => {
                    let url = format!("embedded:{}", store.display());
                    measure(name, work, submitters, &url).await?;
                    std::fs::remove_dir_all(&store)?;
                }
            }
        }
    }
    Ok(())
}

async fn measure(name: &str, work: Work, submitters: usize, url: &str) -> Outcome<()> {
    let world = World::system();
    let storage = slimta_storage::open(url, world.clone())?;
    let session = storage.connect().await?;
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
                    submit(&*session, work, mail(&world, content.clone())?).await?;
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
    let seconds = started.elapsed().as_secs_f64();
    times.sort_unstable();
    let percentile = |percent: usize| {
        let at = times.len().saturating_sub(1) * percent / 100;
        times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    let (count, p50, p99) = (times.len(), percentile(50), percentile(99));
    let rate = count as f64 / seconds;
    println!("{name:<10} {submitters:>10} {count:>9} {rate:>11.0} {p50:>7.2} {p99:>7.2}");
    Ok(())
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

fn mail(world: &World, content: Content) -> Outcome<Submission> {
    let id = MessageId::new(world);
    let sender = ReversePath::Mailbox("from@example.com".parse()?);
    let message = StoredMessage {
        id,
        submission: id,
        destination: Destination::new("example.org"),
        client: Client::default(),
        envelope: Envelope::new(sender, ["to@example.org".parse()?]),
        received: world.now(),
        size: content.len() as u64,
        priority: Priority::Normal,
        attempts: 0,
        due: world.now(),
        held: None,
        last_response: None,
    };
    Ok(Submission {
        messages: vec![message],
        content,
    })
}
