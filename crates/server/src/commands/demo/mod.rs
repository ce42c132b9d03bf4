//! `slimta demo`: the main job in one command, on a temporary store, with a
//! next hop that takes, defers and refuses.

mod mail;
mod story;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use slimta_core::world::World;
use tokio::sync::oneshot;

use crate::admin::{Desk, Reply, Request, StatsView};
use crate::assemble::Server;
use crate::commands::block_on;
use crate::config::{Flags, Options, Settings};
use crate::failure::Failure;
use crate::output;
use crate::sink::{Answers, Counts, Sink};
use crate::supervise;
use crate::values::ServerAddress;

use mail::LETTERS;
use story::Story;

/// Where the demo's server and its next hop listen: wherever there is room.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Nobody wants to watch for a minute until a retry.
const RETRY: &str = "1s..;until=1m";
/// How the next hop answers; whom no rule names it takes.
const ANSWERS: [&str; 2] = [
    "^later@=450x1 4.2.0 Come back in a second",
    "^nobody@=550 5.1.1 No such mailbox here",
];
/// The whole demo takes a few seconds; longer means that something is wrong.
const DEMO_TIME_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Watch the main job: take, store, hand on, try again, bounce.
///
/// Starts a server on a temporary store and a next hop that takes, defers and
/// refuses, sends a few messages, and tells what happens to each. Ends by
/// itself after a few seconds and leaves nothing behind.
#[derive(Args, Debug)]
pub(crate) struct Demo {}

impl Demo {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let store = tempfile::tempdir().map_err(|error| {
            Failure::Failed(format!("cannot make a temporary directory: {error}"))
        })?;
        block_on(perform(store.path()))?
    }
}

async fn perform(store: &Path) -> Result<(), Failure> {
    let world = World::system();
    let next_hop = next_hop().await?;
    let story = Arc::new(Story::new(world.clone()));
    let settings = settings(store, next_hop)?;
    let teller = story.clone();
    let server = Server::open(
        &settings,
        Flags::default(),
        world.clone(),
        move |event: &_| teller.tell(event),
    )
    .await?;
    let address = server.addresses().first().copied().unwrap_or(ANY_PORT);
    story.say(
        "server",
        &format!("takes mail on {address} and keeps it in a temporary store"),
    )?;
    story.say(
        "next hop",
        &format!("{next_hop}: takes most, defers later@ once, refuses nobody@"),
    )?;
    let desk = server.desk.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(supervise::run(server, async { drop(stopped.await) }));
    let told = tell(&story, address, &desk, &world).await;
    drop(stop);
    let ended = server
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?;
    told.and(ended)
}

/// Sends the letters, and waits until nothing of them is left to be done.
async fn tell(
    story: &Story,
    address: SocketAddr,
    desk: &Desk,
    world: &World,
) -> Result<(), Failure> {
    let server = ServerAddress(address.to_string());
    for letter in &LETTERS {
        letter.send(&server, story).await?;
    }
    let emptied = world.timeout(DEMO_TIME_MAX, async {
        loop {
            let stats = count(desk).await?;
            if stats.messages == 0 {
                return Ok(stats);
            }
            world.sleep(LOOK_EVERY).await;
        }
    });
    let stats = emptied.await.unwrap_or_else(|| {
        Err(Failure::Failed(format!(
            "the queue is not empty after {DEMO_TIME_MAX:?}"
        )))
    })?;
    output::line("")?;
    output::line(format!(
        "The queue at the end: {} messages ({} active, {} deferred, {} held), {} bytes.",
        stats.messages, stats.active, stats.deferred, stats.held, stats.bytes
    ))?;
    output::line(story.sum())
}

async fn count(desk: &Desk) -> Result<StatsView, Failure> {
    match desk.ask(Request::Stats).await {
        Ok(Reply::Stats(stats)) => Ok(stats),
        Ok(_) => Err(Failure::Failed("the queue cannot be counted".to_owned())),
        Err(error) => Err(Failure::Failed(error.to_string())),
    }
}

fn settings(store: &Path, next_hop: SocketAddr) -> Result<Settings, Failure> {
    let retry = RETRY.parse();
    Settings::read(Options {
        listen: vec![ANY_PORT],
        relay: Some(format!("smtp://{next_hop}")),
        storage: Some(format!("embedded:{}", store.display())),
        hostname: Some("mx.demo.example".to_owned()),
        retry: Some(retry.map_err(|error| Failure::Failed(format!("{error}")))?),
        ..Options::default()
    })
}

/// Starts the next hop and says where it listens.
async fn next_hop() -> Result<SocketAddr, Failure> {
    let failed =
        |error: std::io::Error| Failure::Failed(format!("cannot start a next hop: {error}"));
    let rules = ANSWERS
        .iter()
        .map(|rule| rule.parse())
        .collect::<Result<Vec<_>, String>>();
    let answers = Answers::new(rules.map_err(Failure::Failed)?);
    let sink = Sink::bind(ANY_PORT, answers, Arc::new(Counts::default()))
        .await
        .map_err(failed)?;
    let address = sink.address().map_err(failed)?;
    tokio::spawn(async move { sink.run().await });
    Ok(address)
}
