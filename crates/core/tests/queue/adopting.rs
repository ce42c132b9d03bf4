//! New settings while a queue runs.

use std::sync::Arc;
use std::time::Duration;

use slimta_core::queue::{Direct, Limits, Queue, Schedule};

use crate::limits::{LIMITED, running, send_many, sixty_a_minute};
use crate::rig::{Answer, Rig, Script, message};

const HOUR: Duration = Duration::from_secs(3600);

/// A queue as `rig`'s would be with these settings.
fn changed(rig: &Rig, relay: &Script, retry: &str, limits: Limits) -> Queue {
    let bus = Arc::new(Direct(relay.clone()));
    Queue::new(None, Some(bus), rig.storage.clone())
        .with_limits(limits)
        .with_retry_algorithm(retry.parse::<Schedule>().unwrap())
}

#[tokio::test(start_paused = true)]
async fn mail_that_waits_goes_the_new_way_at_its_next_attempt() {
    let (rig, _stop) = running(Limits::default()).await;
    let first = changed(&rig, &rig.relay, "1h..;until=9d", Limits::default());
    rig.queue.adopt(&first);
    rig.relay.then(Answer::Codes(vec![450]));
    send_many(&rig, "to.example", 1).await;
    tokio::time::sleep(HOUR / 2).await;
    assert_eq!(rig.relay.attempts("to.example"), 1);

    let other = Script::default();
    other.then(Answer::Codes(vec![450]));
    rig.queue
        .adopt(&changed(&rig, &other, "3h..;until=9d", Limits::default()));
    tokio::time::sleep(HOUR).await;
    // It came when it was due, by the old schedule, and waits by the new one.
    assert_eq!(rig.relay.attempts("to.example"), 1);
    assert_eq!(other.attempts("to.example"), 1);
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(other.attempts("to.example"), 1);
    tokio::time::sleep(HOUR).await;
    assert_eq!(other.attempts("to.example"), 2);
    assert!(rig.stored().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn limits_change_for_what_waits() {
    let (rig, _stop) = running(sixty_a_minute()).await;
    send_many(&rig, LIMITED, 200).await;
    let before = rig.relay.attempts(LIMITED);
    assert!(before < 100, "{before} attempts");
    rig.queue
        .adopt(&changed(&rig, &rig.relay, "none", Limits::default()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.relay.attempts(LIMITED), 200);
}

#[tokio::test]
async fn clones_made_before_keep_what_they_were_set_to_unless_they_adopt() {
    let rig = Rig::new().await;
    let before = rig.queue.clone();
    let patient = rig
        .queue
        .clone()
        .with_retry_algorithm(Schedule::server_default());
    rig.relay.then(Answer::Codes(vec![450]));
    let (work, _asking) = rig
        .request(vec![message("a@b.example", &["c@d.example"])])
        .await;
    before.adopt(&patient);
    work.run().await;
    let waiting = rig.stored().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].attempts, 1, "it would have been a notice else");
}
