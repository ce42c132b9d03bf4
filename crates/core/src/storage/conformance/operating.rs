//! Rules of listings, counts, and what operators do.

use std::time::Duration;

use super::bench::{Bench, LEASE, claim, deferral, due, list_all, settle};
use crate::message::{Destination, MessageId, ReversePath};
use crate::storage::{Acted, Action, Filter, FirstLeases, Page, Session, State};

const HOUR: Duration = Duration::from_secs(3600);

async fn act(session: &dyn Session, filter: &Filter, action: Action) -> Acted {
    let page = Page::first(100);
    session.act(filter, page, &action).await.unwrap()
}

async fn found(session: &dyn Session, filter: Filter) -> Vec<MessageId> {
    let listing = session.list(&filter, Page::first(100)).await.unwrap();
    listing.messages.iter().map(|l| l.message.id).collect()
}

/// Pages lie side by side, in the order of ids.
pub async fn lists_come_in_pages_in_order(bench: &Bench) {
    let session = bench.session().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(bench.stored(&*session, "a.example").await);
    }
    let listed: Vec<MessageId> = list_all(&*session)
        .await
        .iter()
        .map(|l| l.message.id)
        .collect();
    assert_eq!(listed, ids);
    let filter = Filter::default();
    let first = session.list(&filter, Page::first(3)).await.unwrap();
    assert_eq!(first.messages.len(), 3);
    assert_eq!(first.next, Some(ids[2]));
    let last = Page {
        after: Some(ids[5]),
        limit: 3,
    };
    let last = session.list(&filter, last).await.unwrap();
    assert_eq!((last.messages.len(), last.next), (1, None));
}

/// Only what fits every part that is given.
pub async fn every_part_of_a_filter_counts(bench: &Bench) {
    let session = bench.session().await;
    let plain = bench.stored(&*session, "a.example").await;
    let mut bounce = bench.mail("b.example");
    bounce.messages[0].envelope.sender = ReversePath::Null;
    bounce.messages[0].envelope.recipients.truncate(1);
    let null = bounce.messages[0].id;
    session.store(bounce, None).await.unwrap();
    let leased = bench.leased(&*session, "a.example").await;
    let deferred = leased.lease.id();
    let _ = settle(&*session, deferral(leased, bench.now().after(HOUR))).await;

    let of = |filter: Filter| found(&*session, filter);
    let all = Filter::default;
    let a = Some(Destination::new("a.example"));
    let destination = Filter {
        destination: a.clone(),
        ..all()
    };
    assert_eq!(of(destination).await, [plain, deferred]);
    let sender = Some("FROM@example.com".to_owned());
    assert_eq!(of(Filter { sender, ..all() }).await, [plain, deferred]);
    let sender = Some(String::new());
    assert_eq!(of(Filter { sender, ..all() }).await, [null]);
    let recipient = Some("b@example.org".to_owned());
    assert_eq!(of(Filter { recipient, ..all() }).await, [plain, deferred]);
    let state = Some(State::Deferred);
    assert_eq!(of(Filter { state, ..all() }).await, [deferred]);
    let due_by = Some(bench.now());
    assert_eq!(of(Filter { due_by, ..all() }).await, [plain, null]);
    let both = Filter {
        due_by,
        destination: a,
        ..all()
    };
    assert_eq!(of(both).await, [plain]);
    assert_eq!(of(Filter::id(null)).await, [null]);
    assert!(of(Filter::id(bench.id())).await.is_empty());
}

/// The id that the client was told means every message that is left of it.
pub async fn a_submission_id_means_all_its_messages(bench: &Bench) {
    let session = bench.session().await;
    bench.stored(&*session, "a.example").await;
    let mail = bench.mails(&["a.example", "b.example", "c.example"]);
    bench.stored(&*session, "a.example").await;
    session.store(mail.clone(), None).await.unwrap();
    let ids: Vec<MessageId> = mail.messages.iter().map(|m| m.id).collect();
    let filter = Filter::id(ids[0]);
    assert_eq!(found(&*session, filter.clone()).await, ids);
    assert_eq!(found(&*session, Filter::id(ids[1])).await, [ids[1]]);
    let page = session.list(&filter, Page::first(2)).await.unwrap();
    assert_eq!((page.messages.len(), page.next), (2, Some(ids[1])));
    // Also once the message that gave it its id is gone.
    let only_a = Filter {
        destination: Some(Destination::new("a.example")),
        ..filter.clone()
    };
    assert_eq!(
        act(&*session, &only_a, Action::Delete).await.changed,
        [ids[0]]
    );
    assert_eq!(found(&*session, filter).await, ids[1..]);
}

