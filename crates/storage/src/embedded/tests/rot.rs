//! Flipped bits anywhere in the file. What cannot be read is shown and kept, or
//! the store is refused in words; other mail goes its way, and nothing is ever
//! altered unseen.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{ReadableTable, TableDefinition, WriteTransaction};
use slimta_core::message::{Destination, StoredMessage};
use slimta_core::storage::{Filter, Page, Session, Storage, StorageError};

use super::books::{Books, Seen, check_image};
use super::disk::SimDisk;
use super::script::{Chapter, OPERATIONS, chapters};
use super::{LEASE, LIMITS, Limits};
use crate::embedded::Embedded;
use crate::embedded::audit::audit;
use crate::embedded::file::Backing;
use crate::embedded::tables::{
    COUNTS, DESTINATIONS, DUE, DuePlace, HEADS, MESSAGES, META, META_EPOCH, QUARANTINE, SHARERS,
    id, key,
};

const UNAUDITED: Limits = Limits {
    audit_file_bytes_max: 0,
    ..LIMITS
};
const PAGE_BYTES: usize = 4096;
/// The offsets in a page at which a bit is flipped: its head, where the
/// structure is, and some of the rest.
const OFFSETS: [usize; 15] = [
    0, 1, 2, 3, 5, 9, 17, 40, 70, 130, 300, 700, 1500, 3000, 4090,
];

/// What came of a flipped bit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fate {
    /// All is as it was.
    Unseen,
    /// Something is in quarantine, the rest as it was.
    SetAside,
    /// The store stopped while it was used, and says so.
    Stopped,
    /// The store was not opened.
    Refused,
}

/// Flips one bit at many places, and counts the fates.
async fn flip(limits: Limits) -> BTreeMap<Fate, usize> {
    let chapter = chapters().await.pop().unwrap();
    let mut fates = BTreeMap::new();
    for (number, page) in chapter.image.chunks(PAGE_BYTES).enumerate() {
        if page.iter().all(|byte| *byte == 0) {
            continue;
        }
        for offset in OFFSETS {
            let at = number * PAGE_BYTES + offset;
            let mut image = chapter.image.clone();
            image[at] ^= 1 << (offset % 8);
            let fate = fate(&chapter.books, image, limits, &format!("byte {at}")).await;
            *fates.entry(fate).or_default() += 1;
        }
    }
    fates
}

async fn fate(books: &Books, image: Vec<u8>, limits: Limits, at: &str) -> Fate {
    let disk = Arc::new(SimDisk::holding(image));
    let opened = catch_unwind(AssertUnwindSafe(|| {
        Embedded::on(disk, Chapter::later(), limits)
    }));
    let store = match opened.unwrap_or_else(|_| panic!("{at}: opening has panicked")) {
        Ok(store) => store,
        Err(StorageError::Open { place, reason }) => {
            let says_what_to_do = reason.contains("mail.redb") && reason.contains("backup");
            assert!(place == "test" && says_what_to_do, "{at}: {reason}");
            return Fate::Refused;
        }
        Err(StorageError::Version { .. }) => return Fate::Refused,
        Err(error) => panic!("{at}: {error}"),
    };
    let session = store.connect().await.unwrap();
    let is_audited = limits.audit_file_bytes_max > 0;
    match look(books, &*session, is_audited, at).await {
        Ok(fate) => fate,
        Err(StorageError::Poisoned(_) | StorageError::Unavailable(_)) => Fate::Stopped,
        Err(error) => panic!("{at}: {error}"),
    }
}

/// Compares all that can be read with what was stored. Without an audit mail may
/// be out of sight, but is never altered.
async fn look(
    books: &Books,
    session: &dyn Session,
    is_audited: bool,
    at: &str,
) -> Result<Fate, StorageError> {
    let mut claimed = Vec::new();
    for name in ["a.example", "b.example", "c.example", "home.example"] {
        let destination = Destination::new(name);
        let leased = session.claim(&destination, 100, LEASE).await?;
        claimed.extend(leased.into_iter().map(|leased| leased.message));
    }
    let is_same = |message: &StoredMessage| {
        let known = books.known.get(&message.id);
        assert_eq!(known, Some(&Seen::there(message)), "{at}: altered");
    };
    for message in &claimed {
        is_same(message);
        if let Some(content) = session.contents(message.id).await? {
            assert!(
                books.is_content_of(message.id, &content),
                "{at}: altered contents"
            );
        }
    }
    let listing = session.list(&Filter::default(), Page::first(1000)).await?;
    for listed in &listing.messages {
        is_same(&listed.message);
        let is_due = listed.message.held.is_none();
        let is_claimed = claimed.contains(&listed.message);
        assert!(is_claimed || !is_due || !is_audited, "{at}: stuck");
    }
    let count = |is_meant: fn(&Seen) -> bool| books.known.values().filter(|s| is_meant(s)).count();
    let there = count(|seen| matches!(seen, Seen::There(_)));
    let spoiled = count(|seen| *seen == Seen::Spoiled);
    let aside = listing.unreadable.len().saturating_sub(spoiled);
    let is_all = listing.messages.len() + aside >= there;
    assert!(is_all || !is_audited, "{at}: mail is lost without a word");
    Ok(match aside {
        0 => Fate::Unseen,
        _ => Fate::SetAside,
    })
}

