//! Rules of leases: `claim`, `lock`, `unlock`, `renew`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::bench::{Bench, LEASE, claim, deferral, due, list_all, removal, settle};
use crate::message::Destination;
use crate::storage::{Action, Filter, Page, Session, Settled, State};

const MILLISECOND: Duration = Duration::from_millis(1);

/// What one session holds no other gets.
pub async fn no_message_is_claimed_twice(bench: &Bench) {
    let (a, b) = (bench.session().await, bench.session().await);
    let id = bench.stored(&*a, "a.example").await;
    assert_eq!(claim(&*a, "a.example", 10).await, [id]);
    assert!(claim(&*b, "a.example", 10).await.is_empty());
    assert!(claim(&*a, "a.example", 10).await.is_empty());
    assert_eq!(b.lock(id, LEASE).await.unwrap(), None);
    assert!(due(&*b).await.is_empty());
}

/// Sessions that claim at the same time share the messages out between them.
pub async fn racing_sessions_never_get_the_same_message(bench: &Bench) {
    const MESSAGES: usize = 60;
    let session = bench.session().await;
    for _ in 0..MESSAGES {
        bench.stored(&*session, "a.example").await;
    }
    let mut racers = Vec::new();
    for _ in 0..4 {
        let session = bench.session().await;
        racers.push(tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = claim(&*session, "a.example", 3).await;
                if claimed.is_empty() {
                    return mine;
                }
                mine.extend(claimed);
            }
        }));
    }
    let mut all = Vec::new();
    for racer in racers {
        all.extend(racer.await.unwrap());
    }
    assert_eq!(all.len(), MESSAGES);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), MESSAGES);
}

/// Claims, settlements and an operator's actions at the same time: each message
/// is settled once, and nothing is left over.
pub async fn racing_sessions_settle_each_message_once(bench: &Bench) {
    const MESSAGES: usize = 60;
    let session = bench.session().await;
    for _ in 0..MESSAGES {
        bench.stored(&*session, "a.example").await;
    }
    let mut racers = Vec::new();
    for _ in 0..4 {
        let session = bench.session().await;
        racers.push(tokio::spawn(async move {
            let destination = Destination::new("a.example");
            let mut mine = Vec::new();
            while session.stats().await.unwrap().messages > 0 {
                for leased in session.claim(&destination, 3, LEASE).await.unwrap() {
                    mine.push(leased.lease.id());
                    let settled = settle(&*session, removal(leased)).await;
                    assert_eq!(settled, Settled::Done);
                }
                tokio::task::yield_now().await;
            }
            mine
        }));
    }
    let actions = [Action::Hold("wait".to_owned()), Action::Release];
    while session.stats().await.unwrap().messages > 0 {
        for action in &actions {
            let (filter, page) = (Filter::default(), Page::first(MESSAGES));
            session.act(&filter, page, action).await.unwrap();
            tokio::task::yield_now().await;
        }
    }
    let mut all = Vec::new();
    for racer in racers {
        all.extend(racer.await.unwrap());
    }
    assert_eq!(all.len(), MESSAGES);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), MESSAGES);
    assert_eq!(session.stats().await.unwrap(), Default::default());
}

/// A lease taken at t for n is free at t + n, and not before.
pub async fn a_lease_ends_exactly_at_its_end(bench: &Bench) {
    let (a, b) = (bench.session().await, bench.session().await);
    let leased = bench.leased(&*a, "a.example").await;
    assert_eq!(leased.lease.end(), bench.now().after(LEASE));
    assert_eq!(b.next_due().await.unwrap(), Some(leased.lease.end()));
    bench.pass(LEASE - MILLISECOND);
    assert!(due(&*b).await.is_empty());
    assert!(claim(&*b, "a.example", 1).await.is_empty());
    bench.pass(MILLISECOND);
    assert_eq!(due(&*b).await, ["a.example"]);
    assert_eq!(list_all(&*b).await[0].lease, None);
    assert_eq!(claim(&*b, "a.example", 1).await, [leased.lease.id()]);
}

