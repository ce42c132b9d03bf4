//! Limits by rule, and who goes first.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use slimta_core::bus::Client as _;
use slimta_core::message::{Message, Priority};
use slimta_core::queue::{ByDestination, Direct, Limits, Queue, Rate, Why};
use slimta_core::storage::Listed;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::rig::{Answer, Rig, Script, message};

const SECOND: Duration = Duration::from_secs(1);
pub(super) const LIMITED: &str = "limited.example";

/// Sixty a minute for one destination.
pub(super) fn sixty_a_minute() -> Limits {
    let rate: Rate = "60/min".parse().unwrap();
    let rule = LIMITED.parse().unwrap();
    Limits {
        rate_per_destination: ByDestination::new(None).with_rule(rule, Some(rate)),
        ..Limits::default()
    }
}

/// Starts a queue; drop or send to shut it down.
fn start(queue: &Queue) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let queue = queue.clone();
    let running = tokio::spawn(async move {
        queue.run(async { drop(stopped.await) }).await.unwrap();
    });
    (stop, running)
}

pub(super) async fn running(limits: Limits) -> (Rig, oneshot::Sender<()>) {
    let mut rig = Rig::new().await;
    rig.queue = rig.queue.with_limits(limits);
    let (stop, _running) = start(&rig.queue);
    (rig, stop)
}

async fn send(rig: &Rig, destination: &str, priority: Priority) {
    let to = format!("to@{destination}");
    let message = Message {
        priority,
        ..message("from@example.com", &[&to])
    };
    let answers = rig.edge.send(vec![message]).await.unwrap();
    assert!(answers[0].is_success());
}

pub(super) async fn send_many(rig: &Rig, destination: &str, count: usize) {
    for _ in 0..count {
        send(rig, destination, Priority::Normal).await;
    }
}

async fn listed(rig: &Rig) -> Vec<Listed> {
    let pages = rig.queue.get_all_messages(&rig.session);
    pages.collect().await.unwrap().messages
}

