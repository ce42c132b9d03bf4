//! Rules of mail that an operator sends another way.

use std::time::Duration;

use super::bench::{Bench, LEASE, claim, deferral, due, list_all, settle};
use crate::message::{Destination, MessageId, PastKind, Way};
use crate::storage::{Acted, Action, Backlog, Filter, Page, Session, Settled};

const HOUR: Duration = Duration::from_secs(3600);

fn way(text: &str) -> Way {
    text.parse().unwrap()
}

fn of(destination: &str) -> Filter {
    Filter {
        destination: Some(Destination::new(destination)),
        ..Filter::default()
    }
}

async fn reroute(bench: &Bench, session: &dyn Session, filter: &Filter, to: &str) -> Acted {
    let action = Action::Reroute(way(to), bench.now());
    let page = Page::first(100);
    session.act(filter, page, &action).await.unwrap()
}

async fn found(session: &dyn Session, destination: &str) -> Vec<MessageId> {
    let filter = of(destination);
    let listing = session.list(&filter, Page::first(100)).await.unwrap();
    listing.messages.iter().map(|l| l.message.id).collect()
}

/// Every order knows it: what is due, what is claimed, what is counted, what is
/// listed; held mail too, once it is released. Nothing of it is left behind.
pub async fn rerouted_mail_is_of_its_new_destination_only(bench: &Bench) {
    let session = bench.session().await;
    let new = bench.stored(&*session, "a.example").await;
    let leased = bench.leased(&*session, "a.example").await;
    let late = leased.lease.id();
    let _ = settle(&*session, deferral(leased, bench.now().after(HOUR))).await;
    let held = bench.stored(&*session, "a.example").await;
    let hold = Action::Hold("wait".to_owned());
    let one = Page::first(1);
    session.act(&Filter::id(held), one, &hold).await.unwrap();
    let there = bench.stored(&*session, "b.example").await;
    let leased = bench.leased(&*session, "a.example").await.lease.id();
    let counts = session.stats().await.unwrap();

    let acted = reroute(bench, &*session, &of("a.example"), "b.example").await;
    assert_eq!((acted.changed, acted.leased), (vec![new, late, held], 1));
    assert_eq!(session.stats().await.unwrap(), counts);
    assert_eq!(found(&*session, "a.example").await, [leased]);
    assert_eq!(
        found(&*session, "b.example").await,
        [new, late, held, there]
    );
    assert_eq!(due(&*session).await, ["b.example"]);
    let names = ["a.example", "b.example"].map(Destination::new);
    let of_each = session.backlogs(&names, 100).await.unwrap();
    let nothing = Backlog { waiting: 0, due: 0 };
    assert_eq!(of_each, [nothing, Backlog { waiting: 3, due: 3 }]);
    for listed in list_all(&*session).await {
        assert_eq!(listed.message.envelope.recipients.len(), 2);
    }

    // There, it is there already.
    let acted = reroute(bench, &*session, &of("b.example"), "b.example").await;
    assert!(acted.changed.is_empty());
    assert!(claim(&*session, "a.example", 10).await.is_empty());
    let mut claimed = claim(&*session, "b.example", 10).await;
    claimed.sort_unstable();
    assert_eq!(claimed, [new, late, there]);
    let release = Action::Release;
    session.act(&Filter::id(held), one, &release).await.unwrap();
    assert_eq!(claim(&*session, "b.example", 10).await, [held]);
}

/// A smarthost is written into the message, and gone when it goes back; the story
/// tells of both.
pub async fn rerouted_mail_can_go_back(bench: &Bench) {
    let session = bench.session().await;
    let id = bench.stored(&*session, "a.example#acme").await;
    let before = session.load(id).await.unwrap().unwrap().message;
    let url = "smtp://192.0.2.1:2525";
    reroute(bench, &*session, &Filter::id(id), url).await;
    let away = session.load(id).await.unwrap().unwrap().message;
    assert_eq!(away.destination.as_str(), format!("{url}#acme"));
    let fixed = away.envelope.next_hop.unwrap();
    assert_eq!(fixed.host.as_deref(), Some("192.0.2.1"));
    assert_eq!(fixed.port, Some(2525));
    reroute(bench, &*session, &Filter::id(id), "a.example").await;
    let back = session.load(id).await.unwrap().unwrap().message;
    assert_eq!(back.destination, before.destination);
    assert_eq!(back.envelope, before.envelope);
    let past = &back.history.entries;
    assert!(past.iter().all(|past| past.kind == PastKind::Rerouted));
    let told: Vec<&str> = past.iter().map(|past| &*past.response.text).collect();
    let there = format!("from a.example to {url}");
    assert_eq!(told, [there, format!("from {url} to a.example")]);
    assert_eq!(claim(&*session, "a.example#acme", 1).await, [id]);
}

/// As with every other change of an operator; it fails on the way it goes now.
pub async fn an_attempt_that_ran_out_still_settles_rerouted_mail(bench: &Bench) {
    let session = bench.session().await;
    let leased = bench.leased(&*session, "a.example").await;
    let id = leased.lease.id();
    bench.pass(LEASE);
    let acted = reroute(bench, &*session, &Filter::id(id), "b.example").await;
    assert_eq!(acted.changed, [id]);
    let later = bench.now().after(HOUR);
    let settled = settle(&*session, deferral(leased, later)).await;
    assert_eq!(settled, Settled::Done);
    assert!(due(&*session).await.is_empty());
    bench.pass(HOUR);
    assert_eq!(due(&*session).await, ["b.example"]);
    assert_eq!(claim(&*session, "b.example", 1).await, [id]);
}