/// Renewing counts from now, not from the old end.
pub async fn a_renewed_lease_lasts(bench: &Bench) {
    let (a, b) = (bench.session().await, bench.session().await);
    let leased = bench.leased(&*a, "a.example").await;
    bench.pass(LEASE / 2);
    let renewed = a.renew(&[leased.lease.ticket()], LEASE).await.unwrap();
    assert_eq!(renewed, [Settled::Done]);
    let view = b.load(leased.lease.id()).await.unwrap().unwrap().lease;
    assert_eq!(view.unwrap().end, bench.now().after(LEASE));
    bench.pass(LEASE - MILLISECOND);
    assert!(claim(&*b, "a.example", 1).await.is_empty());
    bench.pass(MILLISECOND);
    assert_eq!(claim(&*b, "a.example", 1).await.len(), 1);
}

/// Fencing: once another has the message, the old lease changes nothing.
pub async fn only_the_last_lease_renews_unlocks_and_settles(bench: &Bench) {
    let (a, b) = (bench.session().await, bench.session().await);
    let stale = bench.leased(&*a, "a.example").await;
    bench.pass(LEASE);
    let id = stale.lease.id();
    let fresh = b.lock(id, LEASE).await.unwrap().unwrap();
    let before = list_all(&*b).await;

    let tickets = [stale.lease.ticket(), fresh.lease.ticket()];
    let renewed = a.renew(&tickets, LEASE).await.unwrap();
    assert_eq!(renewed, [Settled::LeaseLost, Settled::Done]);
    let unlocked = a.unlock(&stale.lease).await.unwrap();
    assert_eq!(unlocked, Settled::LeaseLost);
    let settled = settle(&*a, removal(stale)).await;
    assert_eq!(settled, Settled::LeaseLost);

    assert_eq!(list_all(&*b).await, before);
    assert_eq!(settle(&*b, removal(fresh)).await, Settled::Done);
}

/// A lease that ran out but was not taken still renews and settles: the work
/// was done, and nobody else has begun.
pub async fn a_lease_that_ran_out_untaken_still_settles(bench: &Bench) {
    let session = bench.session().await;
    let leased = bench.leased(&*session, "a.example").await;
    bench.pass(LEASE * 2);
    assert_eq!(due(&*session).await, ["a.example"]);
    let renewed = session
        .renew(&[leased.lease.ticket()], LEASE)
        .await
        .unwrap();
    assert_eq!(renewed, [Settled::Done]);
    assert!(due(&*session).await.is_empty());
    bench.pass(LEASE * 2);
    assert_eq!(settle(&*session, removal(leased)).await, Settled::Done);
    assert!(list_all(&*session).await.is_empty());
}

/// Giving a lease back leaves the message as it was.
pub async fn an_unlocked_message_is_due_as_before(bench: &Bench) {
    let session = bench.session().await;
    let first = bench.stored(&*session, "a.example").await;
    bench.pass(MILLISECOND);
    let second = bench.stored(&*session, "a.example").await;
    let before = list_all(&*session).await;
    let destination = Destination::new("a.example");
    let claimed = session.claim(&destination, 1, LEASE).await.unwrap();
    assert_eq!(claimed[0].lease.id(), first);
    let unlocked = session.unlock(&claimed[0].lease).await.unwrap();
    assert_eq!(unlocked, Settled::Done);
    assert_eq!(list_all(&*session).await, before);
    assert_eq!(claim(&*session, "a.example", 2).await, [first, second]);
}

/// What was given back cannot be used.
pub async fn a_lease_given_back_is_worth_nothing(bench: &Bench) {
    let session = bench.session().await;
    let leased = bench.leased(&*session, "a.example").await;
    let _ = session.unlock(&leased.lease).await.unwrap();
    let again = session.unlock(&leased.lease).await.unwrap();
    assert_eq!(again, Settled::LeaseLost);
    let ticket = leased.lease.ticket();
    let renewed = session.renew(&[ticket], LEASE).await.unwrap();
    assert_eq!(renewed, [Settled::LeaseLost]);
    let settled = settle(&*session, removal(leased)).await;
    assert_eq!(settled, Settled::LeaseLost);
    assert_eq!(list_all(&*session).await.len(), 1);
}