/// Held mail is due to nobody; released, it is due as before.
pub async fn held_mail_waits_until_released(bench: &Bench) {
    let session = bench.session().await;
    let id = bench.stored(&*session, "a.example").await;
    let before = list_all(&*session).await;
    let filter = Filter::id(id);
    let hold = || Action::Hold("looks odd".to_owned());
    assert_eq!(act(&*session, &filter, hold()).await.changed, [id]);
    assert!(act(&*session, &filter, hold()).await.changed.is_empty());
    let listed = session.load(id).await.unwrap().unwrap();
    assert_eq!(listed.state(), State::Held);
    assert_eq!(listed.message.held.as_deref(), Some("looks odd"));
    bench.pass(HOUR);
    assert!(due(&*session).await.is_empty());
    assert!(claim(&*session, "a.example", 1).await.is_empty());
    let released = act(&*session, &filter, Action::Release).await;
    assert_eq!(released.changed, [id]);
    assert_eq!(list_all(&*session).await, before);
    assert_eq!(claim(&*session, "a.example", 1).await, [id]);
}

/// Sooner or later than it was; held mail stays held.
pub async fn a_due_time_can_be_set(bench: &Bench) {
    let session = bench.session().await;
    let id = bench.stored(&*session, "a.example").await;
    let filter = Filter::id(id);
    let later = bench.now().after(HOUR);
    act(&*session, &filter, Action::SetDue(later)).await;
    assert!(due(&*session).await.is_empty());
    assert_eq!(session.next_due().await.unwrap(), Some(later));
    act(&*session, &filter, Action::SetDue(bench.now())).await;
    assert_eq!(due(&*session).await, ["a.example"]);
    act(&*session, &filter, Action::Hold("wait".to_owned())).await;
    act(&*session, &filter, Action::SetDue(later)).await;
    bench.pass(HOUR * 2);
    assert!(due(&*session).await.is_empty());
    act(&*session, &filter, Action::Release).await;
    assert_eq!(claim(&*session, "a.example", 1).await, [id]);
}

/// Nothing is left, and no notice is made.
pub async fn deleted_mail_is_gone_with_its_contents(bench: &Bench) {
    let session = bench.session().await;
    let mail = bench.mails(&["a.example", "b.example"]);
    session.store(mail, None).await.unwrap();
    let acted = act(&*session, &Filter::default(), Action::Delete).await;
    assert_eq!(acted.changed.len(), 2);
    assert_eq!(session.stats().await.unwrap(), Default::default());
    assert!(due(&*session).await.is_empty());
    let again = act(&*session, &Filter::default(), Action::Delete).await;
    assert_eq!(again, Acted::default());
}

/// Operators respect leases, and are told how many there were.
pub async fn leased_mail_is_left_alone(bench: &Bench) {
    let session = bench.session().await;
    let leased = bench.leased(&*session, "a.example").await;
    let free = bench.stored(&*session, "a.example").await;
    let before = session.load(leased.lease.id()).await.unwrap();
    let actions = [
        Action::Hold("wait".to_owned()),
        Action::Release,
        Action::SetDue(bench.now().after(HOUR)),
        Action::Reroute("b.example".parse().unwrap(), bench.now()),
        Action::Delete,
    ];
    for action in actions {
        let acted = act(&*session, &Filter::default(), action).await;
        assert_eq!((acted.changed, acted.leased), (vec![free], 1));
        let after = session.load(leased.lease.id()).await.unwrap();
        assert_eq!(after, before);
    }
}

