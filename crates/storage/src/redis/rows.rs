//! Between what scripts give and values.

use slimta_core::message::{MessageId, StoredMessage};
use slimta_core::storage::{
    Lease, LeaseView, Leased, Listed, Owner, StorageError, Ticket, Unreadable,
};
use slimta_core::world::Timestamp;

use super::shards::Shard;

/// A message as the scripts of listings give it: id, record, revision, why it
/// is in quarantine, owner and end of the lease in force.
pub(super) type Fields = (
    String,
    Vec<u8>,
    String,
    Option<String>,
    Option<String>,
    Option<i64>,
);

/// A lease as scripts grant it, with the record: id, token, end, record.
pub(super) type Granted = (String, u64, i64, Vec<u8>);

/// A message in a listing.
pub(super) struct Row {
    pub(super) id: MessageId,
    /// Another with every change of the record.
    pub(super) revision: String,
    pub(super) read: Result<Listed, Unreadable>,
    /// It is in quarantine already.
    pub(super) is_quarantined: bool,
}

impl Row {
    pub(super) fn new(fields: Fields) -> Result<Self, StorageError> {
        let (id, record, revision, quarantined, owner, end) = fields;
        let id = self::id(&id)?;
        let is_quarantined = quarantined.is_some();
        let unreadable = |reason| Unreadable { id, reason };
        let read = match quarantined {
            Some(reason) => Err(unreadable(reason)),
            None => StoredMessage::from_record(&record)
                .map(|message| Listed {
                    message,
                    lease: owner.zip(end).map(|(owner, end)| LeaseView {
                        owner: Owner::new(owner),
                        end: Timestamp::from_millis(end),
                    }),
                })
                .map_err(|error| unreadable(error.to_string())),
        };
        Ok(Row {
            id,
            revision,
            read,
            is_quarantined,
        })
    }
}

/// What was just leased on a shard.
pub(super) fn leased(
    shard: &Shard,
    granted: Granted,
) -> Result<Result<Leased, Unreadable>, StorageError> {
    let (id, token, end, record) = granted;
    let lease = lease(shard, &id, token, end)?;
    let id = lease.id();
    Ok(match StoredMessage::from_record(&record) {
        Ok(message) => Ok(Leased { lease, message }),
        Err(error) => Err(Unreadable {
            id,
            reason: error.to_string(),
        }),
    })
}

pub(super) fn lease(shard: &Shard, id: &str, token: u64, end: i64) -> Result<Lease, StorageError> {
    let end = Timestamp::from_millis(end);
    Ok(Lease::granted(self::id(id)?, shard.token(token), end))
}

impl Shard {
    /// More shards than a queue may have.
    const NUMBERS: u64 = 1 << 10;

    /// A token says which shard gave it, so that nobody has to look for its
    /// message. It grows with the shard's own.
    fn token(&self, own: u64) -> u64 {
        own.saturating_mul(Self::NUMBERS) + u64::from(self.number)
    }

    /// The number of the shard that granted a lease.
    pub(super) fn number_of(ticket: Ticket) -> usize {
        usize::try_from(ticket.token % Self::NUMBERS).unwrap_or(usize::MAX)
    }

    /// A token as the shard knows it.
    pub(super) fn own_token(ticket: Ticket) -> u64 {
        ticket.token / Self::NUMBERS
    }
}

pub(super) fn id(text: &str) -> Result<MessageId, StorageError> {
    let strange = |error| StorageError::Unavailable(format!("Redis gave a strange id: {error}"));
    text.parse().map_err(strange)
}

pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A time as sorted sets order it: scores are exact up to 2^53, which is some
/// 285,000 years away. The record has the time itself.
pub(super) fn score(time: Timestamp) -> i64 {
    const EXACT: i64 = 1 << 53;
    time.as_millis().clamp(-EXACT, EXACT)
}

/// A limit as scripts take it.
pub(super) fn limit(limit: usize) -> usize {
    limit.min(1_000_000)
}