#[tokio::test(start_paused = true)]
async fn a_flipped_bit_is_seen_and_harms_nobody_else() {
    let fates = flip(LIMITS).await;
    println!("{fates:?}");
    assert!(fates.contains_key(&Fate::SetAside), "{fates:?}");
    assert!(fates.contains_key(&Fate::Refused), "{fates:?}");
}

/// A store that is too large to be read whole when it is opened.
#[tokio::test(start_paused = true)]
async fn a_flipped_bit_in_a_large_store_alters_nothing() {
    let fates = flip(UNAUDITED).await;
    println!("{fates:?}");
    assert!(fates.contains_key(&Fate::SetAside), "{fates:?}");
}

/// One row of a table is damaged, and what has to be found then.
type Damage = fn(&WriteTransaction, &StoredMessage, &mut Books);

/// Each table in turn, and what its damage does.
const DAMAGES: [(&str, Damage); 12] = [
    ("the epoch", |txn, _, _| {
        put(txn, META, META_EPOCH, 1 << 20);
    }),
    ("counts", |txn, _, _| {
        put(txn, COUNTS, (), [1 << 40, 7, 0, 0, 1])
    }),
    ("a mark", |txn, victim, _| {
        let record = victim.to_record().unwrap();
        put(txn, MESSAGES, key(victim.id), (2, record.as_slice()));
    }),
    ("a record", |txn, victim, books| {
        let mut record = victim.to_record().unwrap();
        record[20] ^= 4;
        put(txn, MESSAGES, key(victim.id), (0, record.as_slice()));
        books.known.insert(victim.id, Seen::Spoiled);
    }),
    ("the key of a record", |txn, victim, books| {
        let at = key(victim.id);
        let record = victim.to_record().unwrap();
        txn.open_table(MESSAGES).unwrap().remove(at).unwrap();
        put(txn, MESSAGES, at ^ 8, (0, record.as_slice()));
        books.known.insert(victim.id, Seen::Gone);
        books.move_submission(victim.id, id(at ^ 8));
        books.known.insert(id(at ^ 8), Seen::Spoiled);
    }),
    ("a place in the due order", |txn, victim, _| {
        let place = DuePlace::of(victim);
        txn.open_table(DUE).unwrap().remove(place.key()).unwrap();
    }),
    ("another place in the due order", |txn, victim, _| {
        let mut place = DuePlace::of(victim);
        place.id = id(key(place.id) ^ 2);
        put(txn, DUE, place.key(), 0);
    }),
    ("a destination", |txn, _, _| {
        put(txn, DESTINATIONS, "a.example", 3)
    }),
    ("a head", |txn, _, _| {
        let mut heads = txn.open_table(HEADS).unwrap();
        heads.retain(|_, ()| false).unwrap();
    }),
    ("a sharer", |txn, victim, _| {
        let shared = (key(victim.submission), key(victim.id));
        txn.open_table(SHARERS).unwrap().remove(shared).unwrap();
    }),
    ("a sharer that is none", |txn, victim, _| {
        put(txn, SHARERS, (key(victim.submission), 7), ());
    }),
    ("quarantine", |txn, _, _| {
        let mut quarantine = txn.open_table(QUARANTINE).unwrap();
        let at = quarantine.first().unwrap().unwrap().0.value();
        quarantine
            .insert(at, ("why", [1, 2, 3].as_slice()))
            .unwrap();
    }),
];

fn put<K: redb::Key + 'static, V: redb::Value + 'static>(
    txn: &WriteTransaction,
    table: TableDefinition<'_, K, V>,
    key: K::SelfType<'_>,
    value: V::SelfType<'_>,
) {
    txn.open_table(table).unwrap().insert(key, value).unwrap();
}

#[tokio::test(start_paused = true)]
async fn damage_of_any_table_is_mended_or_set_aside() {
    let chapter = chapters().await.pop().unwrap();
    for (what, damage) in DAMAGES {
        let disk = Arc::new(SimDisk::holding(chapter.image.clone()));
        let store = Embedded::on(disk.clone(), Chapter::later(), UNAUDITED).unwrap();
        let mut books = chapter.books.clone();
        let victim = books.shared_and_due();
        let txn = store.0.engine.begin_write().unwrap();
        damage(&txn, &victim, &mut books);
        txn.commit().unwrap();
        drop(store);
        check_image(disk.after_kill(), &Chapter::later(), LIMITS, &books, what).await;
    }
}

/// However it was used, and wherever it was killed: only damage is mended.
#[tokio::test(start_paused = true)]
async fn an_audit_leaves_an_undamaged_store_alone() {
    let first = chapters().await.swap_remove(0);
    let disk = Arc::new(SimDisk::holding(first.image.clone()));
    disk.watch();
    let store = Embedded::on(disk.clone(), first.world(), UNAUDITED).unwrap();
    let mut player = first.player(&store).await;
    for operation in (0..3).flat_map(|_| 0..2 * OPERATIONS) {
        assert!(player.play(operation).await);
    }
    for (number, cut) in disk.cuts().into_iter().enumerate() {
        let disk = Arc::new(SimDisk::holding(cut.image(number as u64)));
        let db = redb::Builder::new().create_with_backend(Backing::new(disk));
        assert!(!audit(&db.unwrap()).unwrap(), "sync {number}");
    }
}
