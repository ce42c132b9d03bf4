//! Reads of what was committed last. They never wait for the writer.

use redb::{ReadTransaction, ReadableTable};
use slimta_core::message::{Content, Destination, MessageId, StoredMessage};
use slimta_core::storage::{Due, Filter, LeaseView, Page, Unreadable};
use slimta_core::world::Timestamp;

use super::leases::Overlay;
use super::select::{Selection, head, select};
use super::tables::{
    CONTENTS, COUNTS, Counts, DUE, DueKey, DuePlace, HEADS, MESSAGES, Mark, PRIORITIES, QUARANTINE,
    SHARERS, id, key, read,
};
use crate::chunks;

type Read<T> = Result<T, redb::Error>;

/// How many records are looked at to find the oldest that can be read.
const OLDEST_SCAN_MAX: usize = 16;

pub(super) struct Snapshot(ReadTransaction);

/// A message as it was found.
pub(super) enum Found {
    Message(Box<StoredMessage>, Mark),
    Unreadable(String),
    Nothing,
}

impl Snapshot {
    pub(super) fn new(txn: ReadTransaction) -> Self {
        Snapshot(txn)
    }

    pub(super) fn message(&self, id: MessageId) -> Read<Found> {
        let messages = self.0.open_table(MESSAGES)?;
        let Some(row) = messages.get(key(id))? else {
            return Ok(Found::Nothing);
        };
        let (mark, record) = row.value();
        Ok(match read(key(id), record) {
            Ok(message) => Found::Message(Box::new(message), Mark::from_byte(mark)),
            Err(reason) => Found::Unreadable(reason),
        })
    }

    /// Contents of a submission, or what is wrong with them.
    pub(super) fn contents(&self, submission: MessageId) -> Read<Result<Content, String>> {
        let contents = self.0.open_table(CONTENTS)?;
        let name = key(submission);
        let rows = contents.range((name, 0)..=(name, u32::MAX))?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        Ok(chunks::join(rows.iter().map(|(_, chunk)| chunk.value())))
    }

    /// The due messages of a destination, by priority, then the longest due, or
    /// `by_age` the longest due of all, but for those that are not free.
    pub(super) fn due(
        &self,
        destination: &Destination,
        limit: usize,
        by_age: bool,
        now: Timestamp,
        is_free: impl Fn(MessageId) -> bool,
    ) -> Read<Vec<(DuePlace, Mark)>> {
        let table = self.0.open_table(DUE)?;
        let mut due = Vec::new();
        for priority in PRIORITIES {
            let from: DueKey<'_> = (destination.as_str(), priority, i64::MIN, 0);
            let to = (destination.as_str(), priority, now.as_millis(), u128::MAX);
            let others = if by_age { due.len() } else { 0 };
            for row in table.range::<DueKey<'_>>(from..=to)? {
                if due.len() - others >= limit {
                    break;
                }
                let (at, mark) = row?;
                let (_, _, since, at) = at.value();
                if is_free(id(at)) {
                    let place = DuePlace {
                        destination: destination.clone(),
                        priority,
                        due: Timestamp::from_millis(since),
                        id: id(at),
                    };
                    due.push((place, Mark::from_byte(mark.value())));
                }
            }
        }
        if by_age {
            due.sort_by_key(|(place, _)| (place.due, place.id));
            due.truncate(limit);
        }
        Ok(due)
    }

    /// The first due times of destinations, in order. Of destinations that have
    /// leased mail the index does not know it, so these are looked up.
    pub(super) fn heads(
        &self,
        after: Option<&Due>,
        limit: usize,
        until: Timestamp,
        overlay: &Overlay,
    ) -> Read<Vec<Due>> {
        let due = self.0.open_table(DUE)?;
        let mut heads = Vec::new();
        for destination in &overlay.busy {
            let taken = |at| overlay.taken.contains(&id(at));
            if let Some(since) = head(&due, destination.as_str(), taken)? {
                heads.push(Due {
                    since: Timestamp::from_millis(since),
                    destination: destination.clone(),
                });
            }
        }
        heads.retain(|head| head.since <= until && after.is_none_or(|after| head > after));
        let table = self.0.open_table(HEADS)?;
        let from = match after {
            Some(after) => (after.since.as_millis(), after.destination.as_str()),
            None => (i64::MIN, ""),
        };
        let busy = heads.len();
        for row in table.range(from..)? {
            let (at, _) = row?;
            let (since, name) = at.value();
            if heads.len() - busy >= limit || since > until.as_millis() {
                break;
            }
            let head = Due {
                since: Timestamp::from_millis(since),
                destination: Destination::new(name),
            };
            if !overlay.busy.contains(&head.destination) && after != Some(&head) {
                heads.push(head);
            }
        }
        heads.sort();
        heads.truncate(limit);
        Ok(heads)
    }

    pub(super) fn select(
        &self,
        filter: &Filter,
        page: Page,
        lease: impl Fn(MessageId) -> Option<LeaseView>,
    ) -> Read<Selection> {
        let messages = self.0.open_table(MESSAGES)?;
        let sharers = self.0.open_table(SHARERS)?;
        select(&messages, &sharers, filter, page, lease)
    }

    /// What lies in quarantine behind `after`, up to `until`.
    pub(super) fn quarantined(
        &self,
        after: Option<MessageId>,
        until: Option<MessageId>,
        limit: usize,
    ) -> Read<Vec<Unreadable>> {
        let table = self.0.open_table(QUARANTINE)?;
        let from = after.map_or(0, |after| key(after).saturating_add(1));
        let to = until.map_or(u128::MAX, key);
        if from > to {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for row in table.range(from..=to)?.take(limit) {
            let (at, row) = row?;
            found.push(Unreadable {
                id: id(at.value()),
                reason: row.value().0.to_owned(),
            });
        }
        Ok(found)
    }

    pub(super) fn counts(&self) -> Read<Counts> {
        let table = self.0.open_table(COUNTS)?;
        let row = table.get(())?;
        Ok(Counts::from_row(row.map_or([0; 5], |row| row.value())))
    }

    /// When the first message was received: ids sort by arrival.
    pub(super) fn oldest(&self) -> Read<Option<Timestamp>> {
        let messages = self.0.open_table(MESSAGES)?;
        for row in messages.iter()?.take(OLDEST_SCAN_MAX) {
            let (at, row) = row?;
            if let Ok(message) = read(at.value(), row.value().1) {
                return Ok(Some(message.received));
            }
        }
        Ok(None)
    }
}
