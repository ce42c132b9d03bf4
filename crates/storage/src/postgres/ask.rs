//! Asks the database. A connection prepares each statement once.

use deadpool_postgres::GenericClient;
use slimta_core::storage::StorageError;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::rows::unavailable;

/// What stands for `$1`, `$2` and so on.
pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// All rows that a statement gives.
pub(super) async fn rows(
    client: &impl GenericClient,
    statement: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>, StorageError> {
    let prepared = client.prepare_cached(statement).await;
    let statement = prepared.map_err(unavailable)?;
    let answer = client.query(&statement, parameters).await;
    answer.map_err(unavailable)
}

/// The row that a statement gives, if it gives one.
pub(super) async fn row(
    client: &impl GenericClient,
    statement: &str,
    parameters: Parameters<'_>,
) -> Result<Option<Row>, StorageError> {
    Ok(rows(client, statement, parameters).await?.pop())
}

/// Runs a statement; says how many rows it changed.
pub(super) async fn run(
    client: &impl GenericClient,
    statement: &str,
    parameters: Parameters<'_>,
) -> Result<u64, StorageError> {
    let prepared = client.prepare_cached(statement).await;
    let statement = prepared.map_err(unavailable)?;
    let answer = client.execute(&statement, parameters).await;
    answer.map_err(unavailable)
}
