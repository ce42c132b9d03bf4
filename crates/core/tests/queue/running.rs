//! [`Queue::run`]: what a server relies on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use slimta_core::bus::Client as _;
use slimta_core::message::{Address, Content, Recipient, Response};
use slimta_core::queue::{Limits, Schedule, Why};
use slimta_core::storage::{Action, Filter, Page};
use slimta_core::world::World;
use tokio::sync::oneshot;

use crate::rig::{Answer, Rig, START, every, message};

const HOUR: Duration = Duration::from_secs(3600);

/// Starts the queue; drop or send to shut it down.
pub(crate) fn start(rig: &Rig) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let queue = rig.queue.clone();
    let running = tokio::spawn(async move {
        let shutdown = async { drop(stopped.await) };
        queue.run(shutdown).await.unwrap();
    });
    (stop, running)
}

pub(crate) async fn send(rig: &Rig, to: &str) -> Response {
    let messages = vec![message("from@example.com", &[to])];
    rig.edge.send(messages).await.unwrap().remove(0)
}

/// Waits, in virtual time, until the store is empty.
async fn drained(rig: &Rig) {
    let emptied = async {
        while !rig.stored().await.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(24 * HOUR, emptied)
        .await
        .expect("the queue never became empty");
}

#[tokio::test(start_paused = true)]
async fn mail_is_relayed_retried_and_bounced_on_its_own() {
    let mut rig = Rig::new().await;
    let schedule: Schedule = "1m,1h".parse().unwrap();
    rig.queue.set_retry_algorithm(schedule);
    for _ in 0..3 {
        rig.relay.then(Answer::Codes(vec![450]));
    }
    let (_stop, _running) = start(&rig);
    send(&rig, "to@example.org").await;
    drained(&rig).await;
    let deliveries = rig.relay.deliveries();
    // Three failures, and the bounce of what was given up.
    assert_eq!(deliveries.len(), 4);
    assert_eq!(deliveries[3].message.destination.as_str(), "example.com");
    assert!(rig.world.now().since(crate::rig::START) >= HOUR);
}

#[tokio::test(start_paused = true)]
async fn a_hung_destination_fills_its_lane_and_not_the_memory() {
    let rig = Rig::new().await;
    for _ in 0..300 {
        rig.relay.then(Answer::Hang);
    }
    let (_stop, _running) = start(&rig);
    for _ in 0..300 {
        send(&rig, "to@hung.example").await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let listed = rig.queue.get_all_messages(&rig.session).collect().await;
    let messages = listed.unwrap().messages;
    assert_eq!(messages.len(), 300);
    let leased = messages.iter().filter(|m| m.lease.is_some()).count();
    // Five attempts at once, and four times as many leased ahead.
    assert!((5..=25).contains(&leased), "{leased} are leased");
}

#[tokio::test(start_paused = true)]
async fn large_contents_are_bounded_in_memory_and_small_mail_passes_them() {
    let mut rig = Rig::new().await;
    rig.queue = rig.queue.clone().with_limits(Limits {
        contents_memory_max: 8 << 20,
        ..Limits::default()
    });
    for _ in 0..40 {
        rig.relay.then(Answer::Hang);
    }
    let (_stop, _running) = start(&rig);
    let mut large = message("from@example.com", &[]);
    large.content = Content::new(vec![b'x'; 1 << 20]);
    for n in 0..40 {
        let to: Address = format!("to@d{}.example", n % 8).parse().unwrap();
        large.envelope.recipients = vec![Recipient::new(to)];
        rig.edge.send(vec![large.clone()]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let hung = rig.relay.deliveries();
    assert!(hung.len() <= 8, "{} MiB are in memory", hung.len());
    let to_first = rig.relay.attempts("d0.example");
    assert!((1..=2).contains(&to_first), "{to_first} to one destination");
    send(&rig, "to@small.example").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.relay.attempts("small.example"), 1);
}

#[tokio::test(start_paused = true)]
async fn large_contents_count_until_their_result_is_recorded() {
    let mut rig = Rig::new().await;
    rig.queue = rig.queue.clone().with_limits(Limits {
        contents_memory_max: 8 << 20,
        ..Limits::default()
    });
    rig.trouble.settles.store(u32::MAX, Ordering::Relaxed);
    let (_stop, _running) = start(&rig);
    let mut large = message("from@example.com", &[]);
    large.content = Content::new(vec![b'x'; 1 << 20]);
    for n in 0..40 {
        let to: Address = format!("to@d{}.example", n % 8).parse().unwrap();
        large.envelope.recipients = vec![Recipient::new(to)];
        rig.edge.send(vec![large.clone()]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let taken = rig.relay.deliveries().len();
    assert!((1..=8).contains(&taken), "{taken} MiB are in memory");
    rig.trouble.settles.store(0, Ordering::Relaxed);
    drained(&rig).await;
    assert_eq!(rig.relay.deliveries().len(), 40);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_take_long_keep_nobody_from_handing_mail_in() {
    let mut rig = Rig::new().await;
    rig.queue = rig.queue.clone().with_limits(Limits {
        intakes_max: 5,
        ..Limits::default()
    });
    for _ in 0..20 {
        rig.relay.then(Answer::Hang);
    }
    let (_stop, _running) = start(&rig);
    for n in 0..20 {
        let to = format!("to@d{n}.example");
        let answered = tokio::time::timeout(HOUR / 60, send(&rig, &to)).await;
        assert!(answered.is_ok(), "message {n} was not taken");
    }
    assert_eq!(rig.relay.deliveries().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_hung_destination_keeps_no_other_waiting() {
    let rig = Rig::new().await;
    for _ in 0..5 {
        rig.relay.then(Answer::Hang);
    }
    let (_stop, _running) = start(&rig);
    for _ in 0..100 {
        send(&rig, "to@hung.example").await;
    }
    send(&rig, "to@lively.example").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let deliveries = rig.relay.deliveries();
    let lively =
        |d: &slimta_core::relay::Delivery| d.message.destination.as_str() == "lively.example";
    assert!(deliveries.iter().any(lively));
    // Five attempts at once is where a new destination begins.
    assert_eq!(deliveries.iter().filter(|d| !lively(d)).count(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_absent_destination_is_probed_and_not_asked_by_every_message() {
    let mut rig = Rig::new().await;
    let schedule: Schedule = "1m,5m,15m..;until=5h".parse().unwrap();
    rig.queue.set_retry_algorithm(schedule);
    rig.relay.absent("absent.example");
    let (_stop, _running) = start(&rig);
    for _ in 0..300 {
        send(&rig, "to@absent.example").await;
    }
    send(&rig, "to@lively.example").await;
    tokio::time::sleep(6 * HOUR).await;
    assert_eq!(rig.stored().await.len(), 0);
    assert_eq!(rig.relay.attempts("lively.example"), 1);
    assert_eq!(
        rig.relay.attempts("example.com"),
        300,
        "each sender is told"
    );
    // Five, and then every ten minutes after the first some.
    let attempts = rig.relay.attempts("absent.example");
    assert!((15..=40).contains(&attempts), "{attempts} attempts");
}

#[tokio::test(start_paused = true)]
async fn a_message_says_that_its_destination_is_left_alone_for_longer_than_it_waits() {
    let mut rig = Rig::new().await;
    rig.queue = rig.queue.with_limits(Limits {
        backoff_min: HOUR,
        backoff_max: HOUR,
        ..Limits::default()
    });
    rig.queue
        .set_retry_algorithm("1m..;until=5h".parse::<Schedule>().unwrap());
    rig.relay.absent("absent.example");
    let (_stop, _running) = start(&rig);
    for _ in 0..5 {
        send(&rig, "to@absent.example").await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let pages = rig.queue.get_all_messages(&rig.session);
    let listed = pages.collect().await.unwrap().messages;
    let why = rig.queue.why(&*rig.session, &listed[0]);
    let Why::Paused(left, last) = why else {
        panic!("{why:?}");
    };
    assert!(left > HOUR - Duration::from_secs(10), "{left:?}");
    assert!(last.to_string().contains("No answer"), "{last}");
    let known = rig.queue.destination(&listed[0].message.destination);
    assert_eq!(known.unwrap().last_failure, Some(last));
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_comes_back_gets_its_mail_by_its_schedule() {
    let mut rig = Rig::new().await;
    rig.queue.set_retry_algorithm(every(HOUR / 6, &rig.world));
    rig.relay.absent("absent.example");
    let (_stop, _running) = start(&rig);
    for _ in 0..300 {
        send(&rig, "to@absent.example").await;
    }
    tokio::time::sleep(HOUR).await;
    assert_eq!(rig.stored().await.len(), 300);
    rig.relay.present("absent.example");
    tokio::time::sleep(HOUR / 2).await;
    assert_eq!(rig.stored().await.len(), 0);
    let events = rig.events();
    let turns = |name: &str| events.iter().filter(|e| *e == name).count();
    assert!(turns("Paused") >= 5, "once, and after each probe");
    assert_eq!(turns("Resumed"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_for_an_absent_destination_is_put_off_for_long_until_it_is_back() {
    let mut rig = Rig::new().await;
    rig.queue.set_retry_algorithm(every(HOUR / 60, &rig.world));
    rig.relay.absent("absent.example");
    let (_stop, _running) = start(&rig);
    for _ in 0..1000 {
        send(&rig, "to@absent.example").await;
    }
    tokio::time::sleep(10 * HOUR).await;
    assert_eq!(rig.stored().await.len(), 1000);
    let deferred = rig.events().iter().filter(|e| *e == "Deferred").count();
    // By its schedule each message would have been put off 600 times.
    let at_most = 1000 * 10 * 2 + 100 * 10 * 7;
    assert!((10_000..at_most).contains(&deferred), "{deferred}");

    rig.relay.present("absent.example");
    tokio::time::sleep(HOUR / 3).await;
    assert_eq!(rig.stored().await.len(), 0, "a probe, and then all of it");
}

#[tokio::test(start_paused = true)]
async fn who_made_mail_due_need_not_wait_for_the_next_probe() {
    let mut rig = Rig::new().await;
    rig.queue.set_retry_algorithm(every(HOUR, &rig.world));
    rig.relay.absent("absent.example");
    let (_stop, _running) = start(&rig);
    for _ in 0..10 {
        send(&rig, "to@absent.example").await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.relay.present("absent.example");
    rig.queue.end_pauses(None);
    let (all, now) = (Filter::default(), Action::SetDue(rig.world.now()));
    rig.session.act(&all, Page::first(10), &now).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.stored().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_long_backlog_flows_through_bounded_memory() {
    let rig = Rig::new().await;
    let (_stop, _running) = start(&rig);
    for n in 0..2000 {
        send(&rig, &format!("to{n}@d{}.example", n % 7)).await;
    }
    drained(&rig).await;
    assert_eq!(rig.relay.deliveries().len(), 2000);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_attempts_finish() {
    let rig = Rig::new().await;
    rig.relay
        .then(Answer::Slow(Duration::from_secs(20), vec![250]));
    let (stop, running) = start(&rig);
    send(&rig, "to@example.org").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.send(()).unwrap();
    running.await.unwrap();
    assert!(rig.stored().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_hands_back_what_does_not_finish() {
    let mut rig = Rig::new().await;
    rig.queue = rig.queue.clone().with_limits(Limits {
        drain_time_max: Duration::from_secs(10),
        ..Limits::default()
    });
    rig.relay.then(Answer::Hang);
    let (stop, running) = start(&rig);
    send(&rig, "to@example.org").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(rig.stored().await.len(), 1);
    assert!(!rig.is_leased().await);
    assert_eq!(rig.stored().await[0].attempts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_stores_what_is_left_in_the_bus() {
    let rig = Rig::store_only().await;
    let edge = rig.edge.clone();
    let asking = tokio::spawn(async move {
        edge.send(vec![message("from@example.com", &["to@example.org"])])
            .await
    });
    tokio::task::yield_now().await;
    let (stop, running) = start(&rig);
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap()[0].code.get(), 250);
    assert_eq!(rig.stored().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_moves_no_due_time() {
    let day = Duration::from_secs(86_400);
    for wrong in [START.before(day), START.after(day)] {
        let mut rig = Rig::new().await;
        rig.queue = rig.queue.with_world(World::simulated(wrong, 7));
        rig.queue.set_retry_algorithm(Schedule::server_default());
        rig.relay.then(Answer::Codes(vec![451]));
        let (work, _asking) = rig
            .request(vec![message("from@example.com", &["to@example.org"])])
            .await;
        let work = work.store().await;
        assert_eq!(rig.stored().await[0].due, rig.world.now());
        work.attempt().await;
        let due = rig.stored().await[0].due;
        assert!(
            due > rig.world.now() && due <= rig.world.now().after(HOUR),
            "{due}"
        );
    }
}
