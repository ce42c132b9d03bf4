//! The same for applications that use sqlx.

use slimta_core::message::{Message, MessageId};
use slimta_core::world::Timestamp;
use sqlx_core::query::query;
use sqlx_core::query_as::query_as;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_core::transaction::Transaction;
use sqlx_postgres::Postgres;

use super::super::listen::CHANNEL;
use super::super::store::statement;
use super::{EnqueueError, NOTIFY, STATE, check, columns};

/// Queues a message in the caller's transaction, as
/// [`enqueue`](super::enqueue) does; `Transaction` is `sqlx::Transaction`.
pub async fn enqueue(
    transaction: &mut Transaction<'_, Postgres>,
    message: Message,
) -> Result<MessageId, EnqueueError<sqlx_core::Error>> {
    let connection = &mut **transaction;
    let (version, now): (i32, i64) = query_as(STATE).fetch_one(&mut *connection).await?;
    check(version)?;
    let (columns, id) = columns(message, Timestamp::from_millis(now))?;
    let inserting = columns.bind(query(AssertSqlSafe(statement())));
    inserting.execute(&mut *connection).await?;
    let notifying = query(NOTIFY).bind(CHANNEL);
    notifying.execute(&mut *connection).await?;
    Ok(id)
}
