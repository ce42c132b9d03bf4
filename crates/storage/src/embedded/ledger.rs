//! Changes of the tables within one transaction. Whatever is done to a message,
//! its record, its place in the due order, its contents and the counts change
//! together.

use std::collections::BTreeSet;

use redb::{ReadableTable, Table, WriteTransaction};
use slimta_core::message::{Destination, MessageId, StoredMessage};
use slimta_core::storage::{Change, Filter, LeaseView, Page};
use slimta_core::world::Timestamp;

use super::prepare::Prepared;
use super::select::{Selection, head, select};
use super::suspensions::{self, Suspending};
use super::tables::{
    CONTENTS, COUNTS, Counts, DESTINATIONS, DUE, DueKey, DuePlace, HEADS, MESSAGES, Mark,
    QUARANTINE, SHARERS, SUSPENSIONS, key, read,
};
use crate::chunks;

type Done<T> = Result<T, redb::Error>;

pub(super) struct Ledger<'t> {
    txn: &'t WriteTransaction,
    messages: Table<'t, u128, (u8, &'static [u8])>,
    due: Table<'t, DueKey<'static>, u8>,
    contents: Table<'t, (u128, u32), &'static [u8]>,
    sharers: Table<'t, (u128, u128), ()>,
    counts: Counts,
    /// Destinations whose first due time may have changed.
    touched: BTreeSet<Destination>,
}

impl<'t> Ledger<'t> {
    pub(super) fn open(txn: &'t WriteTransaction) -> Done<Self> {
        let counts = txn.open_table(COUNTS)?.get(())?.map(|row| row.value());
        Ok(Ledger {
            txn,
            messages: txn.open_table(MESSAGES)?,
            due: txn.open_table(DUE)?,
            contents: txn.open_table(CONTENTS)?,
            sharers: txn.open_table(SHARERS)?,
            counts: Counts::from_row(counts.unwrap_or_default()),
            touched: BTreeSet::new(),
        })
    }

    /// Writes what follows from the changes: first due times and counts.
    pub(super) fn finish(self) -> Done<()> {
        let mut destinations = self.txn.open_table(DESTINATIONS)?;
        let mut heads = self.txn.open_table(HEADS)?;
        for destination in &self.touched {
            let name = destination.as_str();
            let now = head(&self.due, name, |_| false)?;
            let before = destinations.get(name)?.map(|due| due.value());
            if now == before {
                continue;
            }
            if let Some(before) = before {
                heads.remove((before, name))?;
            }
            match now {
                Some(now) => {
                    heads.insert((now, name), ())?;
                    destinations.insert(name, now)?;
                }
                None => {
                    destinations.remove(name)?;
                }
            }
        }
        let mut counts = self.txn.open_table(COUNTS)?;
        counts.insert((), self.counts.row())?;
        Ok(())
    }

    /// Says whether there was room to begin, or something to end.
    pub(super) fn suspend(&self, change: &Suspending, now: Timestamp) -> Done<bool> {
        suspensions::change(&mut self.txn.open_table(SUSPENSIONS)?, change, now)
    }