/// An operator's attempt asks neither for the due time nor whether it is held.
pub async fn locking_takes_what_is_not_due_or_held(bench: &Bench) {
    let session = bench.session().await;
    let leased = bench.leased(&*session, "a.example").await;
    let id = leased.lease.id();
    let tomorrow = bench.now().after(Duration::from_secs(86_400));
    let _ = settle(&*session, deferral(leased, tomorrow)).await;
    let locked = session.lock(id, LEASE).await.unwrap().unwrap();
    assert_eq!(locked.message.attempts, 1);
    assert_eq!(locked.message.due, tomorrow);
    let _ = session.unlock(&locked.lease).await.unwrap();

    let hold = Action::Hold("wait".to_owned());
    let filter = Filter::id(id);
    session.act(&filter, Page::first(1), &hold).await.unwrap();
    let locked = session.lock(id, LEASE).await.unwrap().unwrap();
    let listed = session.load(id).await.unwrap().unwrap();
    assert_eq!(listed.state(), State::Active);
    let _ = session.unlock(&locked.lease).await.unwrap();
    let listed = session.load(id).await.unwrap().unwrap();
    assert_eq!(listed.state(), State::Held);
}

/// Somebody who cannot have the lock does not make it longer.
pub async fn a_failed_lock_leaves_the_holder_alone(bench: &Bench) {
    let (a, b) = (bench.session().await, bench.session().await);
    let leased = bench.leased(&*a, "a.example").await;
    let before = list_all(&*a).await;
    bench.pass(LEASE / 2);
    let locked = b.lock(leased.lease.id(), LEASE * 9).await.unwrap();
    assert_eq!(locked, None);
    assert_eq!(list_all(&*a).await, before);
}

/// Every lease of a message has a greater token than the one before.
pub async fn tokens_grow_and_are_never_used_again(bench: &Bench) {
    let session = bench.session().await;
    let id = bench.stored(&*session, "a.example").await;
    let mut last = None;
    for _ in 0..5 {
        let locked = session.lock(id, LEASE).await.unwrap().unwrap();
        let token = locked.lease.ticket().token;
        assert!(last.is_none_or(|last| token > last));
        last = Some(token);
        let _ = session.unlock(&locked.lease).await.unwrap();
        let locked = session.lock(id, LEASE).await.unwrap().unwrap();
        assert!(Some(locked.lease.ticket().token) > last);
        last = Some(locked.lease.ticket().token);
        bench.pass(LEASE);
    }
}

/// Who manages is told to whoever does, unless a storage has one process; a
/// zero and the time end it.
pub async fn managers_that_share_know_each_other(bench: &Bench) {
    let (a, b) = (bench.session().await, bench.session().await);
    let all = async |of: &dyn Session, lasting| {
        let mut all = of.manage(lasting).await.unwrap();
        all.sort();
        all
    };
    let mut both = vec![a.owner().clone(), b.owner().clone()];
    both.sort();
    let (only_a, only_b) = ([a.owner().clone()], [b.owner().clone()]);
    assert_eq!(all(&*a, LEASE).await, only_a);
    let seen = all(&*b, 2 * LEASE).await;
    assert!(seen == both || seen == only_b, "{seen:?}");
    let left = all(&*a, Duration::ZERO).await;
    assert!(
        left == only_b || (left.is_empty() && seen == only_b),
        "{left:?}"
    );
    assert_eq!(all(&*b, 2 * LEASE).await, only_b);
    all(&*a, LEASE).await;
    bench.pass(LEASE);
    assert_eq!(all(&*b, LEASE).await, only_b, "it said so until now");
}
