//! What a backlog costs in PostgreSQL: each call with a thousand messages queued
//! and with a million, and the ratio.
//!
//! ```text
//! cargo run --release -p slimta-storage --features postgres --example postgres-backlog \
//!     -- postgres://USER@HOST/DATABASE [MESSAGES]
//! ```
//!
//! It makes a schema `backlog` anew and leaves it there. A third of the messages
//! is due; they go to a hundred destinations. Another destination has nine due
//! messages, and as many waiting as all others have.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use slimta_core::message::{
    Client, Content, Destination, Envelope, Message, ReversePath, Submission,
};
use slimta_core::queue::{ByDomain, split};
use slimta_core::storage::{
    Change, Filter, FirstLeases, Page, Session, Settlement, Storage, StorageError,
};
use slimta_core::world::World;
use slimta_storage::Postgres;
use tokio_postgres::NoTls;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SMALL: u32 = 1000;
const LARGE: u32 = 1_000_000;
const TIMES: usize = 51;
const LEASE: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("say which database")?;
    let large = args.next().map_or(Ok(LARGE), |large| large.parse())?;
    let small = measure(&url, SMALL).await?;
    let large_times = measure(&url, large).await?;
    println!("{:<18} {SMALL:>9} {large:>9} messages", "ms, median");
    for (name, time) in small {
        let with_many = large_times.get(name).copied().unwrap_or_default();
        let ratio = with_many / time;
        println!("{name:<18} {time:>9.2} {with_many:>9.2} ratio {ratio:.2}");
    }
    Ok(())
}

async fn measure(url: &str, messages: u32) -> Outcome<BTreeMap<&'static str, f64>> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    client
        .batch_execute("DROP SCHEMA IF EXISTS backlog CASCADE; CREATE SCHEMA backlog")
        .await?;
    let url = format!("{url}?options=-csearch_path%3Dbacklog");
    let world = World::system();
    let storage = Postgres::new(&url, world.clone())?;
    let session = storage.connect().await?;
    let begin = Instant::now();
    for step in FILL {
        let step = step.replace("MESSAGES", &messages.to_string());
        client.batch_execute(&step).await?;
    }
    eprintln!("{messages} messages queued in {:.1?}", begin.elapsed());
    drop(client);
    connection.await??;
    let session = &*session;
    let mut times = BTreeMap::new();
    let open = async || Postgres::new(&url, world.clone())?.connect().await;
    times.insert("open", median(async || timed(open()).await).await?);
    let lifecycle = async || timed(lifecycle(session, &world)).await;
    times.insert("store and settle", median(lifecycle).await?);
    times.insert(
        "claim 3 of many",
        median(async || claim(session, "d12.example", 3).await).await?,
    );
    let of_few = async || claim(session, "deferred.example", 20).await;
    times.insert("claim 20 of 9 due", median(of_few).await?);
    let due = async || timed(session.due_destinations(None, 100)).await;
    times.insert("due destinations", median(due).await?);
    times.insert(
        "next due",
        median(async || timed(session.next_due()).await).await?,
    );
    let (all, page) = (Filter::default(), Page::first(100));
    let list = async || timed(session.list(&all, page)).await;
    times.insert("list 100", median(list).await?);
    times.insert(
        "stats",
        median(async || timed(session.stats()).await).await?,
    );
    Ok(times)
}

async fn timed<T>(
    call: impl Future<Output = Result<T, StorageError>>,
) -> Result<Duration, StorageError> {
    let begin = Instant::now();
    call.await?;
    Ok(begin.elapsed())
}

async fn lifecycle(session: &dyn Session, world: &World) -> Result<(), StorageError> {
    let lease = Some(FirstLeases {
        count: 1,
        lease: LEASE,
    });
    for leased in session.store(mail(world), lease).await? {
        let settlement = Settlement {
            lease: leased.lease,
            change: Change::Remove,
            notices: Vec::new(),
        };
        let _ = session.settle(&[settlement]).await?;
    }
    Ok(())
}

/// The time of a claim, which is given back.
async fn claim(
    session: &dyn Session,
    destination: &str,
    limit: usize,
) -> Result<Duration, StorageError> {
    let destination = Destination::new(destination);
    let begin = Instant::now();
    let claimed = session.claim(&destination, limit, LEASE).await?;
    let time = begin.elapsed();
    for leased in claimed {
        let _ = session.unlock(&leased.lease).await?;
    }
    Ok(time)
}

/// In milliseconds.
async fn median<F: Future<Output = Result<Duration, StorageError>>>(
    call: impl Fn() -> F,
) -> Outcome<f64> {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        times.push(call().await?);
    }
    times.sort_unstable();
    let median = times.get(TIMES / 2).copied().unwrap_or_default();
    Ok(median.as_secs_f64() * 1e3)
}

fn mail(world: &World) -> Submission {
    let recipients = "to@new.example".parse().into_iter();
    let envelope = Envelope::new(ReversePath::Null, recipients);
    let content = Content::new("Subject: hello\r\n\r\n");
    let message = Message::new(Client::default(), envelope, content.clone(), world.now());
    let router = ByDomain {
        local_domain: String::new(),
    };
    let nothing = Submission {
        messages: Vec::new(),
        content,
    };
    split(message, &router, world, world.now()).unwrap_or(nothing)
}

/// As `slimta_enqueue` would, but all at once. CHECKPOINT needs a superuser.
const FILL: [&str; 6] = [
    "CREATE TEMPORARY TABLE fill AS
     SELECT backlog.slimta_new_id(begin - MESSAGES + n) AS id,
         CASE WHEN n % 2 = 0 THEN 'd' || n % 100 ELSE 'deferred' END || '.example' AS destination,
         begin - MESSAGES + n AS received,
         begin + CASE WHEN n % 6 = 0 OR n < 19 THEN n - MESSAGES ELSE 3600000 + n END AS due
     FROM generate_series(1, MESSAGES) AS n,
         (SELECT (extract(epoch FROM now()) * 1000)::bigint AS begin) AS clock",
    "INSERT INTO backlog.slimta_submissions
     SELECT id, 1, 1, sha256('x') FROM fill;
     INSERT INTO backlog.slimta_contents SELECT id, 0, 'x' FROM fill",
    "INSERT INTO backlog.slimta_messages (
         id, submission, destination, priority, due, received, attempts, is_held, record)
     SELECT id, id, destination, 1, due, received, 0, false, fields || sha256(fields)
     FROM fill, LATERAL (SELECT convert_to(json_build_object(
         'id', id, 'submission', id, 'destination', destination, 'sender', '',
         'recipients', json_build_array('to@' || destination), 'is_8bit', false,
         'received', received, 'size', 1)::text, 'UTF8') AS fields) AS record",
    "DROP TABLE fill",
    "VACUUM ANALYZE",
    // So that its work is not measured: filling has left much to write.
    "CHECKPOINT",
];
