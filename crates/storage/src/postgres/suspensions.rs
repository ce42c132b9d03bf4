//! Destinations whose mail is kept back.

use slimta_core::storage::{SUSPENSIONS_MAX, StorageError, Suspension};
use slimta_core::world::Timestamp;

use super::Shared;
use super::ask::{self, Parameters};
use super::circuit::Asks;
use super::clock::{NOW, ServerClock};
use super::listen::notify;
use super::rows::get;

/// Begins one, and tells all who manage the queue.
pub(super) async fn suspend(shared: &Shared, new: &Suspension) -> Result<(), StorageError> {
    let mut client = shared.client().await?;
    let txn = client.transaction().await?;
    begin(&txn, &shared.clock, new).await?;
    notify(&txn).await?;
    txn.commit().await?;
    shared.changed();
    Ok(())
}

/// Ends one, and tells all who manage the queue; says whether it was in force.
pub(super) async fn resume(shared: &Shared, destinations: &str) -> Result<bool, StorageError> {
    let mut client = shared.client().await?;
    let txn = client.transaction().await?;
    let resumed = end(&txn, &shared.clock, destinations).await?;
    notify(&txn).await?;
    txn.commit().await?;
    shared.changed();
    Ok(resumed)
}

/// Begins one, and forgets those that have ended.
async fn begin(txn: &impl Asks, clock: &ServerClock, new: &Suspension) -> Result<(), StorageError> {
    let forget = format!("DELETE FROM slimta_suspensions WHERE ends <= {NOW}");
    ask::run(txn, &forget, &[&clock.parameter()]).await?;
    let insert = "INSERT INTO slimta_suspensions (destinations, reason, ends)
         SELECT $1, $2, $3
         WHERE (SELECT count(*) FROM slimta_suspensions WHERE destinations <> $1) < $4
         ON CONFLICT (destinations) DO UPDATE
         SET reason = EXCLUDED.reason, ends = EXCLUDED.ends";
    let ends = new.until.map(Timestamp::as_millis);
    let most = i64::try_from(SUSPENSIONS_MAX).unwrap_or(i64::MAX);
    let parameters: Parameters<'_> = &[&new.destinations, &new.reason, &ends, &most];
    match ask::run(txn, insert, parameters).await? {
        0 => Err(StorageError::too_many_suspensions()),
        _ => Ok(()),
    }
}

/// Ends one; says whether it was in force.
async fn end(
    txn: &impl Asks,
    clock: &ServerClock,
    destinations: &str,
) -> Result<bool, StorageError> {
    let statement = format!(
        "DELETE FROM slimta_suspensions WHERE destinations = $2
         RETURNING ends IS NULL OR ends > {NOW} AS was_in_force"
    );
    let row = ask::row(txn, &statement, &[&clock.parameter(), &destinations]).await?;
    row.map_or(Ok(false), |row| get(&row, "was_in_force"))
}

/// Those in force.
pub(super) async fn in_force(
    client: &impl Asks,
    clock: &ServerClock,
) -> Result<Vec<Suspension>, StorageError> {
    let statement = format!(
        "SELECT destinations, reason, ends FROM slimta_suspensions
         WHERE ends IS NULL OR ends > {NOW} ORDER BY destinations"
    );
    let rows = ask::rows(client, &statement, &[&clock.parameter()]).await?;
    let all = rows.iter().map(|row| {
        let until: Option<i64> = get(row, "ends")?;
        Ok(Suspension {
            destinations: get(row, "destinations")?,
            reason: get(row, "reason")?,
            until: until.map(Timestamp::from_millis),
        })
    });
    all.collect()
}
