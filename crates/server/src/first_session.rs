//! The first session of a server whose storage may start later than it does,
//! as after a reboot.

use std::sync::Arc;
use std::time::Duration;

use slimta_core::storage::{Session, Storage, StorageError};
use slimta_core::world::World;

/// Least time between two tries, and how much longer it may be by chance, so
/// that servers that share a storage do not all knock at the same moment.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_CHANCE: Duration = Duration::from_secs(1);
/// How often it is said that the storage is still not there.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// A session, as soon as the storage can be reached. What waiting does not mend,
/// such as a wrong password, is an error at once.
pub(crate) async fn first_session(
    storage: &dyn Storage,
    world: &World,
) -> Result<Arc<dyn Session>, StorageError> {
    let mut tell_at = None;
    loop {
        let reason = match storage.connect().await {
            Ok(session) => {
                if tell_at.is_some() {
                    tracing::info!("the storage is there");
                }
                return Ok(session);
            }
            Err(StorageError::Unavailable(reason)) => reason,
            Err(error) => return Err(error),
        };
        let now = world.monotonic();
        if tell_at.is_none_or(|at| now >= at) {
            tracing::warn!(reason, "waiting for the storage, no port is open yet");
            tell_at = Some(now + TELL_EVERY);
        }
        let chance = world.random_u64() % PAUSE_CHANCE.as_millis() as u64;
        world.sleep(PAUSE + Duration::from_millis(chance)).await;
    }
}
