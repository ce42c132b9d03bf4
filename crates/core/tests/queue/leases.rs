//! Leases under attempts: kept while they work, respected when they are lost,
//! run out after a crash.

use std::time::Duration;

use slimta_core::storage::{State, Storage};

use crate::rig::{Answer, Rig, every, message};

const LOCK: Duration = Duration::from_secs(120);

#[tokio::test(start_paused = true)]
async fn dropped_work_is_a_crash_and_the_message_comes_back() {
    let rig = Rig::new().await;
    let (work, asking) = rig
        .request(vec![message("from@example.com", &["to@example.org"])])
        .await;
    drop(work.store().await);
    assert_eq!(asking.await.unwrap().unwrap()[0].code.get(), 250);
    assert!(!rig.retry().await, "leased until the lock ends");
    tokio::time::advance(LOCK + Duration::from_secs(1)).await;
    assert!(rig.retry().await);
    assert!(rig.stored().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_while_its_attempt_works() {
    let rig = Rig::new().await;
    rig.relay.then(Answer::Slow(10 * LOCK, vec![250]));
    let (work, _asking) = rig
        .request(vec![message("from@example.com", &["to@example.org"])])
        .await;
    let attempting = tokio::spawn(work.run());
    let other = rig.storage.connect().await.unwrap();
    for _ in 0..9 {
        tokio::time::sleep(LOCK).await;
        let id = rig.stored().await[0].id;
        assert_eq!(other.lock(id, LOCK).await.unwrap(), None);
        assert!(rig.relay.deliveries()[0].lease.is_alive());
    }
    attempting.await.unwrap();
    assert!(rig.stored().await.is_empty());
    assert_eq!(rig.relay.deliveries().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_changes_nothing_and_is_told() {
    let mut rig = Rig::new().await;
    rig.queue.set_retry_algorithm(every(LOCK, &rig.world));
    rig.relay.then(Answer::Slow(LOCK, vec![550]));
    let (work, _asking) = rig
        .request(vec![message("from@example.com", &["to@example.org"])])
        .await;
    let work = work.store().await;
    // Nobody renews while the work lies around; another takes the message.
    tokio::time::advance(LOCK + Duration::from_secs(1)).await;
    let other = rig.storage.connect().await.unwrap();
    let id = rig.stored().await[0].id;
    let taken = other.lock(id, 10 * LOCK).await.unwrap().unwrap();
    work.attempt().await;
    assert_eq!(rig.states().await, [State::Active], "no bounce, no change");
    assert_eq!(rig.stored().await.len(), 1);
    let settled = other.unlock(&taken.lease).await.unwrap();
    assert_eq!(settled, slimta_core::storage::Settled::Done);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_relay_is_a_failure_for_now_and_cuts_no_other_attempt() {
    let mut rig = Rig::new().await;
    rig.queue.set_retry_algorithm(every(LOCK, &rig.world));
    rig.relay
        .then(Answer::Slow(LOCK, vec![250]))
        .then(Answer::Panic);
    let to = ["a@example.org", "b@example.net"];
    let response = rig.enqueue(message("from@example.com", &to)).await;
    assert_eq!(response.code.get(), 250);
    let stored = rig.stored().await;
    assert_eq!(stored.len(), 1, "the other was delivered and recorded");
    assert_eq!(
        (stored[0].destination.as_str(), stored[0].attempts),
        ("example.net", 1)
    );
    assert_eq!(rig.states().await, [State::Deferred]);
}
