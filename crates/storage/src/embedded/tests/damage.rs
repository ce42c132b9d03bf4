//! Damaged records and strange stores: shown, kept, and in nobody's way.

use std::path::Path;

use redb::ReadableTable;
use slimta_core::message::{Destination, MessageId};
use slimta_core::storage::{Session, Storage, StorageError};
use slimta_core::world::World;

use super::{LEASE, LIMITS, list, mail, messages, world};
use crate::embedded::Embedded;
use crate::embedded::tables::{CONTENTS, FORMAT, FORMAT_BEFORE, MESSAGES, META, META_FORMAT, key};

fn open(directory: &Path, world: &World) -> Embedded {
    Embedded::open_with(directory, world.clone(), LIMITS).unwrap()
}

/// Flips a bit in the middle of a record.
pub(super) fn flip_record(store: &Embedded, id: MessageId) {
    let txn = store.0.engine.begin_write().unwrap();
    {
        let mut table = txn.open_table(MESSAGES).unwrap();
        let (mark, mut record) = {
            let row = table.get(key(id)).unwrap().unwrap();
            (row.value().0, row.value().1.to_vec())
        };
        let middle = record.len() / 2;
        record[middle] ^= 1;
        table.insert(key(id), (mark, record.as_slice())).unwrap();
    }
    txn.commit().unwrap();
}

async fn two(session: &dyn Session, world: &World) -> [MessageId; 2] {
    let mut ids = [MessageId::MIN; 2];
    for id in &mut ids {
        let mail = mail(world, &["a.example"], vec![b'x'; 100]);
        *id = mail.messages[0].id;
        session.store(mail, None).await.unwrap();
    }
    ids
}

async fn claimed(session: &dyn Session) -> Vec<MessageId> {
    let destination = Destination::new("a.example");
    let claimed = session.claim(&destination, 10, LEASE).await.unwrap();
    claimed.iter().map(|leased| leased.lease.id()).collect()
}

#[tokio::test]
async fn a_damaged_record_is_listed_kept_and_stops_nobody() {
    let (world, directory) = (world(), tempfile::tempdir().unwrap());
    let store = open(directory.path(), &world);
    let session = store.connect().await.unwrap();
    let [bad, good] = two(&*session, &world).await;
    flip_record(&store, bad);
    for _ in 0..2 {
        let listing = list(&*session).await;
        assert_eq!(listing.messages.len(), 1);
        assert_eq!(listing.unreadable.len(), 1);
        assert_eq!(listing.unreadable[0].id, bad);
        assert!(listing.unreadable[0].reason.contains("checksum"));
    }
    let stats = session.stats().await.unwrap();
    assert_eq!((stats.messages, stats.quarantined), (1, 1));
    assert_eq!(claimed(&*session).await, [good]);
    assert_eq!(session.load(bad).await.unwrap(), None);
    drop((session, store));
    let session = open(directory.path(), &world).connect().await.unwrap();
    assert_eq!(list(&*session).await.unreadable[0].id, bad);
}

#[tokio::test]
async fn a_claim_passes_by_what_it_cannot_read() {
    let (world, directory) = (world(), tempfile::tempdir().unwrap());
    let store = open(directory.path(), &world);
    let session = store.connect().await.unwrap();
    let [bad, good] = two(&*session, &world).await;
    flip_record(&store, bad);
    assert_eq!(claimed(&*session).await, [good]);
    assert_eq!(session.stats().await.unwrap().quarantined, 1);
    assert!(session.due_destinations(None, 10).await.unwrap().is_empty());
    assert_eq!(session.lock(bad, LEASE).await.unwrap(), None);
}

#[tokio::test]
async fn a_message_with_damaged_contents_is_put_aside() {
    let (world, directory) = (world(), tempfile::tempdir().unwrap());
    let store = open(directory.path(), &world);
    let session = store.connect().await.unwrap();
    let [bad, good] = two(&*session, &world).await;
    let txn = store.0.engine.begin_write().unwrap();
    {
        let mut table = txn.open_table(CONTENTS).unwrap();
        table.insert((key(bad), 0), &b"something else"[..]).unwrap();
    }
    txn.commit().unwrap();
    assert_eq!(session.contents(bad).await.unwrap(), None);
    assert!(session.contents(good).await.unwrap().is_some());
    assert_eq!(messages(&*session).await.len(), 1);
    assert_eq!(list(&*session).await.unreadable[0].id, bad);
    assert_eq!(claimed(&*session).await, [good]);
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let (world, directory) = (world(), tempfile::tempdir().unwrap());
    let set_format = |store: &Embedded, format: u64| {
        let txn = store.0.engine.begin_write().unwrap();
        let mut meta = txn.open_table(META).unwrap();
        meta.insert(META_FORMAT, format).unwrap();
        drop(meta);
        txn.commit().unwrap();
    };
    set_format(&open(directory.path(), &world), FORMAT + 1);
    let error = Embedded::open_with(directory.path(), world, LIMITS).unwrap_err();
    assert!(matches!(error, StorageError::Version { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&*directory.path().to_string_lossy()),
        "{text}"
    );
    assert!(text.contains("version 3"), "{text}");
}

#[tokio::test]
async fn the_format_before_is_taken_over() {
    let (world, directory) = (world(), tempfile::tempdir().unwrap());
    let store = open(directory.path(), &world);
    let [id, _] = two(&*store.connect().await.unwrap(), &world).await;
    let txn = store.0.engine.begin_write().unwrap();
    let mut meta = txn.open_table(META).unwrap();
    meta.insert(META_FORMAT, FORMAT_BEFORE).unwrap();
    drop(meta);
    txn.commit().unwrap();
    drop(store);
    for _ in 0..2 {
        let session = open(directory.path(), &world).connect().await.unwrap();
        assert!(session.contents(id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mail.redb");
    let text = "not a store, but somebody's only copy of something\n".repeat(1000);
    std::fs::write(&path, &text).unwrap();
    let error = Embedded::open_with(directory.path(), world(), LIMITS).unwrap_err();
    assert!(matches!(error, StorageError::Open { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}
