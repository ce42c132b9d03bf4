//! Pages of messages, for operators and their actions.

use slimta_core::message::MessageId;
use slimta_core::storage::{
    Acted, Action, Filter, Listed, Listing, Page, StorageError, Unreadable,
};

use super::ask;
use super::circuit::Asks;
use super::clock::{NOW, ServerClock};
use super::rows::{get, id, key, lease_view, message};
use super::settle::{LastLease, quarantine, remove, write};

/// How many messages one page looks at.
const SCAN_MAX: usize = 1000;

/// Whether what is read is about to be changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lock {
    None,
    Rows,
}

/// One page of what a filter means.
pub(super) async fn list(
    client: &impl Asks,
    clock: &ServerClock,
    filter: &Filter,
    page: Page,
) -> Result<Listing, StorageError> {
    let listing = select(client, clock, filter, page, Lock::None).await?;
    for Unreadable { id, reason } in &listing.unreadable {
        quarantine(client, key(*id), reason).await?;
    }
    Ok(listing)
}

/// Acts on one page of what a filter means.
pub(super) async fn act(
    txn: &impl Asks,
    clock: &ServerClock,
    filter: &Filter,
    page: Page,
    action: &Action,
) -> Result<Acted, StorageError> {
    let selection = select(txn, clock, filter, page, Lock::Rows).await?;
    let mut acted = Acted {
        next: selection.next,
        ..Acted::default()
    };
    for Listed { mut message, lease } in selection.messages {
        let id = message.id;
        if lease.is_some() {
            acted.leased += 1;
        } else if *action == Action::Delete {
            remove(txn, &message).await?;
            acted.changed.push(id);
        } else if action.apply(&mut message) {
            write(txn, &message, LastLease::Kept).await?;
            acted.changed.push(id);
        }
    }
    Ok(acted)
}

async fn select(
    client: &impl Asks,
    clock: &ServerClock,
    filter: &Filter,
    page: Page,
    lock: Lock,
) -> Result<Listing, StorageError> {
    let mut found = Listing::default();
    let mut after = page.after;
    let mut looked_at = 0;
    while found.messages.len() < page.limit && looked_at < SCAN_MAX {
        let wanted = (page.limit - found.messages.len()).clamp(1, SCAN_MAX - looked_at);
        let rows = rows(client, clock, filter, after, wanted, lock).await?;
        let is_last = rows.len() < wanted;
        looked_at += rows.len();
        for row in &rows {
            after = Some(id(get(row, "id")?));
            add(row, filter, &mut found)?;
        }
        if is_last {
            return Ok(found);
        }
    }
    found.next = after;
    Ok(found)
}

fn add(
    row: &tokio_postgres::Row,
    filter: &Filter,
    found: &mut Listing,
) -> Result<(), StorageError> {
    let quarantined: Option<String> = get(row, "quarantined")?;
    let read = match quarantined {
        Some(reason) => Err(Unreadable {
            id: id(get(row, "id")?),
            reason,
        }),
        None => message(row)?,
    };
    match read {
        Err(unreadable) => found.unreadable.push(unreadable),
        Ok(message) => {
            let lease = lease_view(row)?;
            let listed = Listed { message, lease };
            found
                .messages
                .extend(Some(listed).filter(|listed| filter.matches(listed)));
        }
    }
    Ok(())
}

/// Some of the rows that a filter may mean, in the order of their ids. What is
/// not said here is sorted out by the filter itself. Only what the filter names
/// stands in the statement, so that it finds its index.
async fn rows(
    client: &impl Asks,
    clock: &ServerClock,
    filter: &Filter,
    after: Option<MessageId>,
    limit: usize,
    lock: Lock,
) -> Result<Vec<tokio_postgres::Row>, StorageError> {
    let locking = match lock {
        Lock::None => "",
        Lock::Rows => "FOR UPDATE",
    };
    let destination = filter.destination.as_ref().map(|d| d.as_str());
    let behind = after.map_or("$2::uuid IS NULL", |_| "id > $2");
    let of_id = filter
        .id
        .map_or("$3::uuid IS NULL", |_| "(id = $3 OR submission = $3)");
    let to = destination.map_or("$4::text IS NULL", |_| "destination = $4");
    let statement = format!(
        "SELECT id, record, quarantined, lease_owner, lease_end, {NOW} AS now
         FROM slimta_messages
         WHERE {behind} AND {of_id} AND {to}
         ORDER BY id LIMIT $5 {locking}"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    ask::rows(
        client,
        &statement,
        &[
            &clock.parameter(),
            &after.map(key),
            &filter.id.map(key),
            &destination,
            &limit,
        ],
    )
    .await
}
