//! Rules of destinations whose mail is kept back.

use std::time::Duration;

use futures_util::future::join_all;

use super::bench::{Bench, due};
use crate::storage::{SUSPENSIONS_MAX, Session, StorageError, Suspension};

const HOUR: Duration = Duration::from_secs(3600);

fn suspension(destinations: &str, reason: &str) -> Suspension {
    Suspension {
        destinations: destinations.to_owned(),
        reason: reason.to_owned(),
        until: None,
    }
}

/// Every session sees what one has suspended, as it was said last, until it is
/// resumed.
pub async fn suspensions_are_kept_until_resumed(bench: &Bench) {
    let (session, other) = (bench.session().await, bench.session().await);
    assert_eq!(session.suspensions().await.unwrap(), []);
    let below = suspension("*.b.example", "täglich, \"heute\"\nnicht");
    let first = suspension("a.example", "");
    let ending = Suspension {
        until: Some(bench.now().after(HOUR)),
        ..suspension("a.example", "moves")
    };
    for one in [&below, &first, &ending] {
        session.suspend(one).await.unwrap();
    }
    let all = [below.clone(), ending];
    assert_eq!(other.suspensions().await.unwrap(), all);
    assert!(other.resume("a.example").await.unwrap());
    assert!(!other.resume("a.example").await.unwrap());
    assert!(!session.resume("b.example").await.unwrap());
    assert_eq!(session.suspensions().await.unwrap(), [below]);
}

/// By the storage's clock, and without anybody's doing.
pub async fn a_suspension_ends_at_its_time(bench: &Bench) {
    let session = bench.session().await;
    let ending = Suspension {
        until: Some(bench.now().after(HOUR)),
        ..suspension("a.example", "moves")
    };
    session.suspend(&ending).await.unwrap();
    bench.pass(HOUR - Duration::from_millis(1));
    assert_eq!(session.suspensions().await.unwrap(), [ending]);
    bench.pass(Duration::from_millis(1));
    assert_eq!(session.suspensions().await.unwrap(), []);
    assert!(!session.resume("a.example").await.unwrap());
}

/// It says nothing of messages: what is due stays due, and whoever asks may
/// have it.
pub async fn a_suspension_changes_no_message(bench: &Bench) {
    let session = bench.session().await;
    let id = bench.stored(&*session, "a.example").await;
    let before = session.load(id).await.unwrap();
    let one = suspension("a.example", "moves");
    session.suspend(&one).await.unwrap();
    assert_eq!(session.load(id).await.unwrap(), before);
    assert_eq!(due(&*session).await, ["a.example"]);
}

/// There is a bound; what has ended does not count, and neither does what is
/// suspended anew.
pub async fn suspensions_are_bounded(bench: &Bench) {
    let session = bench.session().await;
    let end = Some(bench.now().after(HOUR));
    let all: Vec<Suspension> = (0..SUSPENSIONS_MAX)
        .map(|number| Suspension {
            until: end,
            ..suspension(&format!("{number:04}.example"), "")
        })
        .collect();
    let suspended = join_all(all.iter().map(|one| session.suspend(one))).await;
    assert!(suspended.iter().all(Result::is_ok));
    let more = suspension("more.example", "");
    let refused = session.suspend(&more).await;
    assert!(matches!(refused, Err(StorageError::Full(_))), "{refused:?}");
    assert_eq!(session.suspensions().await.unwrap(), all);
    session
        .suspend(&suspension("0007.example", ""))
        .await
        .unwrap();
    bench.pass(HOUR);
    session.suspend(&more).await.unwrap();
    let left = [suspension("0007.example", ""), more];
    assert_eq!(session.suspensions().await.unwrap(), left);
}

/// Who waits looks again once mail may go again, in whatever session.
pub async fn resuming_wakes_who_waits(bench: &Bench) {
    let session = bench.session().await;
    let one = suspension("a.example", "moves");
    let mut seen = 0;
    session.suspend(&one).await.unwrap();
    seen = changed(&*session, seen).await;
    session.resume("a.example").await.unwrap();
    changed(&*session, seen).await;
}

async fn changed(session: &dyn Session, seen: u64) -> u64 {
    session.changed(seen).await.unwrap()
}
