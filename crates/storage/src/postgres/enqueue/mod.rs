//! Mail from inside an application's own transaction.

#[cfg(feature = "sqlx")]
pub mod sqlx;

use slimta_core::message::{Message, MessageId};
use slimta_core::queue::{ByDomain, split};
use slimta_core::world::{Timestamp, World};
use tokio_postgres::Transaction;

use super::listen::CHANNEL;
use super::migrate::VERSION;
use super::store::{Columns, Leasing, statement};

/// Why a message could not be queued. The transaction is to be rolled back
/// after [`EnqueueError::Database`]; the others have changed nothing in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnqueueError<E = tokio_postgres::Error> {
    /// The message cannot be queued as it is.
    #[error("the message cannot be queued: {0}")]
    Invalid(String),
    /// The tables were made by another version of slimta.
    #[error("the queue's tables have version {found}; this version of slimta knows {VERSION}")]
    Version {
        /// The version found.
        found: i32,
    },
    /// The database says why. The tables are made by the first server that
    /// opens the storage, in the first schema of its `search_path`; this
    /// transaction has to find them in its own.
    #[error(transparent)]
    Database(#[from] E),
}

/// Queues a message in the caller's transaction: it is sent if and only if that
/// commits. A server that is waiting wakes with the commit. Gives the message's
/// id, which is what an SMTP client would have been told.
///
/// The message is sent as it is: no policy adds a header. It goes by the domains
/// of its recipients, whatever router the servers use for the mail that they
/// take in. What the commit is worth, is up to the transaction's
/// `synchronous_commit`: mail that was sent was committed durably, always.
///
/// ```no_run
/// # async fn example(
/// #     client: &mut tokio_postgres::Client,
/// #     message: slimta_core::message::Message,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut transaction = client.transaction().await?;
/// transaction.execute("INSERT INTO orders (item) VALUES ('a book')", &[]).await?;
/// slimta_storage::postgres::enqueue(&mut transaction, message).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
pub async fn enqueue(
    transaction: &mut Transaction<'_>,
    message: Message,
) -> Result<MessageId, EnqueueError> {
    let state = transaction.query_one(STATE, &[]).await?;
    check(state.try_get("version")?)?;
    let (columns, id) = columns(message, Timestamp::from_millis(state.try_get("now")?))?;
    let parameters = columns.parameters(&Leasing::NONE);
    transaction.execute(&statement(), &parameters).await?;
    transaction.execute(NOTIFY, &[&CHANNEL]).await?;
    Ok(id)
}

/// The version of the tables, and the time of the database.
const STATE: &str = "SELECT version, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now
    FROM slimta_version";
/// Wakes the servers when the transaction commits.
const NOTIFY: &str = "SELECT pg_notify($1, '')";

fn check<E>(found: i32) -> Result<(), EnqueueError<E>> {
    match found {
        VERSION => Ok(()),
        found => Err(EnqueueError::Version { found }),
    }
}

/// The message as rows, received and due at the database's own time.
fn columns<E>(
    mut message: Message,
    now: Timestamp,
) -> Result<(Columns, MessageId), EnqueueError<E>> {
    let recipients = &message.envelope.recipients;
    let no_domain = recipients.iter().find(|r| r.address.domain().is_none());
    if let Some(recipient) = no_domain {
        let why = format!("the recipient {} has no domain", recipient.address);
        return Err(EnqueueError::Invalid(why));
    }
    let router = ByDomain {
        local_domain: String::new(),
    };
    message.timestamp = now;
    let submission = split(message, &router, &World::system(), now)
        .ok_or_else(|| EnqueueError::Invalid("it has no recipients".to_owned()))?;
    let columns =
        Columns::new(&submission).map_err(|error| EnqueueError::Invalid(error.to_string()))?;
    let id = submission.messages.first().map_or(MessageId::MIN, |m| m.id);
    Ok((columns, id))
}
