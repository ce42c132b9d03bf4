//! A full disk: no new mail is taken, but what is there can be settled.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use slimta_core::storage::{
    Action, Change, Filter, FirstLeases, Leased, Page, Session, Settled, Settlement, Storage,
    StorageError,
};

use super::disk::SimDisk;
use super::{LEASE, LIMITS, Limits, mail, messages, world};
use crate::embedded::Embedded;

const LEASES: FirstLeases = FirstLeases {
    count: 1,
    lease: LEASE,
};

async fn remove(session: &dyn Session, leased: Leased) -> Settled {
    let settlement = Settlement {
        lease: leased.lease,
        change: Change::Remove,
        notices: Vec::new(),
    };
    let mut answers = session.settle(&[settlement]).await.unwrap();
    answers.remove(0).unwrap()
}

#[tokio::test(start_paused = true)]
async fn scarce_room_is_left_to_what_settles() {
    let world = world();
    let disk = Arc::new(SimDisk::default());
    let limits = Limits {
        free_bytes_min: 1 << 20,
        ..LIMITS
    };
    let store = Embedded::on(disk.clone(), world.clone(), limits).unwrap();
    let session = store.connect().await.unwrap();
    let new = || mail(&world, &["a.example"], vec![b'x'; 1000]);
    let mut leased = session.store(new(), Some(LEASES)).await.unwrap();
    disk.scarce.store(true, Ordering::Relaxed);
    let refused = session.store(new(), None).await;
    assert!(matches!(refused, Err(StorageError::Full(_))), "{refused:?}");
    assert_eq!(remove(&*session, leased.remove(0)).await, Settled::Done);
    assert!(messages(&*session).await.is_empty());
    disk.scarce.store(false, Ordering::Relaxed);
    session.store(new(), None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn room_that_mail_has_left_in_the_file_is_room() {
    let world = world();
    let disk = Arc::new(SimDisk::default());
    let limits = Limits {
        free_bytes_min: 4 << 20,
        ..LIMITS
    };
    let store = Embedded::on(disk.clone(), world.clone(), limits).unwrap();
    let session = store.connect().await.unwrap();
    let new = || mail(&world, &["a.example"], vec![b'x'; 1 << 20]);
    for _ in 0..10 {
        session.store(new(), None).await.unwrap();
    }
    disk.scarce.store(true, Ordering::Relaxed);
    let refused = session.store(new(), None).await;
    assert!(matches!(refused, Err(StorageError::Full(_))), "{refused:?}");
    let all = Page::first(100);
    session
        .act(&Filter::default(), all, &Action::Delete)
        .await
        .unwrap();
    session.store(new(), None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fills_up_during_a_write_costs_the_reserve_only() {
    let world = world();
    let disk = Arc::new(SimDisk::default());
    let store = Embedded::on(disk.clone(), world.clone(), LIMITS).unwrap();
    let session = store.connect().await.unwrap();
    let new = || mail(&world, &["a.example"], vec![b'x'; 1000]);
    let mut leased = session.store(new(), Some(LEASES)).await.unwrap();
    disk.full.store(true, Ordering::Relaxed);
    assert_eq!(remove(&*session, leased.remove(0)).await, Settled::Done);
    // The next mail would eat what is left for settling.
    let refused = session.store(new(), None).await;
    assert!(matches!(refused, Err(StorageError::Full(_))), "{refused:?}");
    disk.full.store(false, Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(60)).await;
    session.store(new(), None).await.unwrap();
    assert_eq!(messages(&*session).await.len(), 1);
}

#[tokio::test]
async fn the_reserve_is_a_file_that_takes_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open_with(directory.path(), world(), LIMITS).unwrap();
    let reserve = directory.path().join("reserve");
    assert_eq!(reserve.metadata().unwrap().len(), LIMITS.reserve_bytes);
    assert!(store.0.engine.disk.give_up_reserve());
    assert!(!reserve.exists());
    assert!(!store.0.engine.disk.give_up_reserve());
    assert!(store.0.engine.disk.restore_reserve());
    assert_eq!(reserve.metadata().unwrap().len(), LIMITS.reserve_bytes);
}

#[tokio::test]
async fn a_drained_store_gives_its_room_back_when_it_is_opened() {
    let (world, directory) = (world(), tempfile::tempdir().unwrap());
    let file = || directory.path().join("mail.redb").metadata().unwrap().len();
    let open = || Embedded::open_with(directory.path(), world.clone(), LIMITS).unwrap();
    let session = open().connect().await.unwrap();
    for _ in 0..40 {
        let mail = mail(&world, &["a.example"], vec![b'x'; 200_000]);
        session.store(mail, None).await.unwrap();
    }
    for message in messages(&*session).await.into_iter().skip(1) {
        let (filter, page) = (Filter::id(message.id), Page::first(1));
        session.act(&filter, page, &Action::Delete).await.unwrap();
    }
    let left = messages(&*session).await;
    let content = session.contents(left[0].id).await.unwrap();
    drop(session);
    let before = file();
    let session = open().connect().await.unwrap();
    assert!(file() < before / 4, "{before} bytes, now {}", file());
    assert_eq!(messages(&*session).await, left);
    assert_eq!(session.contents(left[0].id).await.unwrap(), content);
}
