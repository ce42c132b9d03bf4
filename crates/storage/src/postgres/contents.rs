//! Reads contents.

use slimta_core::message::{Content, MessageId};
use slimta_core::storage::StorageError;

use super::ask;
use super::circuit::Asks;
use super::handed;
use super::rows::{get, key};
use crate::chunks;

/// The contents of a message, or what is wrong with them; none if the message
/// is unknown or set aside.
pub(super) async fn read(
    client: &impl Asks,
    id: MessageId,
) -> Result<Option<Result<Content, String>>, StorageError> {
    let found = ask::rows(
        client,
        "SELECT c.data, s.sha256 FROM slimta_messages m
         JOIN slimta_submissions s ON s.id = m.submission
         JOIN slimta_contents c ON c.submission = m.submission
         WHERE m.id = $1 AND m.quarantined IS NULL ORDER BY c.part",
        &[&key(id)],
    )
    .await?;
    let Some(first) = found.first() else {
        return Ok(None);
    };
    let sha256: Option<&[u8]> = get(first, "sha256")?;
    let parts = found.iter().map(|row| get::<&[u8]>(row, "data"));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    Ok(Some(match sha256 {
        None => chunks::join(parts.into_iter()),
        Some(sha256) => handed::content(&parts, sha256),
    }))
}
