//! What is kept of the attempts of a message.

use std::time::Duration;

use slimta_core::message::{PastKind, StoredMessage};

use crate::rig::{Answer, Rig, every, message};

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
    // Enough failures to reach it for the destination to be left alone.
    rig.relay.absent("example.org");
    for number in 0..8 {
        let to = format!("{number}@example.org");
        rig.enqueue(message("from@example.com", &[&to])).await;
    }
    let stored = rig.stored().await;
    let kinds: Vec<_> = stored
        .iter()
        .map(|message| message.history.entries[0].kind)
        .collect();
    let tried = |kind: &&PastKind| **kind == PastKind::Tried;
    assert_eq!(kinds.iter().filter(tried).count(), 5, "{kinds:?}");
    for message in &stored {
        let past = &message.history.entries[0];
        let says_so = past.response.text.starts_with("Not tried");
        assert_eq!(says_so, past.kind != PastKind::Tried, "{past:?}");
    }
}
