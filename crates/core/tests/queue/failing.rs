//! What the queue makes of a storage that fails.

use std::sync::atomic::Ordering;
use std::time::Duration;

use slimta_core::storage::StorageError;

use crate::rig::{Answer, Rig, message};

const LOCK: Duration = Duration::from_secs(120);

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_is_not_queued_and_its_neighbour_is() {
    let full = StorageError::Full("no room".to_owned());
    let gone = StorageError::Unavailable("out of reach".to_owned());
    let other = StorageError::Poisoned("a failed write".to_owned());
    let replies = [
        (full, "452 4.3.1 "),
        (gone, "451 4.3.0 "),
        (other, "450 4.3.0 "),
    ];
    for (error, reply) in replies {
        let rig = Rig::new().await;
        *rig.trouble.store.lock().unwrap() = Some(error);
        let new = || message("from@example.com", &["to@example.org"]);
        let (work, asking) = rig.request(vec![new(), new()]).await;
        work.run().await;
        let responses = asking.await.unwrap().unwrap();
        let said = responses[0].to_string();
        assert!(said.starts_with(reply), "{said}");
        assert_eq!(responses[1].code.get(), 250);
        assert_eq!(rig.relay.deliveries().len(), 1);
        assert!(rig.stored().await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_is_offered_until_it_is_recorded() {
    let rig = Rig::new().await;
    rig.trouble.settles.store(30, Ordering::Relaxed);
    rig.enqueue(message("from@example.com", &["to@example.org"]))
        .await;
    assert!(rig.stored().await.is_empty());
    assert!(!rig.retry().await);
    assert_eq!(rig.relay.deliveries().len(), 1, "nobody gets it twice");
    assert_eq!(rig.events(), ["Received", "Attempted", "Delivered"]);
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_told_when_its_lease_is_lost() {
    let rig = Rig::new().await;
    rig.trouble.renewals.store(true, Ordering::Relaxed);
    rig.relay.then(Answer::Slow(LOCK, vec![250]));
    let (work, _asking) = rig
        .request(vec![message("from@example.com", &["to@example.org"])])
        .await;
    let attempting = tokio::spawn(work.run());
    tokio::time::sleep(LOCK / 3 + Duration::from_secs(1)).await;
    let lease = rig.relay.deliveries()[0].lease.clone();
    // Long before its time: somebody else has the message now.
    assert!(!lease.is_alive());
    attempting.await.unwrap();
    assert!(!lease.is_alive());
}
