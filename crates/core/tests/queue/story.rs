//! What is kept of the attempts of a message.

use std::time::Duration;

use slimta_core::message::{Past, PastKind, StoredMessage};

use crate::rig::{Answer, Rig, every, message};
use crate::running::{send, start};

const MINUTE: Duration = Duration::from_secs(60);

async fn rig() -> Rig {
    let mut rig = Rig::new().await;
    let each_minute = every(MINUTE, &rig.world);
    rig.queue = rig.queue.clone().with_retry_algorithm(each_minute);
    rig
}

/// What the attempts of a message came to: for how many, how many still wait.
fn counts(message: &StoredMessage) -> Vec<(u32, u32)> {
    let entries = message.history.entries.iter();
    entries
        .map(|past| (past.recipients, past.waiting))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_message_keeps_what_became_of_each_attempt() {
    let rig = rig().await;
    rig.relay.then(Answer::Codes(vec![250, 450, 451]));
    let to = ["a@example.org", "b@example.org", "c@example.org"];
    rig.enqueue(message("from@example.com", &to)).await;
    tokio::time::sleep(MINUTE).await;
    rig.relay.then(Answer::Codes(vec![250, 452]));
    let before = rig.world.now();
    assert!(rig.retry().await);
    let stored = rig.stored().await.remove(0);
    assert_eq!(counts(&stored), [(3, 2), (2, 1)]);
    let last = stored.history.entries.last().unwrap();
    assert_eq!(last.at, before);
    assert_eq!(last.kind, PastKind::Tried);
    assert_eq!(last.response.to_string(), "452 said the next hop");
    assert_eq!(last.remote.as_deref(), Some("mx.example.org"));
}

#[tokio::test(start_paused = true)]
async fn attempts_that_were_put_off_are_told_apart_and_joined() {
    let rig = rig().await;
    rig.relay.absent("absent.example");
    let (_stop, _running) = start(&rig);
    for _ in 0..50 {
        send(&rig, "to@absent.example").await;
    }
    tokio::time::sleep(30 * MINUTE).await;
    let stored = rig.stored().await;
    assert_eq!(stored.len(), 50);
    let (mut tried, mut longest) = (0, 0);
    for message in &stored {
        let entries = &message.history.entries;
        let is_put_off = |past: &Past| past.kind != PastKind::Tried;
        assert!(
            !entries.windows(2).any(|two| two.iter().all(is_put_off)),
            "{entries:?}"
        );
        for past in entries {
            let says_so = past.response.text.starts_with("Not tried");
            assert_eq!(says_so, is_put_off(past), "{past:?}");
            tried += usize::from(!is_put_off(past));
            longest = longest.max(past.times());
        }
        let told: u32 = entries.iter().map(Past::times).sum();
        assert_eq!(told + message.history.earlier, message.attempts);
    }
    assert_eq!(tried, rig.relay.attempts("absent.example"));
    assert!(longest >= 5, "{longest} in a row");
}
