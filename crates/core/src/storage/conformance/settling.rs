//! Rules of `settle`.

use std::time::Duration;

use super::bench::{Bench, LEASE, claim, deferral, due, list_all, recipient, removal, settle};
use crate::message::{Past, PastKind, Response, ReversePath, Submission};
use crate::storage::{Action, Change, Deferral, Filter, Page, Settled, Settlement, State};

const HOUR: Duration = Duration::from_secs(3600);

/// Removed: id, message, contents, due time and lease.
pub async fn a_removed_message_leaves_no_trace(bench: &Bench) {
    let session = bench.session().await;
    let leased = bench.leased(&*session, "a.example").await;
    let id = leased.lease.id();
    assert_eq!(settle(&*session, removal(leased)).await, Settled::Done);
    assert_eq!(session.load(id).await.unwrap(), None);
    assert_eq!(session.contents(id).await.unwrap(), None);
    assert_eq!(session.stats().await.unwrap(), Default::default());
    assert_eq!(session.next_due().await.unwrap(), None);
    bench.pass(LEASE * 2);
    assert!(due(&*session).await.is_empty());
    assert_eq!(session.lock(id, LEASE).await.unwrap(), None);
}

/// Recipients that are done leave; attempts, due time, response and history are
/// kept.
pub async fn a_deferred_message_keeps_what_waits(bench: &Bench) {
    let session = bench.session().await;
    let leased = bench.leased(&*session, "a.example").await;
    let (id, before) = (leased.lease.id(), leased.message.clone());
    let retry = bench.now().after(HOUR);
    let response = Response::new(451, None, "later");
    let answer = (&response, Some("mx.example"));
    let past = Past::new(&before, PastKind::Tried, 1, answer, bench.now());
    let history = before.history_with(past);
    let settlement = Settlement {
        lease: leased.lease,
        change: Change::Defer(Deferral {
            recipients: vec![recipient("b")],
            attempts: 1,
            due: retry,
            response,
            delay_told: true,
            history: history.clone(),
        }),
        notices: Vec::new(),
    };
    assert_eq!(settle(&*session, settlement).await, Settled::Done);
    let listed = session.load(id).await.unwrap().unwrap();
    assert_eq!(listed.state(), State::Deferred);
    assert_eq!(listed.lease, None);
    let mut expected = before;
    expected.envelope.recipients = vec![recipient("b")];
    expected.attempts = 1;
    expected.due = retry;
    expected.last_response = Some(Response::new(451, None, "later"));
    expected.delay_told = true;
    expected.history = history;
    assert_eq!(listed.message, expected);
    assert_eq!(session.next_due().await.unwrap(), Some(retry));
    assert!(due(&*session).await.is_empty());
    bench.pass(HOUR);
    assert_eq!(claim(&*session, "a.example", 10).await, [id]);
}

/// One attempt, one settlement.
pub async fn a_settled_attempt_cannot_settle_again(bench: &Bench) {
    let session = bench.session().await;
    let leased = bench.leased(&*session, "a.example").await;
    let settlement = deferral(leased, bench.now());
    let batch = [settlement];
    assert_eq!(session.settle(&batch).await.unwrap(), [Ok(Settled::Done)]);
    let before = list_all(&*session).await;
    let again = session.settle(&batch).await.unwrap();
    assert_eq!(again, [Ok(Settled::LeaseLost)]);
    assert_eq!(list_all(&*session).await, before);
    let renewed = session.renew(&[batch[0].lease.ticket()], LEASE).await;
    assert_eq!(renewed.unwrap(), [Settled::LeaseLost]);
}

fn notice(bench: &Bench) -> Submission {
    let mut notice = bench.mail("home.example");
    notice.messages[0].envelope.sender = ReversePath::Null;
    notice
}

/// The bounce is there and due in the moment in which the original is gone.
pub async fn a_notice_is_stored_with_the_removal(bench: &Bench) {
    let session = bench.session().await;
    let leased = bench.leased(&*session, "a.example").await;
    let notice = notice(bench);
    let settlement = Settlement {
        notices: vec![notice.clone()],
        ..removal(leased)
    };
    assert_eq!(settle(&*session, settlement).await, Settled::Done);
    let all = list_all(&*session).await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].message, notice.messages[0]);
    let content = session.contents(notice.messages[0].id).await.unwrap();
    assert_eq!(content, Some(notice.content));
    assert_eq!(due(&*session).await, ["home.example"]);
}

/// No bounce comes of an attempt whose lease was lost.
pub async fn a_stale_settlement_stores_no_notice(bench: &Bench) {
    let (a, b) = (bench.session().await, bench.session().await);
    let stale = bench.leased(&*a, "a.example").await;
    bench.pass(LEASE);
    let fresh = b.lock(stale.lease.id(), LEASE).await.unwrap();
    assert!(fresh.is_some());
    let settlement = Settlement {
        notices: vec![notice(bench)],
        ..deferral(stale, bench.now())
    };
    let before = list_all(&*a).await;
    assert_eq!(settle(&*a, settlement).await, Settled::LeaseLost);
    assert_eq!(list_all(&*a).await, before);
}

/// A notice that is there already is not stored a second time.
pub async fn a_repeated_notice_is_stored_once(bench: &Bench) {
    let session = bench.session().await;
    let notice = notice(bench);
    session.store(notice.clone(), None).await.unwrap();
    let leased = bench.leased(&*session, "a.example").await;
    let settlement = Settlement {
        notices: vec![notice],
        ..removal(leased)
    };
    assert_eq!(settle(&*session, settlement).await, Settled::Done);
    assert_eq!(list_all(&*session).await.len(), 1);
}

/// Settlements of a batch do not wait for each other's fate.
pub async fn a_batch_answers_in_order(bench: &Bench) {
    let session = bench.session().await;
    let gone = bench.leased(&*session, "a.example").await;
    let stale = bench.leased(&*session, "b.example").await;
    let waits = bench.leased(&*session, "c.example").await;
    let _ = session.unlock(&stale.lease).await.unwrap();
    let waiting = waits.lease.id();
    let batch = [removal(gone), removal(stale), deferral(waits, bench.now())];
    let settled = session.settle(&batch).await.unwrap();
    let [done, lost] = [Settled::Done, Settled::LeaseLost];
    assert_eq!(settled, [Ok(done), Ok(lost), Ok(done)]);
    let all = list_all(&*session).await;
    assert_eq!(all.len(), 2);
    assert_eq!(all[1].message.id, waiting);
    assert_eq!(all[1].message.attempts, 1);
    assert!(session.settle(&[]).await.unwrap().is_empty());
}

/// An attempt does not undo what an operator decided.
pub async fn a_held_message_stays_held_when_it_is_deferred(bench: &Bench) {
    let session = bench.session().await;
    let id = bench.stored(&*session, "a.example").await;
    let hold = Action::Hold("wait".to_owned());
    let filter = Filter::id(id);
    session.act(&filter, Page::first(1), &hold).await.unwrap();
    let locked = session.lock(id, LEASE).await.unwrap().unwrap();
    let _ = settle(&*session, deferral(locked, bench.now())).await;
    let listed = session.load(id).await.unwrap().unwrap();
    assert_eq!(listed.state(), State::Held);
    assert_eq!(listed.message.attempts, 1);
    assert!(claim(&*session, "a.example", 1).await.is_empty());
    assert_eq!(session.next_due().await.unwrap(), None);
}
