//! What the queue promises beside delivery: not to send before a time, and not
//! after one.

use std::sync::Arc;
use std::time::Duration;

use slimta_core::message::{ByMode, DeliverBy, FutureRelease, Message, Notify, OnSuccess, Way};
use slimta_core::queue::{Direct, Queue, Schedule, Why};
use slimta_core::storage::{Action, Filter, Page};

use crate::rig::{Answer, Rig, START, message};

const HOUR: Duration = Duration::from_secs(3600);

/// A message that is released an hour later.
fn held() -> Message {
    let mut message = message("from@example.com", &["a@example.org"]);
    message.envelope.release = Some(FutureRelease::For(3600));
    message
}

#[tokio::test(start_paused = true)]
async fn a_message_is_not_attempted_before_its_sender_wants_it_to_be() {
    let rig = Rig::new().await;
    assert!(rig.enqueue(held()).await.is_success());
    let stored = rig.stored().await.remove(0);
    assert_eq!(stored.due, START.after(HOUR));
    tokio::time::sleep(HOUR - Duration::from_millis(1)).await;
    assert!(!rig.retry().await);
    let listed = rig.session.load(stored.id).await.unwrap().unwrap();
    let why = rig.queue.why(&*rig.session, &listed);
    assert_eq!(why, Why::NotReleased(stored.due));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(rig.retry().await);
    assert_eq!(rig.relay.attempts("example.org"), 1);
    assert!(rig.stored().await.is_empty());
}