#[tokio::test(start_paused = true)]
async fn a_rate_holds_and_keeps_no_other_destination_waiting() {
    let (rig, _stop) = running(sixty_a_minute()).await;
    send_many(&rig, LIMITED, 200).await;
    send_many(&rig, "lively.example", 100).await;
    tokio::time::sleep(SECOND / 2).await;
    assert_eq!(rig.relay.attempts("lively.example"), 100);
    for minute in 1..=3 {
        tokio::time::sleep(60 * SECOND).await;
        let attempts = rig.relay.attempts(LIMITED);
        // What the bucket held at first comes on top.
        let expected = 60 * minute + 1..=60 * minute + 2;
        assert!(expected.contains(&attempts), "{attempts} in {minute} min");
        let leased = listed(&rig).await;
        let leased = leased.iter().filter(|m| m.lease.is_some()).count();
        assert!(leased <= 2, "{leased} are leased and wait");
    }
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(rig.relay.attempts(LIMITED), 200);
    assert!(rig.stored().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_used_up_rate_is_explained_and_slept_through() {
    let (rig, _stop) = running(sixty_a_minute()).await;
    send_many(&rig, LIMITED, 100).await;
    tokio::time::sleep(SECOND / 4).await;
    let looks = || rig.trouble.looks.load(Ordering::Relaxed);
    let before = looks();
    for _ in 0..10 {
        tokio::time::sleep(SECOND).await;
        let listed = listed(&rig).await;
        match rig.queue.why(&*rig.session, &listed[0]) {
            Why::RateLimited(wait, rate) => {
                assert!(wait <= SECOND, "{wait:?}");
                assert_eq!(rate.to_string(), "60/min");
            }
            other => panic!("{other}"),
        }
        let in_hand = rig.queue.destinations();
        assert_eq!(in_hand.len(), 1);
        assert!(in_hand[0].rate_wait.is_some());
    }
    // One finds a token, one that no other is there, and one what became of it.
    let looks = looks() - before;
    assert!(looks <= 35, "{looks} looks in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn managers_share_a_rate() {
    let mut rig = Rig::new().await;
    rig.queue = rig.queue.clone().with_limits(sixty_a_minute());
    let other = Script::default();
    let beside = Queue::new(
        None,
        Some(Arc::new(Direct(other.clone()))),
        rig.storage.clone(),
    )
    .with_world(rig.world.clone())
    .with_limits(sixty_a_minute());
    let _running = (start(&rig.queue), start(&beside));
    tokio::time::sleep(10 * SECOND).await;
    send_many(&rig, LIMITED, 200).await;
    tokio::time::sleep(120 * SECOND).await;
    let (own, others) = (rig.relay.attempts(LIMITED), other.attempts(LIMITED));
    assert!((118..=126).contains(&(own + others)), "{own} and {others}");
    assert!(own >= 30 && others >= 30, "{own} and {others}");
}

#[tokio::test(start_paused = true)]
async fn what_is_put_off_without_a_try_counts_for_no_rate() {
    let mut rig = Rig::new().await;
    rig.queue = rig.queue.with_limits(sixty_a_minute());
    rig.queue
        .set_retry_algorithm(crate::rig::every(600 * SECOND, &rig.world));
    rig.relay.absent(LIMITED);
    let (_stop, _running) = start(&rig.queue);
    send_many(&rig, LIMITED, 300).await;
    // It takes some seconds until five attempts have failed.
    tokio::time::sleep(20 * SECOND).await;
    let stored = rig.stored().await;
    assert_eq!(stored.len(), 300);
    assert!(stored.iter().all(|m| m.due > rig.world.now()));
    let attempts = rig.relay.attempts(LIMITED);
    assert!((5..=7).contains(&attempts), "{attempts} attempts");
}

#[tokio::test(start_paused = true)]
async fn attempts_at_once_are_limited_by_rule() {
    let rule = "*.narrow.example".parse().unwrap();
    let limits = Limits {
        attempts_per_destination_max: ByDestination::new(20).with_rule(rule, 2),
        ..Limits::default()
    };
    let (rig, _stop) = running(limits).await;
    for _ in 0..30 {
        rig.relay.then(Answer::Hang);
    }
    send_many(&rig, "a.narrow.example", 20).await;
    send_many(&rig, "narrow.example", 20).await;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(rig.relay.attempts("a.narrow.example"), 2);
    assert_eq!(rig.relay.attempts("narrow.example"), 5);
}

/// A relay that takes its time for each of so many attempts.
fn slow(rig: &Rig, attempts: usize, time: Duration) {
    for _ in 0..attempts {
        rig.relay.then(Answer::Slow(time, vec![250]));
    }
}

#[tokio::test(start_paused = true)]
async fn high_mail_goes_at_once_while_bulk_fills_everything() {
    let (rig, _stop) = running(Limits::default()).await;
    slow(&rig, 450, 60 * SECOND);
    for n in 0..1000 {
        send_many(&rig, &format!("{n}.bulk.example"), 3).await;
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(rig.relay.deliveries().len(), 450, "a tenth is kept");
    send(&rig, "other.example", Priority::Normal).await;
    send(&rig, "reset.example", Priority::High).await;
    tokio::time::sleep(SECOND / 10).await;
    assert_eq!(rig.relay.attempts("reset.example"), 1);
    assert_eq!(rig.relay.attempts("other.example"), 0);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_room_looks_at_no_more_than_the_first_that_wait() {
    let (rig, _stop) = running(Limits::default()).await;
    slow(&rig, 450, 600 * SECOND);
    for n in 0..1500 {
        send_many(&rig, &format!("{n}.bulk.example"), 3).await;
    }
    tokio::time::sleep(SECOND).await;
    let looks = || rig.trouble.looks.load(Ordering::Relaxed);
    let before = looks();
    tokio::time::sleep(10 * SECOND).await;
    let looks = looks() - before;
    assert!(looks <= 11, "{looks} looks in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn high_mail_that_found_no_place_comes_before_all_that_wait_longer() {
    let (rig, _stop) = running(Limits {
        attempts_max: 20,
        ..Limits::default()
    })
    .await;
    slow(&rig, 10_000, 10 * SECOND);
    for n in 0..500 {
        send_many(&rig, &format!("{n}.bulk.example"), 3).await;
    }
    // More than the places that are kept.
    for n in 0..60 {
        send(&rig, &format!("{n}.high.example"), Priority::High).await;
    }
    tokio::time::sleep(120 * SECOND).await;
    let deliveries = rig.relay.deliveries();
    let of_high = |d: &&slimta_core::relay::Delivery| d.message.priority == Priority::High;
    assert_eq!(deliveries.iter().filter(of_high).count(), 60);
    // Eighteen at a time, and no more than before.
    assert!((200..=260).contains(&deliveries.len()));
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_does_not_stand_behind_a_long_drain() {
    let (rig, _stop) = running(Limits {
        attempts_max: 20,
        ahead_factor: 2,
        ..Limits::default()
    })
    .await;
    slow(&rig, 10_000, 10 * SECOND);
    for n in 0..500 {
        send_many(&rig, &format!("{n}.bulk.example"), 3).await;
    }
    tokio::time::sleep(60 * SECOND).await;
    send(&rig, "fresh.example", Priority::Normal).await;
    tokio::time::sleep(40 * SECOND).await;
    assert_eq!(rig.relay.attempts("fresh.example"), 1);
    let drained = rig.relay.deliveries().len();
    assert!((150..=200).contains(&drained), "{drained}");
}

#[tokio::test(start_paused = true)]
async fn high_mail_is_next_where_bulk_stands_before_it() {
    let (rig, _stop) = running(Limits::default()).await;
    slow(&rig, 1000, 10 * SECOND);
    send_many(&rig, "bulk.example", 500).await;
    tokio::time::sleep(SECOND).await;
    send(&rig, "bulk.example", Priority::High).await;
    tokio::time::sleep(10 * SECOND).await;
    let deliveries = rig.relay.deliveries();
    let tried = |d: &slimta_core::relay::Delivery| d.message.priority == Priority::High;
    let place = deliveries.iter().position(tried);
    // Five attempts came first, and few begin with it when these end; thirteen
    // more were waiting.
    assert!(place.is_some_and(|place| place < 10), "{place:?}");
}

/// Sends more high mail than goes, for some minutes, after one message of low
/// priority; whether that was attempted.
async fn low_mail_passes(rig: &Rig, destination: &str) -> bool {
    for _ in 0..30 {
        send(rig, destination, Priority::High).await;
    }
    send(rig, destination, Priority::Low).await;
    for _ in 0..180 {
        for _ in 0..30 {
            send(rig, destination, Priority::High).await;
        }
        tokio::time::sleep(SECOND).await;
    }
    let deliveries = rig.relay.deliveries();
    let passed = deliveries
        .iter()
        .any(|d| d.message.priority == Priority::Low);
    assert!(!listed(rig).await.is_empty(), "there was time for all");
    passed
}

#[tokio::test(start_paused = true)]
async fn high_mail_without_end_keeps_no_other_waiting_for_ever() {
    let (rig, _stop) = running(sixty_a_minute()).await;
    slow(&rig, 100_000, SECOND);
    assert!(low_mail_passes(&rig, "busy.example").await);
    let (rig, _stop) = running(sixty_a_minute()).await;
    assert!(low_mail_passes(&rig, LIMITED).await);
}
