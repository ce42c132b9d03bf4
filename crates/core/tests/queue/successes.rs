//! What the sender hears of a message that arrives.

use slimta_core::message::{Message, Notify, OnSuccess, Priority};

use crate::rig::{Answer, Rig, every, message};

const SUCCESS: Notify = Notify {
    success: true,
    ..Notify::NEVER
};

/// To a and b, who asks to be told of success of both, and to c, who does not.
fn asks() -> Message {
    let to = ["a@example.org", "b@example.org", "c@example.org"];
    let mut message = message("from@example.com", &to);
    for recipient in &mut message.envelope.recipients[..2] {
        recipient.notify = Some(SUCCESS);
    }
    message
}

/// The texts of the notices that the relay was given.
fn notices(rig: &Rig) -> Vec<String> {
    let deliveries = rig.relay.deliveries();
    let notices = deliveries
        .iter()
        .filter(|d| d.message.envelope.sender.is_null());
    notices
        .map(|d| String::from_utf8(d.content.to_vec()).unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn who_asked_is_told_once_that_a_message_was_relayed() {
    let rig = Rig::new().await;
    rig.enqueue(asks()).await;
    assert!(rig.retry().await);
    assert!(!rig.retry().await, "nothing is left");
    let notices = notices(&rig);
    let [notice] = notices.as_slice() else {
        panic!("one report: {notices:?}");
    };
    for line in [
        "To: <from@example.com>",
        "Subject: Mail Relayed",
        "Auto-Submitted: auto-replied",
        "Final-Recipient: rfc822; a@example.org",
        "Final-Recipient: rfc822; b@example.org",
        "Action: relayed",
        "Status: 2.0.0",
        "Remote-MTA: dns; mx.example.org",
        "Content-Type: text/rfc822-headers",
    ] {
        assert!(
            notice.contains(&format!("\r\n{line}\r\n")),
            "{line}:\n{notice}"
        );
    }
    assert!(!notice.contains("c@example.org"), "{notice}");
    let events = rig.events();
    let told = |name: &&String| name.starts_with("SuccessTold");
    assert_eq!(events.iter().filter(told).count(), 1, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn delivery_is_told_as_delivery_and_not_told_twice() {
    let rig = Rig::new().await;
    rig.relay.on_success(OnSuccess::Delivered);
    rig.enqueue(asks()).await;
    rig.retry().await;
    assert_eq!(notices(&rig).len(), 1);
    assert!(notices(&rig)[0].contains("\r\nAction: delivered\r\n"));
    // The next hop tells: we do not.
    let rig = Rig::new().await;
    rig.relay.on_success(OnSuccess::PassedOn);
    rig.enqueue(asks()).await;
    assert!(!rig.retry().await);
    assert_eq!(notices(&rig).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_success_who_did_not_ask() {
    for from in ["from@example.com", ""] {
        let rig = Rig::new().await;
        let mut mail = message(from, &["a@example.org", "b@example.org"]);
        mail.envelope.recipients[1].notify = Some(match from {
            "" => SUCCESS,
            _ => Notify {
                failure: true,
                delay: true,
                ..Notify::NEVER
            },
        });
        rig.enqueue(mail).await;
        assert!(!rig.retry().await);
        assert_eq!(rig.relay.deliveries().len(), 1);
    }
}

/// One attempt is one event: who has it later is told of later, and the report
/// comes with the commit that takes the recipient out.
#[tokio::test(start_paused = true)]
async fn each_attempt_tells_of_those_whom_it_reached() {
    let mut rig = Rig::new().await;
    let soon = every(std::time::Duration::from_secs(60), &rig.world);
    rig.queue = rig.queue.clone().with_retry_algorithm(soon);
    rig.relay.then(Answer::Codes(vec![250, 450, 250]));
    rig.enqueue(asks()).await;
    assert_eq!(rig.stored().await.len(), 2, "what waits, and the report");
    rig.retry().await;
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    rig.retry().await;
    rig.retry().await;
    let notices = notices(&rig);
    assert_eq!(notices.len(), 2);
    let tells_of = |notice: &String| {
        let is_in = |name: &&str| notice.contains(&format!("Final-Recipient: rfc822; {name}@"));
        let names: Vec<_> = ["a", "b", "c"].into_iter().filter(is_in).collect();
        names.concat()
    };
    assert_eq!(notices.iter().map(tells_of).collect::<Vec<_>>(), ["a", "b"]);
}

/// RFC 6710 section 4.6.
#[tokio::test(start_paused = true)]
async fn a_report_goes_as_fast_as_what_it_tells_of() {
    for priority in [Priority::High, Priority::Normal, Priority::Low] {
        let rig = Rig::new().await;
        rig.enqueue(Message { priority, ..asks() }).await;
        assert!(rig.retry().await);
        let deliveries = rig.relay.deliveries();
        let mut notices = deliveries
            .iter()
            .filter(|d| d.message.envelope.sender.is_null());
        assert!(notices.all(|notice| notice.message.priority == priority));
        assert_eq!(self::notices(&rig).len(), 1);
    }
}
