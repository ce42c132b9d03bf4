//! The nine functions of the seed, and the ancestor's scenarios.

use std::sync::Arc;
use std::time::Duration;

use slimta_core::bus;
use slimta_core::message::{Report, ReversePath};
use slimta_core::queue::{QueueError, Tried};
use slimta_core::relay::Delivery;
use slimta_core::storage::{Session, State};

use crate::rig::{Answer, Rig, Script, every, message};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn store_only() {
    let rig = Rig::store_only().await;
    let response = rig
        .enqueue(message("from@example.com", &["to@example.org"]))
        .await;
    let stored = rig.stored().await;
    let id = stored[0].id.to_string();
    assert_eq!(
        response.to_string(),
        format!("250 2.6.0 Message queued as {id}")
    );
    assert_eq!(response.data, Some(id));
    let content = rig.session.contents(stored[0].id).await.unwrap().unwrap();
    assert_eq!(content, message("", &[]).content);
    assert_eq!(rig.states().await, [State::Active]);
    assert!(matches!(rig.queue.retry().await, Err(QueueError::NoRelay)));
}

#[tokio::test(start_paused = true)]
async fn store_and_relay() {
    let rig = Rig::new().await;
    let (work, asking) = rig
        .request(vec![message("from@example.com", &["to@example.org"])])
        .await;
    let work = work.store().await;
    // The edge is answered before the relay is asked.
    assert_eq!(asking.await.unwrap().unwrap()[0].code.get(), 250);
    assert!(rig.relay.deliveries().is_empty());
    work.attempt().await;
    assert_eq!(rig.relay.deliveries().len(), 1);
    assert!(rig.stored().await.is_empty());
    assert_eq!(rig.events(), ["Received", "Attempted", "Delivered"]);
}

#[tokio::test(start_paused = true)]
async fn refused_for_good_bounces_to_the_sender() {
    let rig = Rig::new().await;
    rig.relay.then(Answer::Codes(vec![550]));
    rig.enqueue(message("from@example.com", &["to@example.org"]))
        .await;
    let stored = rig.stored().await;
    assert_eq!(stored.len(), 1, "the original is gone, the bounce waits");
    assert_eq!(stored[0].envelope.sender, ReversePath::Null);
    assert_eq!(
        stored[0].envelope.recipients[0].address.as_str(),
        "from@example.com"
    );
    assert!(rig.retry().await, "the bounce is due at once");
    assert!(rig.stored().await.is_empty());
    assert!(!rig.retry().await);
}

#[tokio::test(start_paused = true)]
async fn by_default_the_first_transient_failure_bounces() {
    let rig = Rig::new().await;
    rig.relay.then(Answer::Codes(vec![450]));
    rig.enqueue(message("from@example.com", &["to@example.org"]))
        .await;
    assert_eq!(rig.stored().await[0].envelope.sender, ReversePath::Null);
}

