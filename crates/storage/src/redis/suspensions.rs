//! Destinations whose mail is kept back. The first shard knows them.

use slimta_core::storage::{SUSPENSIONS_MAX, StorageError, Suspension};
use slimta_core::world::Timestamp;

use super::Shared;
use super::rows::score;
use super::scripts::{self, Args};
use super::shards::Shard;

fn shard(shared: &Shared) -> Result<&Shard, StorageError> {
    shared.shards()?.first().ok_or(StorageError::Closed)
}

/// Begins one, and forgets those that have ended.
pub(super) async fn begin(shared: &Shared, new: &Suspension) -> Result<(), StorageError> {
    let ends = new.until.map(|until| score(until).to_string());
    let args = Args::new()
        .text(&new.destinations)
        .shown(SUSPENSIONS_MAX)
        .shown(ends.unwrap_or_default())
        .text(&new.reason);
    let begun: i64 = shared
        .call(shard(shared)?, &scripts::SUSPEND, &args)
        .await?;
    match begun {
        0 => Err(StorageError::too_many_suspensions()),
        _ => Ok(()),
    }
}

/// Ends one; says whether it was in force.
pub(super) async fn end(shared: &Shared, destinations: &str) -> Result<bool, StorageError> {
    let args = Args::new().text(destinations);
    let ended: i64 = shared.call(shard(shared)?, &scripts::RESUME, &args).await?;
    Ok(ended == 1)
}

/// Those in force.
pub(super) async fn in_force(shared: &Shared) -> Result<Vec<Suspension>, StorageError> {
    let found: Vec<(String, String, String)> = shared
        .call(shard(shared)?, &scripts::SUSPENSIONS, &Args::new())
        .await?;
    let all = found.into_iter().map(|(destinations, ends, reason)| {
        // None is written as nothing.
        let until = ends.parse().ok().map(Timestamp::from_millis);
        Suspension {
            destinations,
            reason,
            until,
        }
    });
    let mut all: Vec<Suspension> = all.collect();
    all.sort_by(|one, other| one.destinations.cmp(&other.destinations));
    Ok(all)
}
