//! Destinations whose mail an operator keeps back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use slimta_core::bus::Client as _;
use slimta_core::queue::Why;
use slimta_core::storage::{Filter, Page, Suspension};
use tokio::sync::oneshot;

use crate::rig::{Answer, Rig, message};

const HOUR: Duration = Duration::from_secs(3600);

fn start(rig: &Rig) -> oneshot::Sender<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let queue = rig.queue.clone();
    tokio::spawn(async move {
        let shutdown = async { drop(stopped.await) };
        queue.run(shutdown).await.unwrap();
    });
    stop
}

async fn send(rig: &Rig, to: &str) {
    let messages = vec![message("from@example.com", &[to])];
    let response = rig.edge.send(messages).await.unwrap().remove(0);
    assert!(response.is_success(), "{response}");
}

fn suspension(destinations: &str) -> Suspension {
    Suspension {
        destinations: destinations.to_owned(),
        reason: "they move".to_owned(),
        until: None,
    }
}

async fn suspend(rig: &Rig, suspension: &Suspension) {
    rig.queue.suspend(&*rig.session, suspension).await.unwrap();
}

async fn resume(rig: &Rig, destinations: &str) -> bool {
    let pattern = destinations.parse().unwrap();
    rig.queue.resume(&*rig.session, &pattern).await.unwrap()
}

/// Lets virtual time pass.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn suspended_mail_is_taken_and_waits_while_other_mail_goes() {
    let rig = Rig::new().await;
    let _stop = start(&rig);
    suspend(&rig, &suspension("*.Example.org")).await;
    suspend(&rig, &suspension("example.net")).await;
    for to in ["a@mx.example.org", "a@example.net", "a@example.org"] {
        send(&rig, to).await;
    }
    pass(HOUR).await;
    assert_eq!(rig.relay.attempts("example.org"), 1);
    assert_eq!(rig.relay.deliveries().len(), 1);
    // A look each second while such mail is due, not more.
    assert!(rig.trouble.looks.load(Ordering::Relaxed) < 3700);
    let all = Filter::default();
    let listing = rig.session.list(&all, Page::first(10)).await.unwrap();
    for listed in listing.messages {
        assert_eq!(listed.message.attempts, 0);
        let why = rig.queue.why(&*rig.session, &listed);
        let Why::Suspended(suspension) = why else {
            panic!("{why}");
        };
        assert_eq!(suspension.reason, "they move");
    }
    assert!(resume(&rig, "*.example.org").await);
    assert!(!resume(&rig, "*.example.org").await);
    pass(Duration::from_secs(1)).await;
    assert_eq!(rig.relay.attempts("mx.example.org"), 1);
    assert_eq!(rig.relay.attempts("example.net"), 0);
}

#[tokio::test(start_paused = true)]
async fn mail_goes_again_when_a_suspension_is_over() {
    let rig = Rig::new().await;
    let _stop = start(&rig);
    for (destinations, length) in [("*.org", HOUR * 2), ("example.org", HOUR)] {
        let ending = Suspension {
            until: Some(rig.world.now().after(length)),
            ..suspension(destinations)
        };
        suspend(&rig, &ending).await;
    }
    for to in ["a@example.org", "a@other.org"] {
        send(&rig, to).await;
    }
    // The wider one still holds when the narrower one is over.
    pass(HOUR * 2 - Duration::from_secs(1)).await;
    assert!(rig.relay.deliveries().is_empty());
    pass(Duration::from_secs(1) + Duration::from_millis(20)).await;
    assert_eq!(rig.relay.deliveries().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_hand_and_not_sent_yet_is_given_back() {
    let rig = Rig::new().await;
    for _ in 0..20 {
        let slow = Duration::from_secs(10);
        rig.relay.then(Answer::Slow(slow, vec![250]));
    }
    let _stop = start(&rig);
    for _ in 0..12 {
        send(&rig, "a@example.org").await;
    }
    pass(Duration::from_secs(1)).await;
    let sent = rig.relay.attempts("example.org");
    assert!((1..12).contains(&sent), "{sent}");
    suspend(&rig, &suspension("example.org")).await;
    pass(HOUR).await;
    assert_eq!(rig.relay.attempts("example.org"), sent);
    assert_eq!(rig.stored().await.len(), 12 - sent);
    resume(&rig, "example.org").await;
    pass(HOUR).await;
    assert_eq!(rig.relay.attempts("example.org"), 12);
    assert!(rig.stored().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_manager_hears_of_it_within_seconds() {
    let rig = Rig::new().await;
    let _stop = start(&rig);
    send(&rig, "a@example.org").await;
    pass(Duration::from_secs(1)).await;
    assert_eq!(rig.relay.deliveries().len(), 1);
    // Past this queue, as another manager of the storage does it.
    let one = suspension("example.org");
    rig.session.suspend(&one).await.unwrap();
    pass(Duration::from_secs(2)).await;
    send(&rig, "a@example.org").await;
    pass(HOUR).await;
    assert_eq!(rig.relay.deliveries().len(), 1);
    rig.session.resume("example.org").await.unwrap();
    pass(Duration::from_secs(5)).await;
    assert_eq!(rig.relay.deliveries().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn much_suspended_mail_is_not_looked_through_at_each_look() {
    let rig = Rig::new().await;
    for _ in 0..200 {
        let slow = Answer::Slow(Duration::from_millis(100), vec![250]);
        rig.relay.then(slow);
    }
    let _stop = start(&rig);
    suspend(&rig, &suspension("*.suspended.example")).await;
    for n in 0..3000 {
        send(&rig, &format!("a@{n}.suspended.example")).await;
    }
    let looks = || rig.trouble.looks.load(Ordering::Relaxed);
    let before = looks();
    // More than there is room for: it waits behind what is suspended.
    for _ in 0..200 {
        send(&rig, "a@busy.example").await;
    }
    for _ in 0..500 {
        send(&rig, "a@busy.example").await;
        pass(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.relay.attempts("busy.example"), 700);
    // At most eleven pages each 25 ms.
    let pages = looks() - before;
    assert!(pages <= 11 * 40 * 5, "{pages} pages in five seconds");
}