#[tokio::test(start_paused = true)]
async fn deferred_waits_and_is_retried_when_due() {
    let mut rig = Rig::new().await;
    rig.queue.set_retry_algorithm(every(MINUTE, &rig.world));
    rig.relay.then(Answer::Codes(vec![450]));
    rig.enqueue(message("from@example.com", &["to@example.org"]))
        .await;
    let stored = rig.stored().await;
    assert_eq!(
        (stored[0].attempts, rig.states().await),
        (1, vec![State::Deferred])
    );
    assert_eq!(stored[0].due, rig.world.now().after(MINUTE));
    assert!(
        stored[0]
            .last_response
            .as_ref()
            .is_some_and(|r| r.code.get() == 450)
    );
    assert!(!rig.retry().await, "nothing is due yet");
    tokio::time::advance(MINUTE).await;
    assert!(rig.retry().await);
    assert!(rig.stored().await.is_empty());
    assert_eq!(rig.relay.deliveries()[1].message.attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_time_in_the_past_is_due_at_once() {
    let mut rig = Rig::new().await;
    rig.queue
        .set_retry_algorithm(|_: &_, _: &_| Some(crate::rig::START));
    tokio::time::advance(MINUTE).await;
    rig.relay.then(Answer::Codes(vec![450]));
    rig.enqueue(message("from@example.com", &["to@example.org"]))
        .await;
    assert!(rig.retry().await);
    assert!(rig.stored().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn accepted_deferred_and_refused_in_one_transaction() {
    let mut rig = Rig::new().await;
    rig.queue.set_retry_algorithm(every(MINUTE, &rig.world));
    rig.relay.then(Answer::Codes(vec![250, 450, 550]));
    let three = ["a@example.org", "b@example.org", "c@example.org"];
    rig.enqueue(message("from@example.com", &three)).await;
    let stored = rig.stored().await;
    // Made in the same millisecond, the two have no order.
    let (bounces, originals): (Vec<_>, Vec<_>) =
        stored.iter().partition(|m| m.envelope.sender.is_null());
    assert_eq!((bounces.len(), originals.len()), (1, 1));
    let waiting: Vec<_> = originals[0]
        .envelope
        .recipients
        .iter()
        .map(|r| r.address.as_str())
        .collect();
    assert_eq!(waiting, ["b@example.org"]);
    let told = &bounces[0].envelope.recipients;
    assert_eq!(told[0].address.as_str(), "from@example.com");
    assert_eq!(
        rig.events(),
        [
            "Received",
            "Attempted",
            "Delivered",
            "Deferred",
            "Bounced",
            "Received"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_bounce_is_told_to_nobody() {
    let rig = Rig::new().await;
    rig.relay.then(Answer::Codes(vec![550]));
    rig.enqueue(message("", &["to@example.org"])).await;
    assert!(rig.stored().await.is_empty());
    assert_eq!(rig.events().last().unwrap(), "DoubleBounced");
}

#[tokio::test(start_paused = true)]
async fn destinations_are_split_and_share_the_submission() {
    let rig = Rig::store_only().await;
    let to = ["a@example.org", "b@example.net", "c@Example.ORG"];
    let response = rig.enqueue(message("from@example.com", &to)).await;
    let mut stored = rig.stored().await;
    // Ids of one millisecond have no order.
    stored.sort_by(|a, b| b.destination.cmp(&a.destination));
    let destinations: Vec<_> = stored.iter().map(|m| m.destination.as_str()).collect();
    assert_eq!(destinations, ["example.org", "example.net"]);
    assert_eq!(stored[0].envelope.recipients.len(), 2);
    assert!(
        stored
            .iter()
            .all(|m| Some(m.submission.to_string()) == response.data)
    );
    assert_eq!(rig.session.stats().await.unwrap().bytes, stored[0].size);
}

#[tokio::test(start_paused = true)]
async fn each_message_of_a_request_has_its_own_response() {
    let rig = Rig::new().await;
    let messages = vec![
        message("from@example.com", &["to@example.org"]),
        message("from@example.com", &[]),
        message("from@example.com", &["to@example.net"]),
    ];
    let (work, asking) = rig.request(messages).await;
    work.run().await;
    let codes: Vec<_> = asking
        .await
        .unwrap()
        .unwrap()
        .iter()
        .map(|r| r.code.get())
        .collect();
    assert_eq!(codes, [250, 554, 250]);
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_hangs_up_loses_nothing() {
    let rig = Rig::new().await;
    let (work, asking) = rig
        .request(vec![message("from@example.com", &["to@example.org"])])
        .await;
    asking.abort();
    work.run().await;
    assert_eq!(rig.relay.deliveries().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_broken_relay_bus_is_a_failure_for_now() {
    let (server, client) = bus::local::<Delivery, Report>(1);
    drop(server);
    let mut rig = Rig::over(Some(Arc::new(client)), Script::default()).await;
    rig.queue.set_retry_algorithm(every(MINUTE, &rig.world));
    let response = rig
        .enqueue(message("from@example.com", &["to@example.org"]))
        .await;
    assert_eq!(response.code.get(), 250);
    assert_eq!(rig.states().await, [State::Deferred]);
}

#[tokio::test(start_paused = true)]
async fn try_relay_reports_and_records_nothing() {
    let rig = Rig::new().await;
    let only_stored = rig
        .request(vec![message("from@example.com", &["to@example.org"])])
        .await;
    drop(only_stored.0.store().await);
    tokio::time::advance(3 * MINUTE).await;
    let before = rig.stored().await;
    let content = rig.session.contents(before[0].id).await.unwrap().unwrap();
    rig.relay
        .then(Answer::Codes(vec![550]))
        .then(Answer::Codes(vec![250]));
    for (session, code) in [(None, 550), (Some(&rig.session), 250)] {
        let tried = rig
            .queue
            .try_relay(&before[0], &content, session)
            .await
            .unwrap();
        let Tried::Report(report) = tried else {
            panic!("locked")
        };
        assert_eq!(report.responses[0].code.get(), code);
    }
    assert_eq!(rig.stored().await, before);
    assert!(!rig.is_leased().await, "the lock was given back");
    let held = rig.session.lock(before[0].id, MINUTE).await.unwrap();
    let tried = rig
        .queue
        .try_relay(&before[0], &content, Some(&rig.session))
        .await;
    assert_eq!(tried, Ok(Tried::Locked));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn deferred_messages_are_those_that_wait_up_to_a_time() {
    let mut rig = Rig::new().await;
    rig.queue.set_retry_algorithm(every(MINUTE, &rig.world));
    rig.relay.then(Answer::Codes(vec![450]));
    rig.enqueue(message("from@example.com", &["to@example.org"]))
        .await;
    let waiting = async |until| {
        let pages = rig.queue.get_deferred_messages(&rig.session, until);
        pages.collect().await.unwrap().messages.len()
    };
    assert_eq!(waiting(None).await, 1);
    assert_eq!(waiting(Some(rig.world.now())).await, 0);
    assert_eq!(waiting(Some(rig.world.now().after(MINUTE))).await, 1);
}

#[test]
fn a_lock_that_would_never_hold_is_refused() {
    let world = slimta_core::world::World::system();
    let storage = Arc::new(slimta_core::storage::Memory::new(world));
    let mut queue = slimta_core::queue::Queue::new(None, None, storage);
    assert!(queue.set_lock_duration(Duration::ZERO).is_err());
    assert!(queue.set_lock_duration(MINUTE).is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_operator_bounces_a_message() {
    let rig = Rig::store_only().await;
    rig.enqueue(message("from@example.com", &["to@example.org"]))
        .await;
    let id = rig.stored().await[0].id;
    let response = slimta_core::message::Response::permanent(7, 0, "given up by the operator");
    let session: &Arc<dyn Session> = &rig.session;
    let bounced = rig.queue.bounce(session, id, response).await.unwrap();
    assert_eq!(bounced, slimta_core::queue::Bounced::Done);
    let stored = rig.stored().await;
    assert_eq!(
        (stored.len(), &stored[0].envelope.sender),
        (1, &ReversePath::Null)
    );
}
