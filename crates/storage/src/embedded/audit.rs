//! What the tables say of each other, asked when a store is opened. Messages
//! are the truth; places in the due order, first due times, sharers and counts
//! follow from them. Where they do not fit, the file was damaged: what follows
//! is written anew, and what cannot be read is set aside. Nothing is deleted.

use std::collections::{BTreeMap, BTreeSet};

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    WriteTransaction,
};

use super::tables::{
    CONTENTS, COUNTS, Counts, DESTINATIONS, DUE, DuePlace, HEADS, MESSAGES, Mark, QUARANTINE,
    SHARERS, id, key, read,
};
use crate::chunks;

type Done<T> = Result<T, redb::Error>;

/// What the tables beside the messages hold, or should.
#[derive(Default, PartialEq, Eq, Debug)]
struct Derived {
    due: BTreeMap<(String, u8, i64, u128), u8>,
    destinations: BTreeMap<String, i64>,
    heads: BTreeSet<(i64, String)>,
    sharers: BTreeSet<(u128, u128)>,
    marks: BTreeMap<u128, u8>,
    counts: Counts,
    /// Messages that cannot be read, and why.
    unreadable: BTreeMap<u128, String>,
}

/// Compares, mends what can be, and says whether it had to. Fails if the
/// messages themselves do not make sense.
pub(super) fn audit(db: &Database) -> Done<bool> {
    let txn = db.begin_read()?;
    let (found, expected) = (found(&txn)?, expected(&txn)?);
    drop(txn);
    if found == expected {
        return Ok(false);
    }
    for (at, reason) in &expected.unreadable {
        tracing::error!(id = %id(*at), reason, "a message cannot be read and is put into quarantine");
    }
    tracing::error!("the tables of the storage do not fit its messages, and are written anew");
    let mut txn = db.begin_write()?;
    txn.set_quick_repair(true);
    mend(&txn, &expected)?;
    txn.commit()?;
    Ok(true)
}

/// Fails if a walk through a table does not meet as many rows as it has.
fn all_met(rows: u64, len: u64) -> Done<()> {
    match rows == len {
        true => Ok(()),
        false => Err(redb::Error::Corrupted(format!(
            "{rows} of {len} rows can be reached"
        ))),
    }
}

fn found(txn: &ReadTransaction) -> Done<Derived> {
    let mut found = Derived::default();
    for row in txn.open_table(DUE)?.iter()? {
        let (at, mark) = row?;
        let (destination, priority, due, id) = at.value();
        found
            .due
            .insert((destination.to_owned(), priority, due, id), mark.value());
    }
    for row in txn.open_table(DESTINATIONS)?.iter()? {
        let (name, first) = row?;
        found
            .destinations
            .insert(name.value().to_owned(), first.value());
    }
    for row in txn.open_table(HEADS)?.iter()? {
        let at = row?.0;
        let (first, name) = at.value();
        found.heads.insert((first, name.to_owned()));
    }
    for row in txn.open_table(SHARERS)?.iter()? {
        found.sharers.insert(row?.0.value());
    }
    for row in txn.open_table(MESSAGES)?.iter()? {
        let (at, row) = row?;
        found.marks.insert(at.value(), row.value().0);
    }
    let counts = txn.open_table(COUNTS)?.get(())?.map(|row| row.value());
    found.counts = Counts::from_row(counts.unwrap_or_default());
    Ok(found)
}

fn expected(txn: &ReadTransaction) -> Done<Derived> {
    let mut expected = Derived::default();
    let mut submissions: BTreeMap<u128, Vec<u128>> = BTreeMap::new();
    let messages = txn.open_table(MESSAGES)?;
    let mut met = 0;
    for row in messages.iter()? {
        let (at, row) = row?;
        let (at, (_, record)) = (at.value(), row.value());
        met += u64::from(messages.get(at)?.is_some());
        match read(at, record) {
            Ok(message) => {
                let mark = Mark::of(&message);
                expected.counts.add(mark);
                expected.marks.insert(at, mark.byte());
                expected.place(&DuePlace::of(&message), mark);
                let sharers = submissions.entry(key(message.submission)).or_default();
                sharers.push(at);
            }
            Err(reason) => {
                expected.unreadable.insert(at, reason);
            }
        }
    }
    all_met(met, messages.len()?)?;
    expected.share(txn, &submissions)?;
    let contents = txn.open_table(CONTENTS)?;
    let mut met = 0;
    for row in contents.iter()? {
        let (at, chunk) = row?;
        expected.counts.bytes += chunks::len(at.value().1, chunk.value());
        met += 1;
    }
    all_met(met, contents.len()?)?;
    Ok(expected)
}

