//! Mail of many in one queue: nobody's bulk stands before another's mail.

use std::time::Duration;

use slimta_core::bus::Client as _;
use slimta_core::message::{Message, Tenant};
use slimta_core::queue::{Limits, Why};
use tokio::sync::oneshot;

use crate::rig::{Answer, Rig, message};
use crate::running::start;

const SECOND: Duration = Duration::from_secs(1);
const TO: &str = "big.example";

fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

/// A queue whose attempts take ten seconds each.
async fn running(limits: Limits) -> (Rig, oneshot::Sender<()>) {
    let mut rig = Rig::new().await;
    rig.queue = rig.queue.with_limits(limits);
    for _ in 0..10_000 {
        rig.relay.then(Answer::Slow(10 * SECOND, vec![250]));
    }
    let (stop, _running) = start(&rig);
    (rig, stop)
}

async fn send(rig: &Rig, whose: &str, destination: &str, count: usize) {
    for _ in 0..count {
        let to = format!("to@{destination}");
        let message = Message {
            tenant: Some(tenant(whose)),
            ..message("from@example.com", &[&to])
        };
        let answers = rig.edge.send(vec![message]).await.unwrap();
        assert!(answers[0].is_success());
    }
}

/// How many attempts were made for a tenant.
fn attempts(rig: &Rig, whose: &str) -> usize {
    let deliveries = rig.relay.deliveries();
    let of =
        |d: &&slimta_core::relay::Delivery| d.message.destination.tenant() == Some(tenant(whose));
    deliveries.iter().filter(of).count()
}

#[tokio::test(start_paused = true)]
async fn one_message_does_not_stand_behind_anothers_newsletter() {
    let (rig, _stop) = running(Limits::default()).await;
    send(&rig, "bulk", TO, 500).await;
    tokio::time::sleep(SECOND).await;
    send(&rig, "small", TO, 3).await;
    tokio::time::sleep(40 * SECOND).await;
    assert_eq!(attempts(&rig, "small"), 3);
    let bulk = attempts(&rig, "bulk");
    assert!((30..=80).contains(&bulk), "{bulk}");
    // And then it has all to itself again.
    tokio::time::sleep(60 * SECOND).await;
    assert!(attempts(&rig, "bulk") >= bulk + 110);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_a_destination_holds_over_all_tenants() {
    let (rig, _stop) = running(Limits::default()).await;
    for whose in ["a", "b", "c"] {
        send(&rig, whose, TO, 20).await;
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(rig.relay.deliveries().len(), 5);
    let in_hand = rig.queue.destinations();
    assert_eq!(in_hand.len(), 1, "{in_hand:?}");
    assert_eq!(in_hand[0].destination.as_str(), TO);
}

#[tokio::test(start_paused = true)]
async fn backlogs_are_worked_off_by_weight() {
    let (rig, _stop) = running(Limits {
        tenant_weights: [(tenant("heavy"), 3)].into(),
        ..Limits::default()
    })
    .await;
    send(&rig, "light", TO, 300).await;
    send(&rig, "heavy", TO, 300).await;
    tokio::time::sleep(130 * SECOND).await;
    let (heavy, light) = (attempts(&rig, "heavy"), attempts(&rig, "light"));
    assert!(heavy >= 2 * light && heavy <= 4 * light, "{heavy} {light}");
    let pages = rig.queue.get_all_messages(&rig.session);
    let waits = pages.collect().await.unwrap().messages;
    let waits = waits.iter().find(|listed| {
        let is_light = listed.message.destination.tenant() == Some(tenant("light"));
        is_light && listed.lease.is_none()
    });
    let why = rig.queue.why(&*rig.session, waits.unwrap());
    assert_eq!(why, Why::OthersToo(tenant("light")));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_many_destinations_leaves_places_to_others() {
    let (rig, _stop) = running(Limits {
        attempts_max: 20,
        ahead_factor: 2,
        ..Limits::default()
    })
    .await;
    for n in 0..500 {
        send(&rig, "bulk", &format!("{n}.bulk.example"), 3).await;
    }
    for n in 0..60 {
        send(&rig, "small", &format!("{n}.small.example"), 1).await;
    }
    tokio::time::sleep(120 * SECOND).await;
    let (bulk, small) = (attempts(&rig, "bulk"), attempts(&rig, "small"));
    assert_eq!(small, 60);
    assert!(bulk >= 100, "{bulk}");
}

/// How much bulk is delivered beside mail for nine destinations that hang.
async fn bulk_beside_hanging(is_apart: bool) -> usize {
    let mut rig = Rig::new().await;
    rig.queue = rig.queue.with_limits(Limits {
        attempts_max: 40,
        ahead_factor: 2,
        attempts_per_destination_initial: 1,
        ..Limits::default()
    });
    for _ in 0..9 {
        rig.relay.then(Answer::Hang);
    }
    for _ in 0..10_000 {
        rig.relay.then(Answer::Slow(SECOND / 10, vec![250]));
    }
    let (_stop, _running) = start(&rig);
    for n in 0..9 {
        let whose = if is_apart {
            format!("t{n}")
        } else {
            "bulk".to_owned()
        };
        send(&rig, &whose, &format!("{n}.hanging.example"), 30).await;
    }
    tokio::time::sleep(SECOND).await;
    for n in 0..500 {
        send(&rig, "bulk", &format!("{n}.bulk.example"), 10).await;
    }
    tokio::time::sleep(10 * SECOND).await;
    let deliveries = rig.relay.deliveries();
    let hops = deliveries.iter().map(|d| d.message.destination.next_hop());
    hops.filter(|hop| hop.ends_with(".bulk.example")).count()
}

#[tokio::test(start_paused = true)]
async fn what_one_tenant_cannot_send_takes_nothing_from_others() {
    let (together, apart) = (
        bulk_beside_hanging(false).await,
        bulk_beside_hanging(true).await,
    );
    assert!(together > 1000, "{together}");
    assert!(apart * 100 >= together * 95, "{apart} of {together}");
}
