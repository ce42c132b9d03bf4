//! The promise behind 250: whatever was answered so arrives, though the server
//! is killed again and again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::rig::{Client, KeepingSink, Store, until, until_after};

const KILLS: u32 = 20;
const CLIENTS: u64 = 4;
/// Messages that must be answered between two kills, so that each kill meets
/// work; how many is drawn, so that kills fall at any moment.
const BETWEEN_KILLS_MAX: u64 = 40;
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);

/// What was answered 250, by the mark in its subject.
type Answered = Arc<Mutex<Vec<String>>>;

#[test]
fn killed_twenty_times_under_load_nothing_answered_is_lost() {
    let (store, sink) = (Store::new(), KeepingSink::start());
    let url = sink.url();
    let args = ["--relay", url.as_str(), "--retry", "100ms..;until=1h"];
    let mut server = store.serve(&args);
    let address = server.address.to_string();
    let args = [args.as_slice(), &["--listen", &address]].concat();
    let answered = Answered::default();
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (answered, done, to) = (answered.clone(), done.clone(), server.address);
            std::thread::spawn(move || keep_sending(client, to, &answered, &done))
        })
        .collect();
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..KILLS {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let goal = count(&answered) + 1 + (chance >> 33) % BETWEEN_KILLS_MAX;
        until("answers", || (count(&answered) >= goal).then_some(()));
        server.kill();
        server = store.serve(&args);
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    let drained = || (store.stats()["messages"] == 0).then_some(());
    until_after("an empty queue", DRAIN_PATIENCE, drained);
    let arrived = arrived(&sink);
    let answered = answered.lock().unwrap();
    let lost: Vec<_> = answered
        .iter()
        .filter(|mark| !arrived.contains_key(*mark))
        .collect();
    let doubled = arrived.values().filter(|times| **times > 1).count();
    println!(
        "{KILLS} kills: {} answered 250, {} lost, {doubled} arrived more than once",
        answered.len(),
        lost.len()
    );
    assert!(lost.is_empty(), "lost: {lost:?}\n{}", store.logged());
}

fn count(answered: &Answered) -> u64 {
    answered.lock().unwrap().len() as u64
}

/// Sends marked messages, a session after another, and notes what is answered.
fn keep_sending(client: u64, to: SocketAddr, answered: &Answered, done: &AtomicBool) {
    let number = AtomicU64::new(0);
    while !done.load(Ordering::Relaxed) {
        // The server is down now and then: that is the point.
        let Ok(mut session) = Client::connect(to) else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        while !done.load(Ordering::Relaxed) {
            let mark = format!(
                "mark-{client}-{}-end",
                number.fetch_add(1, Ordering::Relaxed)
            );
            let content = format!(
                "Subject: {mark}\n\n{}",
                "A line of some length.\n".repeat(40)
            );
            match session.send("sender@from.example", &["rcpt@to.example"], &content) {
                Ok(_) => answered.lock().unwrap().push(mark),
                Err(_) => break,
            }
        }
    }
}

/// How often each mark arrived.
fn arrived(sink: &KeepingSink) -> BTreeMap<String, u32> {
    let mut times = BTreeMap::new();
    for message in sink.messages() {
        let mark = message
            .lines()
            .find_map(|line| line.strip_prefix("Subject: "));
        *times
            .entry(mark.unwrap_or_default().trim().to_owned())
            .or_insert(0) += 1;
    }
    times
}