    /// Whether any part of the submission is there.
    pub(super) fn knows(&self, submission: &Prepared) -> Done<bool> {
        if self
            .contents
            .get((key(submission.submission), 0))?
            .is_some()
        {
            return Ok(true);
        }
        for message in &submission.messages {
            if self.messages.get(key(message.place.id))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn insert(&mut self, submission: &Prepared) -> Done<()> {
        let name = key(submission.submission);
        for (number, chunk) in (0..).zip(&submission.chunks) {
            self.contents.insert((name, number), chunk.as_slice())?;
        }
        self.counts.bytes += submission.content_bytes;
        for message in &submission.messages {
            let id = key(message.place.id);
            let record = (message.mark.byte(), message.record.as_slice());
            self.messages.insert(id, record)?;
            self.counts.add(message.mark);
            self.place(&message.place, message.mark)?;
            if submission.messages.len() > 1 {
                self.sharers.insert((name, id), ())?;
            }
        }
        Ok(())
    }

    /// Settles an attempt; false if the message is not there any more.
    pub(super) fn change(&mut self, id: MessageId, change: &Change) -> Done<bool> {
        match change {
            Change::Remove => self.remove(id),
            Change::Defer(deferral) => self.edit(id, |message| deferral.apply(message)),
        }
    }

    pub(super) fn remove(&mut self, id: MessageId) -> Done<bool> {
        let Some(message) = self.take(id)? else {
            return Ok(false);
        };
        self.messages.remove(key(id))?;
        self.release_contents(message.submission, id)?;
        Ok(true)
    }

    pub(super) fn edit(
        &mut self,
        id: MessageId,
        edit: impl FnOnce(&mut StoredMessage),
    ) -> Done<bool> {
        let Some(mut message) = self.take(id)? else {
            return Ok(false);
        };
        edit(&mut message);
        let mark = Mark::of(&message);
        let record = message
            .to_record()
            .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
        self.messages
            .insert(key(id), (mark.byte(), record.as_slice()))?;
        self.counts.add(mark);
        self.place(&DuePlace::of(&message), mark)?;
        Ok(true)
    }

    /// Puts a record that cannot be used aside, as it is. Its contents stay.
    pub(super) fn quarantine(&mut self, id: MessageId, reason: &str) -> Done<bool> {
        let Some(row) = self.messages.remove(key(id))? else {
            return Ok(false);
        };
        let (mark, record) = row.value();
        if let Ok(message) = read(key(id), record) {
            self.due.remove(DuePlace::of(&message).key())?;
            self.touched.insert(message.destination);
        }
        let mut quarantine = self.txn.open_table(QUARANTINE)?;
        quarantine.insert(key(id), (reason, record))?;
        self.counts.remove(Mark::from_byte(mark));
        self.counts.quarantined += 1;
        Ok(true)
    }

    /// Removes a place in the due order that nothing readable stands behind.
    pub(super) fn clear_place(&mut self, place: &DuePlace) -> Done<()> {
        self.due.remove(place.key())?;
        self.touched.insert(place.destination.clone());
        Ok(())
    }

    pub(super) fn select(
        &self,
        filter: &Filter,
        page: Page,
        lease: impl Fn(MessageId) -> Option<LeaseView>,
    ) -> Done<Selection> {
        select(&self.messages, &self.sharers, filter, page, lease)
    }

    /// Takes a message out of the due order and the counts. What cannot be read
    /// goes to quarantine.
    fn take(&mut self, id: MessageId) -> Done<Option<StoredMessage>> {
        let read = match self.messages.get(key(id))? {
            None => return Ok(None),
            Some(row) => {
                let (mark, record) = row.value();
                (mark, read(key(id), record))
            }
        };
        match read {
            (mark, Ok(message)) => {
                self.counts.remove(Mark::from_byte(mark));
                self.due.remove(DuePlace::of(&message).key())?;
                self.touched.insert(message.destination.clone());
                Ok(Some(message))
            }
            (_, Err(reason)) => {
                self.quarantine(id, &reason)?;
                Ok(None)
            }
        }
    }

    fn place(&mut self, place: &DuePlace, mark: Mark) -> Done<()> {
        if mark != Mark::Held {
            self.due.insert(place.key(), mark.byte())?;
        }
        if !self.touched.contains(&place.destination) {
            self.touched.insert(place.destination.clone());
        }
        Ok(())
    }

    /// Removes contents with the last message that shares them.
    fn release_contents(&mut self, submission: MessageId, id: MessageId) -> Done<()> {
        let name = key(submission);
        self.sharers.remove((name, key(id)))?;
        let mut left = self.sharers.range((name, 0)..=(name, u128::MAX))?;
        if left.next().is_some() {
            return Ok(());
        }
        drop(left);
        for number in 0.. {
            let Some(chunk) = self.contents.remove((name, number))? else {
                break;
            };
            let bytes = chunks::len(number, chunk.value());
            self.counts.bytes = self.counts.bytes.saturating_sub(bytes);
        }
        Ok(())
    }
}
