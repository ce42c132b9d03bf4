//! Makes the tables and brings them up to date, once, whoever comes first.

use std::time::Duration;

use slimta_core::storage::StorageError;

use super::rows::get;
use super::{Shared, ask};

/// What makes each version of the tables out of the one before. What was once
/// released stays as it is.
const STEPS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
];
/// The version of the tables that this program knows.
pub(super) const VERSION: i32 = 6;
/// A new index on a long queue takes its time.
const TIME_MAX: Duration = Duration::from_secs(3600);
/// Any number that no other program locks.
const LOCK: i64 = 0x736c_696d_7461;

/// Makes the tables if they are not there, and brings them to [`VERSION`].
pub(super) async fn migrate(shared: &Shared) -> Result<(), StorageError> {
    let mut client = shared.client().await?;
    let txn = client.transaction().await?;
    // Until the end of the transaction: others wait, then find the tables.
    let begin = format!(
        "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({LOCK});
         CREATE TABLE IF NOT EXISTS slimta_version (version integer NOT NULL)"
    );
    ask::batch(&txn, &begin, TIME_MAX).await?;
    let found = ask::row(&txn, "SELECT version FROM slimta_version", &[]).await?;
    let found = found.map_or(Ok(0), |row| get(&row, "version"))?;
    let Some(steps) = steps(found) else {
        return Err(StorageError::Version {
            place: shared.place().to_owned(),
            found: found.to_string(),
            known: VERSION.to_string(),
        });
    };
    for step in steps {
        ask::batch(&txn, step, TIME_MAX).await?;
    }
    if found != VERSION {
        ask::run(&txn, "DELETE FROM slimta_version", &[]).await?;
        let insert = "INSERT INTO slimta_version VALUES ($1)";
        ask::run(&txn, insert, &[&VERSION]).await?;
    }
    txn.commit().await
}

/// What is left to do from a version on; none for one that is not known.
fn steps(found: i32) -> Option<&'static [&'static str]> {
    STEPS.get(usize::try_from(found).ok()?..)
}
