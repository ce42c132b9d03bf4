//! Makes the tables, once, whoever comes first.

use slimta_core::storage::StorageError;

use super::Shared;
use super::rows::unavailable;

/// The version of the tables that this program knows.
const VERSION: i32 = 1;
/// Any number that no other program locks.
const LOCK: i64 = 0x736c_696d_7461;

/// Makes the tables if they are not there, and checks their version.
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
    match found.map(|row| row.try_get::<_, i32>(0)) {
        None => {
            txn.batch_execute(include_str!("schema.sql"))
                .await
                .map_err(unavailable)?;
            txn.execute("INSERT INTO slimta_version VALUES ($1)", &[&VERSION])
                .await
                .map_err(unavailable)?;
        }
        Some(Ok(VERSION)) => {}
        Some(Ok(found)) => {
            return Err(StorageError::Version {
                place: shared.place.clone(),
                found: found.to_string(),
                known: VERSION.to_string(),
            });
        }
        Some(Err(error)) => return Err(unavailable(error)),
    }
    txn.commit().await.map_err(unavailable)
}
