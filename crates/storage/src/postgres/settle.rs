//! Settles attempts, each fenced by the token of its lease, and what is shared
//! with operators' actions: changing and removing a message.

use slimta_core::message::StoredMessage;
use slimta_core::storage::{Change, Deferral, Owner, Settled, StorageError, Ticket};
use tokio_postgres::{GenericClient, Transaction};
use uuid::Uuid;

use super::clock::ServerClock;
use super::rows::{get, key, message, token, unavailable};
use super::store::{Columns, count, insert};

/// A settlement made ready.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) ticket: Ticket,
    pub(super) change: Change,
    pub(super) notices: Vec<Columns>,
}

pub(super) async fn settle(
    txn: &Transaction<'_>,
    clock: &ServerClock,
    owner: &Owner,
    settling: &Settling,
) -> Result<Settled, StorageError> {
    let is_current = match &settling.change {
        Change::Remove => remove_leased(txn, settling.ticket).await?,
        Change::Defer(deferral) => defer(txn, settling.ticket, deferral).await?,
    };
    if !is_current {
        return Ok(Settled::LeaseLost);
    }
    for notice in &settling.notices {
        // One that is there already is not stored again.
        insert(txn, clock, notice, owner, None).await?;
    }
    Ok(Settled::Done)
}

async fn remove_leased(txn: &Transaction<'_>, ticket: Ticket) -> Result<bool, StorageError> {
    let removed = txn
        .query_opt(
            "DELETE FROM slimta_messages WHERE id = $1 AND lease_token = $2 RETURNING submission",
            &[&key(ticket.id), &token(ticket)],
        )
        .await
        .map_err(unavailable)?;
    let Some(row) = removed else { return Ok(false) };
    release_contents(txn, get(&row, "submission")?).await?;
    Ok(true)
}

/// Removes a message whose row is locked by this transaction.
pub(super) async fn remove(
    txn: &Transaction<'_>,
    message: &StoredMessage,
) -> Result<(), StorageError> {
    txn.execute(
        "DELETE FROM slimta_messages WHERE id = $1",
        &[&key(message.id)],
    )
    .await
    .map_err(unavailable)?;
    release_contents(txn, key(message.submission)).await
}

/// Removes contents with the last message that shares them. The row of the
/// submission makes those who remove its messages at once take turns.
async fn release_contents(txn: &Transaction<'_>, submission: Uuid) -> Result<(), StorageError> {
    let left = txn
        .query_opt(
            "UPDATE slimta_submissions SET sharers = sharers - 1 WHERE id = $1 RETURNING sharers",
            &[&submission],
        )
        .await
        .map_err(unavailable)?;
    let left: i32 = left.map_or(Ok(0), |row| get(&row, "sharers"))?;
    if left <= 0 {
        txn.execute(
            "WITH gone AS (DELETE FROM slimta_submissions WHERE id = $1)
             DELETE FROM slimta_contents WHERE submission = $1",
            &[&submission],
        )
        .await
        .map_err(unavailable)?;
    }
    Ok(())
}

async fn defer(
    txn: &Transaction<'_>,
    ticket: Ticket,
    deferral: &Deferral,
) -> Result<bool, StorageError> {
    let row = txn
        .query_opt(
            "SELECT id, record FROM slimta_messages WHERE id = $1 AND lease_token = $2 FOR UPDATE",
            &[&key(ticket.id), &token(ticket)],
        )
        .await
        .map_err(unavailable)?;
    let Some(row) = row else { return Ok(false) };
    match message(&row)? {
        Ok(mut message) => {
            deferral.apply(&mut message);
            write(txn, &message).await?;
            end_lease(txn, key(message.id)).await?;
        }
        Err(unreadable) => quarantine(txn, key(unreadable.id), &unreadable.reason).await?,
    }
    Ok(true)
}

async fn end_lease(client: &impl GenericClient, id: Uuid) -> Result<(), StorageError> {
    client
        .execute(
            "UPDATE slimta_messages
             SET lease_owner = NULL, lease_token = NULL, lease_end = NULL WHERE id = $1",
            &[&id],
        )
        .await
        .map_err(unavailable)?;
    Ok(())
}

/// Writes a message as it is now. A lease that ran out and was not taken still
/// settles, so it stays.
pub(super) async fn write(
    txn: &Transaction<'_>,
    message: &StoredMessage,
) -> Result<(), StorageError> {
    let record = message.to_record();
    let record = record.map_err(|error| StorageError::Invalid(error.to_string()))?;
    txn.execute(
        "UPDATE slimta_messages SET due = $2, attempts = $3, is_held = $4, record = $5
         WHERE id = $1",
        &[
            &key(message.id),
            &message.due.as_millis(),
            &count(message.attempts),
            &message.held.is_some(),
            &record,
        ],
    )
    .await
    .map_err(unavailable)?;
    Ok(())
}

/// Puts a message that cannot be read aside. All of its bytes stay.
pub(super) async fn quarantine(
    client: &impl GenericClient,
    id: Uuid,
    reason: &str,
) -> Result<(), StorageError> {
    tracing::error!(%id, reason, "a message cannot be read and is put into quarantine");
    client
        .execute(
            "UPDATE slimta_messages SET quarantined = $2 WHERE id = $1",
            &[&id, &reason],
        )
        .await
        .map_err(unavailable)?;
    end_lease(client, id).await
}
