//! Several servers on one PostgreSQL or Redis: killed, frozen for longer than
//! their leases, and with a storage that goes away in the middle of the load.
//!
//! `SLIMTA_MESSAGES` says how many messages pass while a server is killed each
//! second.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use slimta_oracle::Hit;

use crate::load::{Goal, Load, Scene, next_hop};
use crate::postgres::{Server as Database, Stop};
use crate::proxy::{Fault, Proxy};
use crate::redis_server::{SAFE, Server as Redis};
use crate::rig::{PATIENCE, Server, Store, until, until_after};
use crate::trap::{Blow, Point};

const MESSAGES: usize = 300;
const MANAGERS: usize = 10;
/// These are frozen, the others are killed.
const FROZEN: usize = 2;
const LEASE: Duration = Duration::from_secs(3);
const CLIENTS: u32 = 16;
/// How long a client waits for a server that may be frozen.
const IMPATIENCE: Duration = Duration::from_secs(1);
const POINTS: [Point; 4] = [Point::Random, Point::Taken, Point::Reply, Point::Dot];
/// So many seconds, which is longer than the lease.
const FROZEN_ROUNDS: usize = 5;
const DRAIN_PATIENCE: Duration = Duration::from_secs(120);

/// One of several servers, which is started anew where it was.
struct Manager {
    name: String,
    store: Store,
    args: Vec<String>,
    server: Option<Server>,
    address: SocketAddr,
}

impl Manager {
    fn start(number: usize, url: &str, relay: SocketAddr, lease: Duration) -> Self {
        let (name, store) = (format!("m{number}.test.example"), Store::at(url));
        let relay = format!("smtp://{relay}");
        let lease = format!("{}s", lease.as_secs());
        let args = [
            ["--hostname", &name],
            ["--relay", &relay],
            ["--lock-duration", &lease],
            ["--retry", "100ms..;until=1h"],
            // One server's share must be more than the frozen ones' mail, which
            // the next hop thinks over.
            ["--attempts-per-destination-max", "100"],
            ["--log-format", "json"],
        ];
        let args = args.concat();
        let server = store.serve(&args);
        let address = server.address;
        let mut args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        args.extend(["--listen".to_owned(), address.to_string()]);
        Manager {
            name,
            store,
            args,
            server: Some(server),
            address,
        }
    }

    fn goal(&self) -> Goal {
        Goal {
            name: self.name.clone(),
            address: self.address,
        }
    }

    /// A signal for it when a message of its own is there.
    fn blow(&self, signal: Signal, point: Point) -> Blow {
        let server = self.server.as_ref().unwrap();
        Blow::new(signal, server, point).of(&self.name)
    }

    /// Where it hurts most, or anywhere.
    fn kill(&mut self, scene: &Scene, point: Point) {
        if point != Point::Random {
            scene.trap.strike(self.blow(Signal::KILL, point));
        }
        let mut history = scene.history();
        self.server.take().unwrap().kill();
        history.hits_one(&self.name, Hit::Killed);
    }

    fn start_again(&mut self, scene: &Scene) {
        let args: Vec<_> = self.args.iter().map(String::as_str).collect();
        self.server = Some(self.store.serve(&args));
        // The next hop may have read late what the dead one had sent.
        scene.history().hits_one(&self.name, Hit::Killed);
    }

    fn stop(&mut self) {
        self.server.take().unwrap().stop();
    }

    /// What it logged so, line by line.
    fn logged(&self, message: &str) -> Vec<Value> {
        let log = self.store.logged();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines
            .filter(|line: &Value| line["message"] == message)
            .collect()
    }
}

#[test]
fn ten_servers_on_one_postgresql_are_killed_and_frozen_and_lose_nothing() {
    ten_servers(&Database::with(&[]).url());
}

#[test]
fn ten_servers_on_one_redis_are_killed_and_frozen_and_lose_nothing() {
    ten_servers(&Redis::start(&SAFE).url());
}

#[track_caller]
fn ten_servers(url: &str) {
    let messages = std::env::var("SLIMTA_MESSAGES").map_or(MESSAGES, |many| many.parse().unwrap());
    let scene = Arc::new(Scene::default());
    let relay = next_hop(&scene);
    let start = |number| Manager::start(number, url, relay, LEASE);
    let mut managers: Vec<_> = (0..MANAGERS).map(start).collect();
    let goals: Vec<_> = managers.iter().map(Manager::goal).collect();
    let load = Load::start_on(&scene, &goals, CLIENTS, IMPATIENCE);
    let (mut kills, mut chance, begin) = (0, 7_usize, Instant::now());
    while scene.history().answers() < messages || kills <= FROZEN_ROUNDS {
        match kills {
            1 => freeze(&managers, &scene),
            _ if kills == 1 + FROZEN_ROUNDS => thaw(&managers, &scene),
            _ => {}
        }
        // The pace of the kills is what the test is about.
        std::thread::sleep(Duration::from_secs(1));
        chance = chance.wrapping_mul(25_214_903_917).wrapping_add(11);
        let unlucky = FROZEN + (chance >> 16) % (MANAGERS - FROZEN);
        managers[unlucky].kill(&scene, POINTS[kills % POINTS.len()]);
        managers[unlucky].start_again(&scene);
        kills += 1;
    }
    if kills == 1 + FROZEN_ROUNDS {
        thaw(&managers, &scene);
    }
    let seconds = begin.elapsed().as_secs();
    let what = format!("{kills} kills of {MANAGERS} servers in {seconds} s, {FROZEN} frozen");
    finish(load, &scene, &mut managers, &what);
}

