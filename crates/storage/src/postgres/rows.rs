//! Between rows and values.

use slimta_core::message::{MessageId, StoredMessage};
use slimta_core::storage::{Lease, LeaseView, Leased, Owner, StorageError, Ticket, Unreadable};
use slimta_core::world::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::handed;

/// What every error of the database is to the queue: try again later.
pub(super) fn unavailable(error: tokio_postgres::Error) -> StorageError {
    StorageError::Unavailable(told(&error))
}

/// An error with what caused it.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some libraries say of an error what its cause says of itself.
        told = match text.strip_prefix(&told) {
            Some(_) => text,
            None if told.ends_with(&text) => told,
            None => format!("{told}: {text}"),
        };
        cause = error.source();
    }
    told
}

pub(super) fn key(id: MessageId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

pub(super) fn id(key: Uuid) -> MessageId {
    MessageId::from_bytes(*key.as_bytes())
}

/// Tokens come from a sequence and are never negative.
pub(super) fn token(ticket: Ticket) -> i64 {
    i64::try_from(ticket.token).unwrap_or(-1)
}

pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// A message in a row with `id` and `record`.
pub(super) fn message(row: &Row) -> Result<Result<StoredMessage, Unreadable>, StorageError> {
    let record: &[u8] = get(row, "record")?;
    let unreadable = |reason| Unreadable {
        id: id(row.get("id")),
        reason,
    };
    let read = match handed::is_handed(record) {
        true => handed::message(record),
        false => StoredMessage::from_record(record).map_err(|error| error.to_string()),
    };
    Ok(read.map_err(unreadable))
}

/// What was just leased, in a row with `id`, `record`, `lease_token` and
/// `lease_end`.
pub(super) fn leased(row: &Row) -> Result<Result<Leased, Unreadable>, StorageError> {
    let granted: (i64, i64) = (get(row, "lease_token")?, get(row, "lease_end")?);
    let token = u64::try_from(granted.0).unwrap_or(0);
    Ok(message(row)?.map(|message| Leased {
        lease: Lease::granted(message.id, token, Timestamp::from_millis(granted.1)),
        message,
    }))
}

/// The lease in force, in a row with `lease_owner`, `lease_end` and `now`.
pub(super) fn lease_view(row: &Row) -> Result<Option<LeaseView>, StorageError> {
    let owner: Option<&str> = get(row, "lease_owner")?;
    let (end, now): (Option<i64>, i64) = (get(row, "lease_end")?, get(row, "now")?);
    Ok(owner
        .zip(end)
        .filter(|(_, end)| *end > now)
        .map(|(owner, end)| LeaseView {
            owner: Owner::new(owner),
            end: Timestamp::from_millis(end),
        }))
}

pub(super) fn get<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    column: &str,
) -> Result<T, StorageError> {
    row.try_get(column).map_err(unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Said>>);

    #[test]
    fn nothing_is_told_twice() {
        let chain = |texts: &[&'static str]| {
            let said = texts
                .iter()
                .rev()
                .fold(None, |cause, text| Some(Box::new(Said(text, cause))));
            told(&*said.unwrap())
        };
        assert_eq!(chain(&["no answer", "timeout"]), "no answer: timeout");
        assert_eq!(chain(&["db error", "db error: gone"]), "db error: gone");
        assert_eq!(chain(&["db error: gone", "gone"]), "db error: gone");
    }
}
