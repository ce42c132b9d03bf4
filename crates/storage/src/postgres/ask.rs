//! Asks the database. A connection prepares each statement once.

use std::pin::pin;
use std::time::Duration;

use deadpool_postgres::GenericClient as _;
use futures_util::TryStreamExt as _;
use slimta_core::storage::StorageError;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::circuit::Asks;

/// What stands for `$1`, `$2` and so on.
pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// All rows that a statement gives.
pub(super) async fn rows(
    asks: &impl Asks,
    statement: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>, StorageError> {
    rows_of(asks, statement, parameters, 0).await
}

/// The same for parameters of so many bytes. Rows may take their time as long as
/// they come.
pub(super) async fn rows_of(
    asks: &impl Asks,
    statement: &str,
    parameters: Parameters<'_>,
    bytes: u64,
) -> Result<Vec<Row>, StorageError> {
    let (client, line) = (asks.client(), asks.line());
    let statement = line.answer(client.prepare_cached(statement)).await?;
    let asking = client.query_raw(&statement, parameters.iter().copied());
    let mut stream = pin!(line.answer_to(bytes, asking).await?);
    let mut rows = Vec::new();
    while let Some(row) = line.answer_to(bytes, stream.try_next()).await? {
        rows.push(row);
    }
    Ok(rows)
}

/// The row that a statement gives, if it gives one.
pub(super) async fn row(
    asks: &impl Asks,
    statement: &str,
    parameters: Parameters<'_>,
) -> Result<Option<Row>, StorageError> {
    Ok(rows(asks, statement, parameters).await?.pop())
}

/// Runs a statement; says how many rows it changed.
pub(super) async fn run(
    asks: &impl Asks,
    statement: &str,
    parameters: Parameters<'_>,
) -> Result<u64, StorageError> {
    let (client, line) = (asks.client(), asks.line());
    let statement = line.answer(client.prepare_cached(statement)).await?;
    line.answer(client.execute(&statement, parameters)).await
}

/// Runs statements without parameters, for at most so long.
pub(super) async fn batch(
    asks: &impl Asks,
    statements: &str,
    limit: Duration,
) -> Result<(), StorageError> {
    let asking = asks.client().batch_execute(statements);
    asks.line().answer_within(limit, asking).await
}