/// Each when the next hop has read a message from it, and before it has heard
/// the answer.
fn freeze(managers: &[Manager], scene: &Scene) {
    scene.hold();
    // A client goes from the last to the first, so none waits between them.
    for manager in managers[..FROZEN].iter().rev() {
        scene.trap.strike(manager.blow(Signal::STOP, Point::Taken));
        // Their mail moves on while they are frozen, and may come again after.
        scene.history().hits_one(&manager.name, Hit::Paused);
    }
}

/// Now another has each of those messages, and they hear that it was taken: what
/// they want to settle is refused, because their leases are over.
#[track_caller]
fn thaw(managers: &[Manager], scene: &Scene) {
    until("others at work on their mail", || {
        (scene.taken_over() == FROZEN).then_some(())
    });
    for manager in &managers[..FROZEN] {
        scene.history().hits_one(&manager.name, Hit::Paused);
        manager.server.as_ref().unwrap().signal("-CONT");
    }
    for manager in &managers[..FROZEN] {
        until("a lost lease", || {
            (!manager.logged("lease lost").is_empty()).then_some(())
        });
    }
    scene.release();
}

/// Lets the queue drain, and demands that no promise was broken.
#[track_caller]
fn finish(load: Load, scene: &Scene, managers: &mut [Manager], what: &str) {
    load.stop();
    until_after("an empty queue", DRAIN_PATIENCE, || {
        (managers[0].store.stats()["messages"] == 0).then_some(())
    });
    for manager in &mut *managers {
        manager.stop();
    }
    let lost: usize = managers.iter().map(|m| m.logged("lease lost").len()).sum();
    let ledger = scene.history().ledger();
    let put_off = scene.put_off();
    println!("{what}: {}", ledger.tally());
    println!("{lost} results came after their lease was lost, {put_off} messages were put off");
    ledger.close().unwrap_or_else(|broken| panic!("{broken}"));
}

/// A storage that can be taken away, and given back.
struct Movable<'a> {
    url: String,
    port: u16,
    /// The ways in which it ends.
    stops: &'a [&'a dyn Fn()],
    start: &'a dyn Fn(),
}

#[test]
fn a_postgresql_that_goes_away_under_load_costs_nothing() {
    let database = Database::with(&[]);
    goes_away(&Movable {
        url: database.url(),
        port: database.port(),
        stops: &[&|| database.stop(Stop::Fast), &|| {
            database.stop(Stop::Immediate)
        }],
        start: &|| database.start(),
    });
}

#[test]
fn a_redis_that_goes_away_under_load_costs_nothing() {
    let redis = Redis::start(&SAFE);
    goes_away(&Movable {
        url: redis.url(),
        port: redis.port,
        stops: &[&|| redis.kill()],
        start: &|| redis.restart(),
    });
}

#[track_caller]
fn goes_away(storage: &Movable) {
    let scene = Arc::new(Scene::default());
    let (proxy, relay) = (Proxy::before(storage.port), next_hop(&scene));
    let (direct, through) = (storage.port.to_string(), proxy.port().to_string());
    let url = storage.url.replace(&direct, &through);
    // Longer than any trouble, so that nobody may take the mail of another.
    let lease = Duration::from_secs(60);
    let mut managers = [0, 1].map(|number| Manager::start(number, &url, relay, lease));
    let goals = managers.each_ref().map(Manager::goal);
    let load = Load::start_on(&scene, &goals, CLIENTS, PATIENCE);
    let trouble = |what: &str, begin: &dyn Fn(), end: &dyn Fn()| {
        load.until_answered(20);
        let put_off = scene.put_off();
        begin();
        until(&format!("451 ({what})"), || {
            (scene.put_off() > put_off + 1).then_some(())
        });
        end();
        load.until_answered(20);
    };
    for stop in storage.stops {
        trouble("stopped", stop, storage.start);
    }
    for fault in [
        Fault::Cut,
        Fault::BlackHole,
        Fault::AnswersLost,
        Fault::QuestionsLost,
    ] {
        let (begin, end) = (|| proxy.set(fault), || proxy.set(Fault::None));
        trouble(&format!("{fault:?}"), &begin, &end);
    }
    proxy.set(Fault::Delay(Duration::from_millis(20)));
    load.until_answered(20);
    proxy.set(Fault::None);
    finish(load, &scene, &mut managers, "a storage in trouble");
}
