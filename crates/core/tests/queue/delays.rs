//! What the sender hears of a message that waits for long.

use std::time::Duration;

use slimta_core::message::{Message, Notify};
use slimta_core::queue::Schedule;

use crate::rig::{Answer, Rig, message};

const HOUR: Duration = Duration::from_secs(3600);

/// Enqueues a message and lets it fail each hour; gives how many messages are
/// stored after each failure.
async fn fails_each_hour(rig: &Rig, message: Message, hours: usize) -> Vec<usize> {
    rig.relay.then(Answer::Codes(vec![450, 450]));
    rig.enqueue(message).await;
    let mut counts = vec![rig.stored().await.len()];
    for _ in 0..hours {
        tokio::time::sleep(HOUR).await;
        rig.relay.then(Answer::Codes(vec![450, 450]));
        assert!(rig.retry().await);
        counts.push(rig.stored().await.len());
        // A notice is due at once, and is delivered.
        rig.retry().await;
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn the_sender_is_told_once_that_its_message_is_late() {
    let rig = Rig::hourly(4 * HOUR).await;
    let late = message("from@example.com", &["a@example.org", "b@example.org"]);
    let counts = fails_each_hour(&rig, late, 8).await;
    assert_eq!(counts, [1, 1, 1, 1, 2, 1, 1, 1, 1]);
    let told = |name: &String| name.starts_with("DelayTold");
    assert_eq!(rig.events().iter().filter(|name| told(name)).count(), 1);
    let deliveries = rig.relay.deliveries();
    let notices = deliveries
        .iter()
        .filter(|d| d.message.envelope.sender.is_null());
    let notices: Vec<_> = notices.collect();
    assert_eq!(notices.len(), 1);
    let text = String::from_utf8(notices[0].content.to_vec()).unwrap();
    let is_there = |line: &str| text.contains(&format!("\r\n{line}\r\n"));
    for line in [
        "Subject: Delayed Mail (still being tried)",
        "Auto-Submitted: auto-replied",
        "Final-Recipient: rfc822; a@example.org",
        "Final-Recipient: rfc822; b@example.org",
        "Action: delayed",
        "Status: 4.0.0",
        "Will-Retry-Until: Thu, 16 Nov 2023 22:13:20 +0000",
        "Content-Type: text/rfc822-headers",
    ] {
        assert!(is_there(line), "{line}:\n{text}");
    }
    assert!(!text.contains("failed"), "{text}");
    assert!(rig.stored().await[0].delay_told);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_a_delay_who_does_not_want_to_know() {
    let rig = Rig::hourly(4 * HOUR).await;
    let notice = message("", &["a@example.org"]);
    assert_eq!(fails_each_hour(&rig, notice, 6).await, [1; 7]);
    let rig = Rig::hourly(4 * HOUR).await;
    let mut failures_only = message("from@example.com", &["a@example.org"]);
    failures_only.envelope.recipients[0].notify = Some(Notify {
        failure: true,
        ..Notify::NEVER
    });
    assert_eq!(fails_each_hour(&rig, failures_only, 6).await, [1; 7]);
    let rig = Rig::hourly(4 * HOUR).await;
    let mut never = message("from@example.com", &["a@example.org"]);
    never.envelope.recipients[0].notify = Some(Notify::NEVER);
    assert_eq!(fails_each_hour(&rig, never, 6).await, [1; 7]);
}

#[tokio::test(start_paused = true)]
async fn only_recipients_that_wait_and_want_it_are_told_of() {
    let rig = Rig::hourly(4 * HOUR).await;
    let mut late = message("from@example.com", &["a@example.org", "b@example.org"]);
    late.envelope.recipients[0].notify = Some(Notify {
        delay: true,
        ..Notify::NEVER
    });
    late.envelope.recipients[1].notify = Some(Notify::NEVER);
    fails_each_hour(&rig, late, 4).await;
    let deliveries = rig.relay.deliveries();
    let notice = deliveries.last().unwrap();
    assert!(notice.message.envelope.sender.is_null());
    let text = String::from_utf8(notice.content.to_vec()).unwrap();
    assert!(text.contains("Final-Recipient: rfc822; a@example.org"));
    assert!(!text.contains("b@example.org"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn who_is_told_of_a_failure_is_not_told_of_the_delay() {
    let mut rig = Rig::hourly(4 * HOUR).await;
    let schedule: Schedule = "5h".parse().unwrap();
    rig.queue.set_retry_algorithm(schedule);
    rig.relay.then(Answer::Codes(vec![450]));
    rig.enqueue(message("from@example.com", &["a@example.org"]))
        .await;
    tokio::time::sleep(5 * HOUR).await;
    rig.relay.then(Answer::Codes(vec![450]));
    assert!(rig.retry().await);
    let stored = rig.stored().await;
    assert_eq!(stored.len(), 1, "the bounce, and nothing else");
    assert!(stored[0].envelope.sender.is_null());
    assert!(
        !rig.events()
            .iter()
            .any(|name| name.starts_with("DelayTold"))
    );
}
