//! Makes the tables and brings them up to date, once, whoever comes first.

use slimta_core::storage::StorageError;

use super::Shared;
use super::rows::unavailable;

/// What makes each version of the tables out of the one before. What was once
/// released stays as it is.
const STEPS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];
/// The version of the tables that this program knows.
pub(super) const VERSION: i32 = 2;
/// Any number that no other program locks.
const LOCK: i64 = 0x736c_696d_7461;

/// Makes the tables if they are not there, and brings them to [`VERSION`].
pub(super) async fn migrate(shared: &Shared) -> Result<(), StorageError> {
    let mut client = shared.client().await?;
    let txn = client.transaction().await.map_err(unavailable)?;
    // Until the end of the transaction: others wait, then find the tables.
    txn.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(unavailable)?;
    txn.batch_execute("CREATE TABLE IF NOT EXISTS slimta_version (version integer NOT NULL)")
        .await
        .map_err(unavailable)?;
    let found = txn
        .query_opt("SELECT version FROM slimta_version", &[])
        .await
        .map_err(unavailable)?;
    let found = match &found {
        Some(row) => row.try_get::<_, i32>(0).map_err(unavailable)?,
        None => 0,
    };
    let Some(steps) = steps(found) else {
        return Err(StorageError::Version {
            place: shared.place.clone(),
            found: found.to_string(),
            known: VERSION.to_string(),
        });
    };
    for step in steps {
        txn.batch_execute(step).await.map_err(unavailable)?;
    }
    if found != VERSION {
        txn.batch_execute("DELETE FROM slimta_version")
            .await
            .map_err(unavailable)?;
        txn.execute("INSERT INTO slimta_version VALUES ($1)", &[&VERSION])
            .await
            .map_err(unavailable)?;
    }
    txn.commit().await.map_err(unavailable)
}

/// What is left to do from a version on; none for one that is not known.
fn steps(found: i32) -> Option<&'static [&'static str]> {
    STEPS.get(usize::try_from(found).ok()?..)
}