impl Derived {
    fn place(&mut self, place: &DuePlace, mark: Mark) {
        if mark == Mark::Held {
            return;
        }
        let (name, priority, due, id) = place.key();
        let name = name.to_owned();
        let first = self.destinations.entry(name.clone()).or_insert(due);
        self.heads.remove(&(*first, name.clone()));
        *first = due.min(*first);
        self.heads.insert((*first, name.clone()));
        self.due.insert((name, priority, due, id), mark.byte());
    }

    /// Who shares contents: messages of one submission, and what lies in
    /// quarantine, whose record may not say of which submission it is.
    fn share(
        &mut self,
        txn: &ReadTransaction,
        submissions: &BTreeMap<u128, Vec<u128>>,
    ) -> Done<()> {
        let quarantine = txn.open_table(QUARANTINE)?;
        let mut met = 0;
        for row in quarantine.iter()? {
            row?;
            met += 1;
        }
        all_met(met, quarantine.len()?)?;
        self.counts.quarantined = met + self.unreadable.len() as u64;
        for row in txn.open_table(SHARERS)?.iter()? {
            let (submission, at) = row?.0.value();
            if self.unreadable.contains_key(&at) || quarantine.get(at)?.is_some() {
                self.sharers.insert((submission, at));
            }
        }
        for (submission, ids) in submissions {
            let is_alone = ids.as_slice() == [*submission];
            let is_shared = self
                .sharers
                .range((*submission, 0)..=(*submission, u128::MAX));
            if !is_alone || is_shared.count() > 0 || has_row(txn, *submission)? {
                self.sharers.extend(ids.iter().map(|id| (*submission, *id)));
            }
        }
        Ok(())
    }
}

/// Whether a submission of which only the first message is left had others.
fn has_row(txn: &ReadTransaction, submission: u128) -> Done<bool> {
    let sharers = txn.open_table(SHARERS)?;
    Ok(sharers.get((submission, submission))?.is_some())
}

fn mend(txn: &WriteTransaction, expected: &Derived) -> Done<()> {
    let mut messages = txn.open_table(MESSAGES)?;
    let mut quarantine = txn.open_table(QUARANTINE)?;
    for (at, reason) in &expected.unreadable {
        if let Some(row) = messages.remove(at)? {
            quarantine.insert(at, (reason.as_str(), row.value().1))?;
        }
    }
    for (at, mark) in &expected.marks {
        let row = messages
            .get(at)?
            .map(|row| (row.value().0, row.value().1.to_vec()));
        if let Some((before, record)) = row
            && before != *mark
        {
            messages.insert(at, (*mark, record.as_slice()))?;
        }
    }
    txn.delete_table(DUE)?;
    let mut due = txn.open_table(DUE)?;
    for ((name, priority, since, id), mark) in &expected.due {
        due.insert((name.as_str(), *priority, *since, *id), *mark)?;
    }
    txn.delete_table(DESTINATIONS)?;
    let mut destinations = txn.open_table(DESTINATIONS)?;
    for (name, first) in &expected.destinations {
        destinations.insert(name.as_str(), first)?;
    }
    txn.delete_table(HEADS)?;
    let mut heads = txn.open_table(HEADS)?;
    for (first, name) in &expected.heads {
        heads.insert((*first, name.as_str()), ())?;
    }
    txn.delete_table(SHARERS)?;
    let mut sharers = txn.open_table(SHARERS)?;
    for shared in &expected.sharers {
        sharers.insert(*shared, ())?;
    }
    let mut counts = txn.open_table(COUNTS)?;
    counts.insert((), expected.counts.row())?;
    Ok(())
}
