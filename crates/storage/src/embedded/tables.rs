//! The tables, as docs/design/embedded-format.md lays them down.

use redb::TableDefinition;
use slimta_core::message::{Destination, MessageId, Priority, StoredMessage};
use slimta_core::storage::State;
use slimta_core::world::Timestamp;

/// The format that is written.
pub(super) const FORMAT: u64 = 2;
/// The format that is read too, and becomes the other when it is opened: the
/// checksum of contents left their lengths out.
pub(super) const FORMAT_BEFORE: u64 = 1;
/// The keys of [`META`].
pub(super) const META_FORMAT: &str = "format";
pub(super) const META_EPOCH: &str = "epoch";

/// Format version, and how often the store was opened.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// [`Counts`], in one row.
pub(super) const COUNTS: TableDefinition<(), [u64; 5]> = TableDefinition::new("counts");
/// Id ▸ mark and record.
pub(super) const MESSAGES: TableDefinition<u128, (u8, &[u8])> = TableDefinition::new("messages");
/// Destination, priority, due time, id ▸ mark, of all that is not held.
pub(super) const DUE: TableDefinition<DueKey<'static>, u8> = TableDefinition::new("due");
/// Destination ▸ its first due time.
pub(super) const DESTINATIONS: TableDefinition<&str, i64> = TableDefinition::new("destinations");
/// First due time and destination.
pub(super) const HEADS: TableDefinition<(i64, &str), ()> = TableDefinition::new("heads");
/// Submission and number of the chunk ▸ chunk.
pub(super) const CONTENTS: TableDefinition<(u128, u32), &[u8]> = TableDefinition::new("contents");
/// Submission and id, of submissions of several messages.
pub(super) const SHARERS: TableDefinition<(u128, u128), ()> = TableDefinition::new("sharers");
/// Id ▸ what is wrong with it, and the record as it was found.
pub(super) const QUARANTINE: TableDefinition<u128, (&str, &[u8])> =
    TableDefinition::new("quarantine");

/// Destinations ▸ when it ends, and why their mail is kept back.
pub(super) const SUSPENSIONS: TableDefinition<&str, SuspensionRow> =
    TableDefinition::new("suspensions");

pub(super) type SuspensionRow = (Option<i64>, &'static str);
pub(super) type DueKey<'a> = (&'a str, u8, i64, u128);

/// Priorities as they sort.
pub(super) const PRIORITIES: std::ops::Range<u8> = 0..3;

pub(super) fn key(id: MessageId) -> u128 {
    u128::from_be_bytes(*id.as_bytes())
}

pub(super) fn id(key: u128) -> MessageId {
    MessageId::from_bytes(key.to_be_bytes())
}

/// Reads the record that stands at a key, or says what is wrong with it.
pub(super) fn read(at: u128, record: &[u8]) -> Result<StoredMessage, String> {
    match StoredMessage::from_record(record) {
        Ok(message) if key(message.id) == at => Ok(message),
        Ok(message) => Err(format!(
            "the record is that of another message, {}",
            message.id
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// Where a message stands in the due order.
#[derive(Clone, Debug)]
pub(super) struct DuePlace {
    pub(super) destination: Destination,
    pub(super) priority: u8,
    pub(super) due: Timestamp,
    pub(super) id: MessageId,
}

impl DuePlace {
    pub(super) fn of(message: &StoredMessage) -> Self {
        DuePlace {
            destination: message.destination.clone(),
            priority: match message.priority {
                Priority::High => 0,
                Priority::Normal => 1,
                Priority::Low => 2,
            },
            due: message.due,
            id: message.id,
        }
    }

    pub(super) fn key(&self) -> DueKey<'_> {
        let due = self.due.as_millis();
        (self.destination.as_str(), self.priority, due, key(self.id))
    }
}

/// Where a message stands but for leases, which are not on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    Fresh,
    Deferred,
    Held,
}

impl Mark {
    pub(super) fn of(message: &StoredMessage) -> Self {
        if message.held.is_some() {
            Mark::Held
        } else if message.attempts > 0 {
            Mark::Deferred
        } else {
            Mark::Fresh
        }
    }

    pub(super) fn byte(self) -> u8 {
        match self {
            Mark::Fresh => 0,
            Mark::Deferred => 1,
            Mark::Held => 2,
        }
    }

    /// Unknown marks only make a count wrong; the record itself is checked.
    pub(super) fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Mark::Deferred,
            2 => Mark::Held,
            _ => Mark::Fresh,
        }
    }

    pub(super) fn state(self) -> State {
        match self {
            Mark::Fresh => State::Active,
            Mark::Deferred => State::Deferred,
            Mark::Held => State::Held,
        }
    }
}

/// What is counted, as of the last commit.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    pub(super) messages: u64,
    pub(super) deferred: u64,
    pub(super) held: u64,
    pub(super) quarantined: u64,
    pub(super) bytes: u64,
}

impl Counts {
    pub(super) fn from_row(row: [u64; 5]) -> Self {
        let [messages, deferred, held, quarantined, bytes] = row;
        Counts {
            messages,
            deferred,
            held,
            quarantined,
            bytes,
        }
    }

    pub(super) fn row(self) -> [u64; 5] {
        let Counts {
            messages,
            deferred,
            held,
            quarantined,
            bytes,
        } = self;
        [messages, deferred, held, quarantined, bytes]
    }

    pub(super) fn add(&mut self, mark: Mark) {
        self.messages += 1;
        if let Some(count) = self.of(mark) {
            *count += 1;
        }
    }

    pub(super) fn remove(&mut self, mark: Mark) {
        self.messages = self.messages.saturating_sub(1);
        if let Some(count) = self.of(mark) {
            *count = count.saturating_sub(1);
        }
    }

    fn of(&mut self, mark: Mark) -> Option<&mut u64> {
        match mark {
            Mark::Fresh => None,
            Mark::Deferred => Some(&mut self.deferred),
            Mark::Held => Some(&mut self.held),
        }
    }
}
