//! Settles attempts, each fenced by the token of its lease, and what is shared
//! with operators' actions: changing and removing a message.

use slimta_core::message::StoredMessage;
use slimta_core::storage::{Change, Deferral, Owner, Settled, Settlement, StorageError, Ticket};
use uuid::Uuid;

use super::ask;
use super::circuit::Asks;
use super::clock::ServerClock;
use super::rows::{get, key, message, token};
use super::store::{Columns, count, insert};

/// What a row is set to when its lease is given back or settled.
pub(super) const NO_LEASE: &str = "lease_owner = NULL, lease_token = NULL, lease_end = NULL";

/// What becomes of the last lease of a message that is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LastLease {
    /// It is settled.
    Ended,
    /// One that ran out and was not taken still settles.
    Kept,
}

/// Settles what the most of all mail needs in one statement: the removal of a
/// message that shares its contents with no other. False where nothing has
/// changed, because it is otherwise: the lease is lost, or others share.
///
/// That nobody shares stays so, because sharers only leave.
pub(super) async fn remove_alone(
    client: &impl Asks,
    settlement: &Settlement,
) -> Result<bool, StorageError> {
    if settlement.change != Change::Remove || !settlement.notices.is_empty() {
        return Ok(false);
    }
    let ticket = settlement.lease.ticket();
    let removed = ask::run(
        client,
        "WITH message AS (
             DELETE FROM slimta_messages m USING slimta_submissions s
             WHERE m.id = $1 AND m.lease_token = $2 AND s.id = m.submission AND s.sharers = 1
             RETURNING m.submission
         ), contents AS (
             DELETE FROM slimta_contents USING message
             WHERE slimta_contents.submission = message.submission
         )
         DELETE FROM slimta_submissions USING message
         WHERE slimta_submissions.id = message.submission",
        &[&key(ticket.id), &token(ticket)],
    )
    .await?;
    Ok(removed > 0)
}

/// One settlement with its notices made ready, in the caller's transaction.
pub(super) async fn settle(
    txn: &impl Asks,
    clock: &ServerClock,
    owner: &Owner,
    settlement: &Settlement,
    notices: &[Columns],
) -> Result<Settled, StorageError> {
    let ticket = settlement.lease.ticket();
    let is_current = match &settlement.change {
        Change::Remove => remove_leased(txn, ticket).await?,
        Change::Defer(deferral) => defer(txn, ticket, deferral).await?,
    };
    if is_current {
        for notice in notices {
            // One that is there already is not stored again.
            insert(txn, clock, notice, owner, None).await?;
        }
    }
    Ok(Settled::if_current(is_current))
}

async fn remove_leased(txn: &impl Asks, ticket: Ticket) -> Result<bool, StorageError> {
    let removed = ask::row(
        txn,
        "DELETE FROM slimta_messages WHERE id = $1 AND lease_token = $2 RETURNING submission",
        &[&key(ticket.id), &token(ticket)],
    )
    .await?;
    let Some(row) = removed else {
        return Ok(false);
    };
    release_contents(txn, get(&row, "submission")?).await?;
    Ok(true)
}

/// Removes a message whose row is locked by this transaction.
pub(super) async fn remove(txn: &impl Asks, message: &StoredMessage) -> Result<(), StorageError> {
    let statement = "DELETE FROM slimta_messages WHERE id = $1";
    ask::run(txn, statement, &[&key(message.id)]).await?;
    release_contents(txn, key(message.submission)).await
}

/// Removes contents with the last message that shares them. The row of the
/// submission makes those who remove its messages at once take turns.
async fn release_contents(txn: &impl Asks, submission: Uuid) -> Result<(), StorageError> {
    let left = ask::row(
        txn,
        "UPDATE slimta_submissions SET sharers = sharers - 1 WHERE id = $1 RETURNING sharers",
        &[&submission],
    )
    .await?;
    let left: i32 = left.map_or(Ok(0), |row| get(&row, "sharers"))?;
    if left <= 0 {
        let statement = "WITH gone AS (DELETE FROM slimta_submissions WHERE id = $1)
             DELETE FROM slimta_contents WHERE submission = $1";
        ask::run(txn, statement, &[&submission]).await?;
    }
    Ok(())
}

async fn defer(txn: &impl Asks, ticket: Ticket, deferral: &Deferral) -> Result<bool, StorageError> {
    let leased = ask::row(
        txn,
        "SELECT id, record FROM slimta_messages WHERE id = $1 AND lease_token = $2 FOR UPDATE",
        &[&key(ticket.id), &token(ticket)],
    )
    .await?;
    let Some(row) = leased else {
        return Ok(false);
    };
    match message(&row)? {
        Ok(mut message) => {
            deferral.apply(&mut message);
            write(txn, &message, LastLease::Ended).await?;
        }
        Err(unreadable) => quarantine(txn, key(unreadable.id), &unreadable.reason).await?,
    }
    Ok(true)
}

/// Writes a message as it is now.
pub(super) async fn write(
    txn: &impl Asks,
    message: &StoredMessage,
    lease: LastLease,
) -> Result<(), StorageError> {
    let record = message.to_record();
    let record = record.map_err(|error| StorageError::Invalid(error.to_string()))?;
    let (comma, ending) = match lease {
        LastLease::Ended => (", ", NO_LEASE),
        LastLease::Kept => ("", ""),
    };
    let statement = format!(
        "UPDATE slimta_messages
         SET due = $2, attempts = $3, is_held = $4, record = $5, destination = $6{comma}{ending}
         WHERE id = $1"
    );
    ask::run(
        txn,
        &statement,
        &[
            &key(message.id),
            &message.due.as_millis(),
            &count(message.attempts),
            &message.held.is_some(),
            &record,
            &message.destination.as_str(),
        ],
    )
    .await
    .map(drop)
}

/// Puts a message that cannot be read aside. All of its bytes stay.
pub(super) async fn quarantine(
    client: &impl Asks,
    id: Uuid,
    reason: &str,
) -> Result<(), StorageError> {
    tracing::error!(%id, reason, "a message cannot be read and is put into quarantine");
    let statement =
        format!("UPDATE slimta_messages SET quarantined = $2, {NO_LEASE} WHERE id = $1");
    ask::run(client, &statement, &[&id, &reason])
        .await
        .map(drop)
}