/// A long action is many short steps.
pub async fn actions_come_in_pages(bench: &Bench) {
    let session = bench.session().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(bench.stored(&*session, "a.example").await);
    }
    let filter = Filter::default();
    let mut page = Page::first(2);
    let mut changed = Vec::new();
    loop {
        let acted = session.act(&filter, page, &Action::Delete).await.unwrap();
        assert!(acted.changed.len() <= 2);
        changed.extend(acted.changed);
        match acted.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(changed, ids);
}

/// Counts follow every change, and the end of leases too.
pub async fn counts_are_kept(bench: &Bench) {
    let session = bench.session().await;
    let start = bench.now();
    let held = bench.stored(&*session, "a.example").await;
    bench.pass(HOUR);
    let mail = bench.mails(&["a.example", "b.example"]);
    let size = mail.content.len() as u64;
    let lease = FirstLeases {
        count: 1,
        lease: LEASE,
    };
    let mut leased = session.store(mail, Some(lease)).await.unwrap();
    let stats = session.stats().await.unwrap();
    assert_eq!((stats.messages, stats.active), (3, 3));
    assert_eq!((stats.bytes, stats.oldest), (2 * size, Some(start)));
    let deferred = leased.remove(0);
    let id = deferred.lease.id();
    let _ = settle(&*session, deferral(deferred, bench.now())).await;
    act(&*session, &Filter::id(held), Action::Hold("x".to_owned())).await;
    let stats = session.stats().await.unwrap();
    assert_eq!((stats.active, stats.deferred, stats.held), (1, 1, 1));
    assert!(session.lock(id, LEASE).await.unwrap().is_some());
    let stats = session.stats().await.unwrap();
    assert_eq!((stats.active, stats.deferred, stats.held), (2, 0, 1));
    bench.pass(LEASE);
    let stats = session.stats().await.unwrap();
    assert_eq!((stats.active, stats.deferred, stats.held), (1, 1, 1));
    act(&*session, &Filter::id(held), Action::Delete).await;
    let stats = session.stats().await.unwrap();
    assert_eq!((stats.messages, stats.bytes), (2, size));
    assert_eq!(stats.oldest, Some(start.after(HOUR)));
}

/// What is held or leased does not wait; what is due later does. Counting stops
/// where it is told to.
pub async fn what_waits_is_counted_by_destination(bench: &Bench) {
    let session = bench.session().await;
    let held = bench.stored(&*session, "a.example").await;
    act(&*session, &Filter::id(held), Action::Hold("x".to_owned())).await;
    for _ in 0..4 {
        bench.stored(&*session, "a.example").await;
    }
    let later = bench.leased(&*session, "a.example").await;
    let at = bench.now().after(HOUR);
    let _ = settle(&*session, deferral(later, at)).await;
    let later = bench.leased(&*session, "b.example").await;
    let _ = settle(&*session, deferral(later, at)).await;
    // To end by itself.
    bench.leased(&*session, "a.example").await;

    let names = ["b.example", "a.example", "none.example"].map(Destination::new);
    let backlogs = async |most| {
        let backlogs = session.backlogs(&names, most).await.unwrap();
        let counts = backlogs.iter().map(|one| (one.waiting, one.due));
        counts.collect::<Vec<_>>()
    };
    let found = session.waiting_destinations(None, 10).await.unwrap();
    let found: Vec<&str> = found.iter().map(|due| due.destination.as_str()).collect();
    assert_eq!(found, ["a.example", "b.example"]);
    assert_eq!(backlogs(100).await, [(1, 0), (5, 4), (0, 0)]);
    assert_eq!(backlogs(3).await, [(1, 0), (3, 3), (0, 0)]);
    bench.pass(HOUR);
    assert_eq!(backlogs(100).await, [(1, 1), (6, 6), (0, 0)]);
    let first = session.waiting_destinations(None, 1).await.unwrap();
    // One may come again behind the cursor, for its mail elsewhere.
    let rest = session.waiting_destinations(first.last(), 10).await;
    let mut rest = rest.unwrap().into_iter();
    assert!(rest.any(|due| due.destination == names[0]));
}