/// Another manager, or the next life of this one, knows it from the storage.
#[tokio::test(start_paused = true)]
async fn another_queue_on_the_same_storage_keeps_the_promise() {
    let rig = Rig::store_only().await;
    rig.enqueue(held()).await;
    let relay: Arc<_> = Arc::new(Direct(rig.relay.clone()));
    let other = Queue::new(None, Some(relay), rig.storage.clone()).with_world(rig.world.clone());
    assert!(other.retry().await.unwrap().is_none());
    tokio::time::sleep(HOUR).await;
    other.retry().await.unwrap().unwrap().run().await;
    assert_eq!(rig.relay.attempts("example.org"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_held_message_counts_from_its_release() {
    let mut rig = Rig::new().await;
    let schedule: Schedule = "10m..;until=30m".parse().unwrap();
    rig.queue = rig
        .queue
        .clone()
        .with_retry_algorithm(schedule)
        .with_delay_notice(Some(HOUR / 2));
    rig.enqueue(held()).await;
    tokio::time::sleep(HOUR).await;
    let mut attempts = 0;
    while rig
        .stored()
        .await
        .iter()
        .any(|m| !m.envelope.sender.is_null())
    {
        rig.relay.then(Answer::Codes(vec![450]));
        if rig.retry().await {
            attempts += 1;
        }
        tokio::time::sleep(10 * HOUR / 60).await;
    }
    // At once, and after 10, 20 and 30 minutes.
    assert_eq!(attempts, 4);
    assert!(rig.retry().await);
    let notice = rig.relay.deliveries().pop().unwrap();
    let text = String::from_utf8(notice.content.to_vec()).unwrap();
    assert!(
        text.contains("\r\nFuture-Release-Request: for;3600\r\n"),
        "{text}"
    );
    assert!(text.contains("\r\nAction: failed\r\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn another_way_is_no_earlier_time_but_an_operator_may_name_one() {
    let rig = Rig::new().await;
    rig.enqueue(held()).await;
    let way: Way = "other.example".parse().unwrap();
    let (all, page) = (Filter::default(), Page::first(10));
    let reroute = Action::Reroute(way, rig.session.now());
    rig.session.act(&all, page, &reroute).await.unwrap();
    let stored = rig.stored().await.remove(0);
    assert_eq!(
        (stored.destination.as_str(), stored.due),
        ("other.example", START.after(HOUR))
    );
    assert!(!rig.retry().await);
    let due = Action::SetDue(rig.session.now());
    rig.session.act(&all, page, &due).await.unwrap();
    assert!(rig.retry().await);
    assert_eq!(rig.relay.attempts("other.example"), 1);
}

/// The contents of the only notice that was handed on.
fn notice(rig: &Rig) -> String {
    let deliveries = rig.relay.deliveries().into_iter();
    let mut notices = deliveries.filter(|d| d.message.envelope.sender.is_null());
    let notice = notices.next().unwrap();
    assert!(notices.next().is_none(), "one notice");
    String::from_utf8(notice.content.to_vec()).unwrap()
}

/// A message that is to be delivered within so many seconds.
fn urgent(seconds: i64, mode: ByMode) -> Message {
    let mut message = message("from@example.com", &["a@example.org"]);
    message.envelope.deliver_by = Some(DeliverBy::within(seconds, mode, false, START));
    message
}

#[tokio::test(start_paused = true)]
async fn what_is_too_late_goes_back_at_its_time_and_is_not_tried_again() {
    let rig = Rig::hourly(2 * HOUR).await;
    rig.relay.then(Answer::Codes(vec![450]));
    rig.enqueue(urgent(5400, ByMode::Return)).await;
    let stored = rig.stored().await.remove(0);
    let end = START.after(HOUR + HOUR / 2);
    assert_eq!(rig.queue.gives_up_at(&stored), Some(end));
    tokio::time::sleep(HOUR).await;
    rig.relay.then(Answer::Codes(vec![451]));
    assert!(rig.retry().await);
    assert_eq!(rig.stored().await[0].due, end);
    tokio::time::sleep(HOUR / 2).await;
    assert!(rig.retry().await);
    assert_eq!(rig.relay.attempts("example.org"), 2);
    rig.retry().await;
    let text = notice(&rig);
    for line in [
        "Deliver-By-Date: Tue, 14 Nov 2023 23:43:20 +0000",
        "Action: failed",
        "Status: 5.4.7",
    ] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}:\n{text}");
    }
    assert!(text.contains("451 said the next hop"), "{text}");
    assert!(rig.stored().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_wants_to_hear_of_a_delay_at_a_time_hears_then_and_once() {
    let rig = Rig::hourly(2 * HOUR).await;
    rig.relay.then(Answer::Codes(vec![450]));
    rig.enqueue(urgent(3 * 3600 + 60, ByMode::Notify)).await;
    let mut told = Vec::new();
    for minute in 1..=6 * 60 {
        tokio::time::sleep(HOUR / 60).await;
        if rig.stored().await[0].due <= rig.session.now() {
            rig.relay.then(Answer::Codes(vec![450]));
            rig.retry().await;
        }
        // A notice gets through.
        rig.retry().await;
        let events = rig.events();
        let count = events.iter().filter(|name| name.starts_with("DelayTold"));
        if count.count() > told.len() {
            told.push(minute);
        }
    }
    assert_eq!(told, [3 * 60 + 1]);
    let text = notice(&rig);
    for line in [
        "Action: delayed",
        "Status: 4.4.7",
        "Will-Retry-Until: Thu, 16 Nov 2023 22:13:20 +0000",
    ] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}:\n{text}");
    }
    assert_eq!(rig.stored().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_names_a_time_hears_where_nobody_heeds_it_any_more() {
    let rig = Rig::new().await;
    rig.relay.on_success(OnSuccess::Traced);
    rig.enqueue(urgent(60, ByMode::Notify)).await;
    rig.retry().await;
    assert!(notice(&rig).contains("\r\nAction: relayed\r\n"));
    // Unless it wants to hear of nothing.
    let rig = Rig::new().await;
    rig.relay.on_success(OnSuccess::Traced);
    let mut silent = urgent(60, ByMode::Notify);
    silent.envelope.recipients[0].notify = Some(Notify::NEVER);
    rig.enqueue(silent).await;
    assert!(!rig.retry().await);
}
