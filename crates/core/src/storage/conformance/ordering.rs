//! Rules of the due order, and of waiting for it.

use std::time::Duration;

use super::bench::{Bench, LEASE, claim, due, list_all};
use crate::message::{Destination, Priority};
use crate::storage::{Action, Filter, Page, StorageError};

const SECOND: Duration = Duration::from_secs(1);

/// Destinations come by the due time of their first message.
pub async fn the_longest_due_destination_comes_first(bench: &Bench) {
    let session = bench.session().await;
    for destination in ["c.example", "a.example", "b.example", "c.example"] {
        bench.stored(&*session, destination).await;
        bench.pass(SECOND);
    }
    let expected = ["c.example", "a.example", "b.example"];
    assert_eq!(due(&*session).await, expected);
    claim(&*session, "c.example", 1).await;
    let expected = ["a.example", "b.example", "c.example"];
    assert_eq!(due(&*session).await, expected);
}

/// Each page begins behind the last destination of the one before.
pub async fn destinations_come_in_pages(bench: &Bench) {
    let session = bench.session().await;
    for n in 0..7 {
        bench.stored(&*session, &format!("{n}.example")).await;
    }
    let whole = session.due_destinations(None, 100).await.unwrap();
    assert_eq!(whole.len(), 7);
    assert!(whole.is_sorted());
    let mut pages = Vec::new();
    loop {
        let page = session.due_destinations(pages.last(), 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        pages.extend(page);
    }
    assert_eq!(pages, whole);
}

/// Mail for later is not due, and becomes so exactly at its time.
pub async fn what_is_not_due_is_not_claimed(bench: &Bench) {
    let session = bench.session().await;
    let mut later = bench.mail("a.example");
    later.messages[0].due = bench.now().after(SECOND);
    let id = later.messages[0].id;
    session.store(later, None).await.unwrap();
    assert!(due(&*session).await.is_empty());
    assert!(claim(&*session, "a.example", 1).await.is_empty());
    bench.pass(SECOND);
    assert_eq!(due(&*session).await, ["a.example"]);
    assert_eq!(claim(&*session, "a.example", 1).await, [id]);
}

/// What is due by the session's own account of the time is due at once.
pub async fn a_session_knows_the_storage_s_time(bench: &Bench) {
    let session = bench.session().await;
    for _ in 0..3 {
        let mut mail = bench.mail("a.example");
        mail.messages[0].due = session.now();
        session.store(mail, None).await.unwrap();
        assert_eq!(claim(&*session, "a.example", 10).await.len(), 1);
        let before = session.now();
        bench.pass(SECOND);
        assert!(session.now() >= before.after(SECOND));
    }
}

/// Priority first, then the longest due; what is not due yet waits, whatever
/// its priority.
pub async fn priority_comes_before_age(bench: &Bench) {
    let session = bench.session().await;
    let mut ids = Vec::new();
    let order = [
        Priority::Low,
        Priority::Normal,
        Priority::Normal,
        Priority::High,
    ];
    for priority in order {
        let mut mail = bench.mail("a.example");
        mail.messages[0].priority = priority;
        ids.push(mail.messages[0].id);
        session.store(mail, None).await.unwrap();
        bench.pass(SECOND);
    }
    let mut later = bench.mail("a.example");
    later.messages[0].priority = Priority::High;
    later.messages[0].due = bench.now().after(SECOND);
    session.store(later, None).await.unwrap();
    let claimed = claim(&*session, "a.example", 10).await;
    assert_eq!(claimed, [ids[3], ids[1], ids[2], ids[0]]);
}

/// The longest due first, whatever its priority; what is not due yet, is held or
/// leased is not among them.
pub async fn age_comes_before_priority_where_it_is_asked_for(bench: &Bench) {
    let session = bench.session().await;
    let mut ids = Vec::new();
    for priority in [
        Priority::Normal,
        Priority::Low,
        Priority::High,
        Priority::Low,
        Priority::Normal,
        Priority::High,
    ] {
        let mut mail = bench.mail("a.example");
        mail.messages[0].priority = priority;
        ids.push(mail.messages[0].id);
        session.store(mail, None).await.unwrap();
        bench.pass(SECOND);
    }
    let mut later = bench.mail("a.example");
    later.messages[0].due = bench.now().after(SECOND);
    session.store(later, None).await.unwrap();
    let (filter, hold) = (Filter::id(ids[0]), Action::Hold("wait".to_owned()));
    session.act(&filter, Page::first(1), &hold).await.unwrap();
    let mut claimed = Vec::new();
    for limit in [0, 2, 1, 10] {
        let destination = Destination::new("a.example");
        let claim = session.claim_longest_due(&destination, limit, LEASE);
        let claim: Vec<_> = claim.await.unwrap();
        assert!(claim.len() <= limit);
        claimed.extend(claim.iter().map(|leased| leased.lease.id()));
    }
    assert_eq!(claimed, ids[1..]);
}

/// The limit holds, and the rest stays due.
pub async fn a_claim_takes_no_more_than_asked(bench: &Bench) {
    let session = bench.session().await;
    for _ in 0..5 {
        bench.stored(&*session, "a.example").await;
    }
    assert!(claim(&*session, "a.example", 0).await.is_empty());
    assert_eq!(claim(&*session, "a.example", 2).await.len(), 2);
    assert_eq!(claim(&*session, "a.example", 10).await.len(), 3);
}

/// Held and leased mail makes no destination due; other mail there does.
pub async fn a_destination_with_nothing_to_claim_is_not_due(bench: &Bench) {
    let session = bench.session().await;
    let held = bench.stored(&*session, "a.example").await;
    let _leased = bench.leased(&*session, "a.example").await;
    let hold = Action::Hold("wait".to_owned());
    let filter = Filter::id(held);
    session.act(&filter, Page::first(1), &hold).await.unwrap();
    assert!(due(&*session).await.is_empty());
    let third = bench.stored(&*session, "a.example").await;
    assert_eq!(due(&*session).await, ["a.example"]);
    assert_eq!(claim(&*session, "a.example", 10).await, [third]);
}

/// A due time or the end of a lease, whichever is first.
pub async fn the_next_due_time_is_the_earliest(bench: &Bench) {
    let session = bench.session().await;
    let leased = bench.leased(&*session, "a.example").await;
    let lease_end = leased.lease.end();
    assert_eq!(session.next_due().await.unwrap(), Some(lease_end));
    let mut mail = bench.mail("b.example");
    mail.messages[0].due = bench.now().after(LEASE / 2);
    let (id, retry) = (mail.messages[0].id, mail.messages[0].due);
    session.store(mail, None).await.unwrap();
    assert_eq!(session.next_due().await.unwrap(), Some(retry));
    let hold = Action::Hold("wait".to_owned());
    let filter = Filter::id(id);
    session.act(&filter, Page::first(1), &hold).await.unwrap();
    assert_eq!(session.next_due().await.unwrap(), Some(lease_end));
    assert_eq!(list_all(&*session).await.len(), 2);
}

/// Whoever waits hears of a store, a settlement, a release and a new due time,
/// also if it happened before the wait began.
pub async fn every_change_wakes_who_waits(bench: &Bench) {
    let (a, b) = (bench.session().await, bench.session().await);
    let id = bench.stored(&*a, "a.example").await;
    let mut seen = b.changed(0).await.unwrap();
    let filter = Filter::id(id);
    let actions = [
        Action::Hold("wait".to_owned()),
        Action::Release,
        Action::SetDue(bench.now().after(SECOND)),
    ];
    for action in actions {
        a.act(&filter, Page::first(1), &action).await.unwrap();
        if !matches!(action, Action::Hold(_)) {
            let next = b.changed(seen).await.unwrap();
            assert!(next > seen);
            seen = next;
        }
    }
    // Now with somebody waiting before it happens.
    let waiting = tokio::spawn({
        let b = b.clone();
        async move { b.changed(seen).await }
    });
    tokio::task::yield_now().await;
    let locked = a.lock(id, LEASE).await.unwrap().unwrap();
    let _ = super::bench::settle(&*a, super::bench::removal(locked)).await;
    assert!(waiting.await.unwrap().unwrap() > seen);
}

/// Closing a session ends its waiting calls.
pub async fn closing_wakes_who_waits(bench: &Bench) {
    let session = bench.session().await;
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.changed(0).await }
    });
    tokio::task::yield_now().await;
    session.close().await;
    assert_eq!(waiting.await.unwrap(), Err(StorageError::Closed));
}
