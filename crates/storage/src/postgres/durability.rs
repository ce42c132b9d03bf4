//! Whether the server keeps what it has acknowledged, asked of every new
//! connection: a server may come back with other settings.

use deadpool_postgres::{ClientWrapper, HookError};
use slimta_core::storage::StorageError;

use super::ask;
use super::circuit::Connection;

/// The server's settings; NULL where a server does not know one. `$1` says
/// whether the session may be mended: what its role or database leaves to
/// chance is set to `on`, and `remote_apply`, which is more, stays.
const SETTINGS: &str = "
    SELECT current_setting('fsync', true) AS fsync,
        current_setting('full_page_writes', true) AS full_page_writes,
        CASE
            WHEN $1 AND current_setting('synchronous_commit', true) NOT IN ('on', 'remote_apply')
                THEN set_config('synchronous_commit', 'on', false)
            ELSE current_setting('synchronous_commit', true)
        END AS synchronous_commit";

/// What a power cut does where a setting of the server is off.
const RISKS: [(&str, &str); 2] = [
    ("fsync", "a power cut destroys the database"),
    (
        "full_page_writes",
        "a power cut in the middle of a page destroys it",
    ),
];

/// Refuses a connection to a server that could lose acknowledged mail, and sees
/// that the commits of this session wait for the disk, and for a synchronous
/// standby where there is one.
pub(super) async fn demand(client: &mut ClientWrapper) -> Result<(), HookError> {
    let row = client.query_one(SETTINGS, &[&true]).await;
    let row = row.map_err(HookError::Backend)?;
    for (setting, risk) in RISKS {
        let value: Option<&str> = row.try_get(setting).map_err(HookError::Backend)?;
        if value == Some("off") {
            return Err(HookError::message(format!(
                "{setting} is off on this server: {risk}, and with it mail that was answered 250; \
                 set {setting} = on in postgresql.conf, or accept the loss with allow_lossy=true \
                 in the URL"
            )));
        }
    }
    Ok(())
}

/// Says once what is accepted where `allow_lossy` is set.
pub(super) async fn warn(client: &Connection, place: &str) -> Result<(), StorageError> {
    let Some(row) = ask::row(client, SETTINGS, &[&false]).await? else {
        return Ok(());
    };
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        let value: Option<&str> = row.try_get(setting).unwrap_or_default();
        if let Some(value @ ("off" | "local" | "remote_write")) = value {
            tracing::warn!(
                storage = place,
                "allow_lossy: {setting} is {value}, mail that was answered 250 may be lost"
            );
        }
    }
    Ok(())
}
