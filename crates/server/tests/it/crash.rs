//! The promise behind 250: whatever was answered so arrives, though the server
//! is killed again and again, at random and where it hurts most. What arrives
//! twice does so through a window that the design names.
//!
//! `SLIMTA_KILLS` says how often it is killed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use slimta_oracle::{Hit, Window};

use crate::load::{Load, Scene, next_hop};
use crate::postgres::Server as Database;
use crate::redis_server::{SAFE, Server as Redis};
use crate::rig::{Store, run, stderr, stdout, text, until, until_after};
use crate::trap::{Blow, Point};

const KILLS: usize = 20;
/// On a storage that is a server of its own.
const KILLS_SHARED: usize = 100;
/// There, leases outlive the killed, and each of them counts as one more manager
/// for some seconds, so that the destination's places are divided among many.
const MORE_SHARED: [&str; 4] = [
    "--lock-duration",
    "2s",
    "--attempts-per-destination-max",
    "200",
];
/// Messages that must be answered between two kills, so that each kill meets
/// work; how many is drawn, so that kills fall at any moment.
const BETWEEN_KILLS_MAX: u64 = 40;
/// Opening the store takes about so long.
const OPENING_MS_MAX: u64 = 30;
const PAUSES: usize = 3;
const LEASE: Duration = Duration::from_secs(2);
/// What the audit may say of a recipient that was answered.
const KNOWN: [&str; 3] = ["delivered", "duplicated", "unknown"];
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn killed_again_and_again_under_load_nothing_answered_is_lost() {
    survives_kills(&Store::new(), &[], KILLS);
}

#[test]
fn killed_again_and_again_on_postgresql_nothing_answered_is_lost() {
    let database = Database::with(&[]);
    survives_kills(&Store::at(&database.url()), &MORE_SHARED, KILLS_SHARED);
}

#[test]
fn killed_again_and_again_on_redis_nothing_answered_is_lost() {
    let redis = Redis::start(&SAFE);
    survives_kills(&Store::at(&redis.url()), &MORE_SHARED, KILLS_SHARED);
}

/// Kills the server on this store again and again, under load, and demands that
/// nothing is lost.
#[track_caller]
fn survives_kills(store: &Store, more: &[&str], kills: usize) {
    let kills = std::env::var("SLIMTA_KILLS").map_or(kills, |kills| kills.parse().unwrap());
    let scene = Arc::new(Scene::default());
    let relay = format!("smtp://{}", next_hop(&scene));
    let args = ["--relay", relay.as_str(), "--retry", "100ms..;until=1h"];
    let args = [args.as_slice(), &["--log-format", "json"], more].concat();
    let mut server = store.serve(&args);
    let address = server.address.to_string();
    let args = [args.as_slice(), &["--listen", &address]].concat();
    let load = Load::start(&scene, server.address);
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: u64| {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (chance >> 33) % below
    };
    let mut points = BTreeMap::<Point, usize>::new();
    for kill in 0..kills {
        let point = match kill % 2 {
            0 => Point::Random,
            _ => Point::NAMED[kill / 2 % Point::NAMED.len()],
        };
        *points.entry(point).or_default() += 1;
        load.until_answered(1 + draw(BETWEEN_KILLS_MAX) as usize);
        match point {
            Point::Random => {}
            Point::Opening => {
                server.kill();
                scene.history().hits(Hit::Killed);
                let moment = Duration::from_millis(draw(OPENING_MS_MAX + 1));
                store.kill_while_it_opens(&args, moment);
                // It may have been quick, and have worked already.
                scene.history().hits(Hit::Killed);
                server = store.serve(&args);
                continue;
            }
            Point::Settled => until_recorded(store),
            point => scene.trap.strike(Blow::new(Signal::KILL, &server, point)),
        }
        server.kill();
        scene.history().hits(Hit::Killed);
        server = store.serve(&args);
    }
    finish(
        load,
        &scene,
        store,
        &format!("{kills} kills ({})", told(&points)),
    );
    server.stop();
    audit_agrees(store, &scene);
}

