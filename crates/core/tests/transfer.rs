//! Moving mail between storages: cut at every call on either side, before it
//! was done and after, a message is never gone and never live twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use slimta_core::message::{MessageId, Past, PastKind, Response, StoredMessage};
use slimta_core::storage::conformance::{Bench, Between, Hook};
use slimta_core::storage::{
    Action, Change, Deferral, Filter, Listed, Memory, MoveError, Moved, Page, Session, Settled,
    Settlement, Storage, StorageError, Suspension, move_all,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Counts calls of both storages, and cuts one off.
#[derive(Debug, Default)]
struct Cut {
    calls: AtomicUsize,
    /// The step that fails: even before a call, odd after it.
    at: usize,
}

impl Cut {
    fn step(&self) -> Result<(), StorageError> {
        match self.calls.fetch_add(1, Ordering::Relaxed) >= self.at {
            // The line stays dead, as with a process that was killed.
            true => Err(StorageError::Unavailable("cut".to_owned())),
            false => Ok(()),
        }
    }
}

impl Hook for Cut {
    fn before(&self, _: &'static str) -> Result<(), StorageError> {
        self.step()
    }

    fn after(&self, _: &'static str) -> Result<(), StorageError> {
        self.step()
    }
}

/// Two storages by one clock.
struct Stage {
    bench: Bench,
    stores: [Arc<dyn Storage>; 2],
    sessions: [Arc<dyn Session>; 2],
}

impl Stage {
    async fn new() -> Stage {
        let bench = Bench::new();
        let stores = [(); 2].map(|()| Arc::new(Memory::new(bench.world())) as Arc<dyn Storage>);
        let from = stores[0].connect().await.unwrap();
        let to = stores[1].connect().await.unwrap();
        Stage {
            bench,
            stores,
            sessions: [from, to],
        }
    }

    /// Fresh, shared, deferred and held mail; gives what there is.
    async fn fill(&self) -> Vec<StoredMessage> {
        let from = &*self.sessions[0];
        for destinations in [&["a.example"][..], &["a.example", "b.example", "c.example"]] {
            let mail = self.bench.mails(destinations);
            from.store(mail, None).await.unwrap();
        }
        let held = self.bench.mail("d.example");
        let id = held.messages[0].id;
        from.store(held, None).await.unwrap();
        let hold = Action::Hold("until Monday; held before: twice".to_owned());
        from.act(&Filter::id(id), Page::first(10), &hold)
            .await
            .unwrap();
        // The first of three is delivered; its submission lives on.
        let all = messages(from).await;
        let shared = all.iter().filter(|m| m.submission != m.id);
        let shared: Vec<_> = shared.collect();
        remove(from, shared[0].submission).await;
        defer(from, shared[0].id).await;
        messages(from).await
    }

    /// Moves over lines that die at `step`.
    async fn try_move(&self, step: usize) -> (Result<Moved, MoveError>, usize) {
        let cut = Arc::new(Cut {
            at: step,
            ..Cut::default()
        });
        let [from, to] = &self.stores;
        let from = Between::new(from.clone(), cut.clone());
        let to = Between::new(to.clone(), cut.clone());
        let (from, to) = (from.connect().await.unwrap(), to.connect().await.unwrap());
        let moved = move_all(&*from, &*to, "memory:", &mut |_| {}).await;
        (moved, cut.calls.load(Ordering::Relaxed))
    }

    /// Each message that should be there is live in one storage.
    async fn check(&self, expected: &[StoredMessage], at: usize) {
        let [from, to] = [all(&*self.sessions[0]).await, all(&*self.sessions[1]).await];
        for message in expected {
            let waits = |l: &&Listed| {
                let held = l.message.held.as_deref().unwrap_or_default();
                held.starts_with("Being moved from memory:")
            };
            let copy = to.get(&message.id);
            let is_live = copy.is_some_and(|c| !waits(&c));
            let original = from.contains_key(&message.id);
            assert!(original || copy.is_some(), "step {at}: lost");
            assert!(!(original && is_live), "step {at}: live twice");
        }
    }
}

async fn all(session: &dyn Session) -> BTreeMap<MessageId, Listed> {
    let listing = session.list(&Filter::default(), Page::first(100)).await;
    let messages = listing.unwrap().messages.into_iter();
    messages.map(|l| (l.message.id, l)).collect()
}

async fn messages(session: &dyn Session) -> Vec<StoredMessage> {
    all(session)
        .await
        .into_values()
        .map(|l| l.message)
        .collect()
}

async fn settle(session: &dyn Session, id: MessageId, change: Change) {
    let leased = session.lock(id, HOUR).await.unwrap().unwrap();
    let settlement = Settlement {
        lease: leased.lease,
        change,
        notices: Vec::new(),
    };
    assert_eq!(
        session.settle(&[settlement]).await.unwrap(),
        [Ok(Settled::Done)]
    );
}

async fn remove(session: &dyn Session, id: MessageId) {
    settle(session, id, Change::Remove).await;
}

async fn defer(session: &dyn Session, id: MessageId) {
    let message = session.load(id).await.unwrap().unwrap().message;
    let response = Response::transient(2, 0, "not now");
    let answer = (&response, Some("mx.example"));
    let past = Past::new(&message, PastKind::Tried, 1, answer, message.due);
    let deferral = Deferral {
        history: message.history_with(past),
        recipients: message.envelope.recipients,
        attempts: message.attempts + 1,
        due: message.due.after(HOUR),
        response,
        delay_told: true,
    };
    settle(session, id, Change::Defer(deferral)).await;
}

#[tokio::test]
async fn a_move_cut_at_any_call_loses_nothing_and_can_be_ended() {
    let mut step = 0;
    loop {
        let stage = Stage::new().await;
        let mut expected = stage.fill().await;
        let (cut, calls) = stage.try_move(step).await;
        stage.check(&expected, step).await;
        // What is still there may be attempted before the move goes on.
        stage.bench.pass(HOUR);
        let original = messages(&*stage.sessions[0]).await.pop();
        if let Some(original) = original.filter(|_| step % 3 == 0) {
            defer(&*stage.sessions[0], original.id).await;
            expected.retain(|m| m.id != original.id);
            expected.extend(messages(&*stage.sessions[0]).await.pop());
        }
        let (ended, _) = stage.try_move(usize::MAX).await;
        let ended = ended.unwrap();
        assert_eq!((ended.busy, ended.unreadable), (0, Vec::new()));
        assert!(messages(&*stage.sessions[0]).await.is_empty());
        expected.sort_by_key(|m| m.id);
        assert_eq!(messages(&*stage.sessions[1]).await, expected, "step {step}");
        if cut.is_ok() {
            assert!(step > 50, "only {step} steps of {calls}");
            return;
        }
        step += 1;
    }
}

#[tokio::test]
async fn what_is_attempted_stays_with_its_submission() {
    let stage = Stage::new().await;
    let expected = stage.fill().await;
    let [from, to] = &stage.sessions;
    let shared = expected.iter().find(|m| m.submission != m.id).unwrap();
    from.lock(shared.id, HOUR).await.unwrap().unwrap();
    let (moved, _) = stage.try_move(usize::MAX).await;
    let moved = moved.unwrap();
    assert_eq!((moved.messages, moved.busy), (2, 1));
    let left = messages(&**from).await;
    assert!(left.iter().all(|m| m.submission == shared.submission) && left.len() == 2);
    assert_eq!(messages(&**to).await.len(), 2);
    stage.bench.pass(2 * HOUR);
    let (moved, _) = stage.try_move(usize::MAX).await;
    assert_eq!(moved.unwrap().messages, 2);
    assert_eq!(messages(&**to).await, expected);
}

#[tokio::test]
async fn a_message_that_lives_in_both_is_told() {
    let stage = Stage::new().await;
    let mail = stage.bench.mail("a.example");
    for session in &stage.sessions {
        session.store(mail.clone(), None).await.unwrap();
    }
    let (moved, _) = stage.try_move(usize::MAX).await;
    assert_eq!(moved, Err(MoveError::Twice(mail.messages[0].id)));
}

#[tokio::test]
async fn what_is_suspended_stays_so() {
    let stage = Stage::new().await;
    stage.fill().await;
    let [from, to] = &stage.sessions;
    let suspension = |destinations: &str, reason: &str| Suspension {
        destinations: destinations.to_owned(),
        reason: reason.to_owned(),
        until: None,
    };
    let elsewhere = suspension("a.example", "their own");
    to.suspend(&elsewhere).await.unwrap();
    let kept = suspension("b.example", "asked by phone");
    for one in [&suspension("a.example", "ours"), &kept] {
        from.suspend(one).await.unwrap();
    }
    // Calls that read and write suspensions come first: no message is there
    // before them.
    for step in 0.. {
        let (cut, _) = stage.try_move(step).await;
        let is_kept = to.suspensions().await.unwrap().contains(&kept);
        assert!(is_kept || messages(&**to).await.is_empty(), "step {step}");
        if cut.is_ok() {
            break;
        }
        stage.bench.pass(HOUR);
    }
    assert_eq!(to.suspensions().await.unwrap(), [elsewhere, kept]);
    assert_eq!(from.suspensions().await.unwrap().len(), 2);
}