/// What the log and the store alone can tell is what the oracle says of both
/// ends, message by message: all that was answered is delivered, or twice if its
/// record was lost with its lease, but for what the server had no time to log.
#[track_caller]
fn audit_agrees(store: &Store, scene: &Scene) {
    let log = store.log().display().to_string();
    let audit = store.operate(&["audit", "--json", "--all", &log]);
    let said = stdout(&audit);
    let lines: Vec<Value> = said
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let (summary, messages) = lines.split_last().unwrap();
    println!("{summary}");
    assert!(audit.status.success(), "{summary}{}", stderr(&audit));
    let by_id: BTreeMap<_, _> = messages.iter().map(|m| (text(m, "id"), m)).collect();
    let (ids, ledger) = (scene.ids(), scene.history().ledger());
    for ((mark, recipient), verdict) in ledger.judge() {
        let Some(id) = ids.get(mark) else {
            continue;
        };
        let message = by_id
            .get(id.as_str())
            .unwrap_or_else(|| panic!("no line about {mark}"));
        let recipients = message["recipients"].as_array().unwrap();
        let found = recipients
            .iter()
            .find(|one| text(one, "recipient") == recipient);
        let found = found.unwrap_or_else(|| panic!("{recipient} is not named: {message}"));
        assert!(KNOWN.contains(&text(found, "fate")), "{mark}: {message}");
        // The server has seen that itself.
        if verdict.windows.contains(&Window::LeaseLost) {
            assert_eq!(
                found["windows"][0],
                Window::LeaseLost.name(),
                "{mark}: {message}"
            );
        }
    }
}

#[test]
fn stopped_for_longer_than_its_lease_it_loses_nothing() {
    let (store, scene) = (Store::new(), Arc::new(Scene::default()));
    let relay = format!("smtp://{}", next_hop(&scene));
    let lease = format!("{}s", LEASE.as_secs());
    let retry = "100ms..;until=1h";
    let args = [
        "--relay",
        &relay,
        "--retry",
        retry,
        "--lock-duration",
        &lease,
        "--log-format",
        "json",
    ];
    let server = store.serve(&args);
    let load = Load::start(&scene, server.address);
    for pause in 0..PAUSES {
        load.until_answered(20);
        let stop = Blow::new(Signal::STOP, &server, Point::Taken);
        scene.trap.strike(stop);
        if pause == 0 {
            refuses_a_second_server(&store);
        }
        // Not to wait for anything: this time is what the test is about.
        std::thread::sleep(LEASE + LEASE / 2);
        scene.history().hits(Hit::Paused);
        server.signal("-CONT");
    }
    load.until_answered(20);
    finish(load, &scene, &store, &format!("{PAUSES} pauses"));
    server.stop();
    audit_agrees(&store, &scene);
}

/// A server that does not move still has its store.
#[track_caller]
fn refuses_a_second_server(store: &Store) {
    let url = store.url();
    let args = ["serve", "--storage", &url, "--relay", "none"];
    let second = run(&[args.as_slice(), &["--listen", "127.0.0.1:0"]].concat());
    let said = stderr(&second);
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(said.contains(&store.path().display().to_string()), "{said}");
}

/// Waits until the log says that one more delivery is recorded.
#[track_caller]
fn until_recorded(store: &Store) {
    let before = store.logged().len();
    until("a recorded delivery", || {
        let log = store.logged();
        let news = log.get(before..).unwrap_or_default();
        news.contains("delivered").then_some(())
    });
}

/// Lets the queue drain, and demands that no promise was broken.
#[track_caller]
fn finish(load: Load, scene: &Scene, store: &Store, what: &str) {
    load.stop();
    until_after("an empty queue", DRAIN_PATIENCE, || {
        (store.stats()["messages"] == 0).then_some(())
    });
    let ledger = scene.history().ledger();
    println!("{what}: {}", ledger.tally());
    ledger.close().unwrap_or_else(|broken| panic!("{broken}"));
}

fn told(points: &BTreeMap<Point, usize>) -> String {
    let mut told = String::new();
    for (point, times) in points {
        let between = if told.is_empty() { "" } else { ", " };
        let _ = write!(told, "{between}{point} {times}");
    }
    told
}
