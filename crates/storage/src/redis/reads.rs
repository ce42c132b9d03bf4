//! Reads that look over all shards.

use std::collections::BTreeMap;

use slimta_core::message::{Content, Destination, MessageId};
use slimta_core::storage::{Due, Listed, Stats, StorageError, Unreadable};
use slimta_core::world::Timestamp;

use super::Shared;
use super::rows::{Fields, Row, limit, score};
use super::scripts::{self, Args};
use super::shards::Shard;
use crate::chunks;

/// How many chunks of contents one call reads, so that none keeps others
/// waiting for long.
const CHUNKS_MAX: usize = 16;

/// The destinations that have due mail, the longest due first.
///
/// One that has mail on several shards may come again behind the cursor, for
/// its mail on another shard.
pub(super) async fn due_destinations(
    shared: &Shared,
    after: Option<&Due>,
    wanted: usize,
) -> Result<Vec<Due>, StorageError> {
    let args = match after {
        Some(due) => Args::new()
            .shown(score(due.since))
            .text(due.destination.as_str()),
        None => Args::new().text("").text(""),
    };
    let args = args.shown(limit(wanted));
    let all = shared
        .on_all::<Vec<(i64, String)>>(&scripts::DESTINATIONS, &args)
        .await?;
    let mut heads: BTreeMap<String, i64> = BTreeMap::new();
    for (since, destination) in all.into_iter().flat_map(|(_, found)| found) {
        let head = heads.entry(destination).or_insert(since);
        *head = since.min(*head);
    }
    let due = heads.into_iter().map(|(destination, since)| Due {
        since: Timestamp::from_millis(since),
        destination: Destination::new(destination),
    });
    let mut due: Vec<Due> = due.collect();
    due.sort();
    due.truncate(wanted);
    Ok(due)
}

/// How many messages a claim should take from each shard, so that those that
/// come first go first.
pub(super) async fn share<'s>(
    shared: &'s Shared,
    destination: &Destination,
    limit: usize,
    by_age: bool,
) -> Result<Vec<(&'s Shard, usize)>, StorageError> {
    let args = Args::new()
        .text(destination.as_str())
        .shown(limit)
        .shown(by_age);
    let all = shared
        .on_all::<Vec<(u8, i64, String)>>(&scripts::PEEK, &args)
        .await?;
    let mut first = Vec::new();
    for (shard, found) in &all {
        first.extend(found.iter().map(|key| (key, shard.number)));
    }
    first.sort_unstable();
    first.truncate(limit);
    let share = all.iter().map(|(shard, _)| {
        let here = first.iter().filter(|(_, number)| *number == shard.number);
        (*shard, here.count())
    });
    Ok(share.filter(|(_, count)| *count > 0).collect())
}

/// One message with its state.
pub(super) async fn load(shared: &Shared, id: MessageId) -> Result<Option<Listed>, StorageError> {
    let args = Args::new().shown(id);
    let found = shared.find::<Fields>(id, &scripts::ROW, &args).await?;
    let Some((shard, fields)) = found else {
        return Ok(None);
    };
    let row = Row::new(fields)?;
    match row.read {
        Ok(listed) => Ok(Some(listed)),
        Err(_) if row.is_quarantined => Ok(None),
        Err(unreadable) => {
            shared.quarantine(shard, &unreadable).await?;
            Ok(None)
        }
    }
}

/// Some chunks of contents, behind how many there are.
type Chunks = (usize, Vec<Vec<u8>>);

/// The contents of a message.
pub(super) async fn contents(
    shared: &Shared,
    id: MessageId,
) -> Result<Option<Content>, StorageError> {
    let part = |first: usize| Args::new().shown(id).shown(first).shown(CHUNKS_MAX);
    let script = &scripts::CONTENTS;
    let found = shared.find::<Chunks>(id, script, &part(0)).await?;
    let Some((shard, (all, mut chunks))) = found else {
        return Ok(None);
    };
    while chunks.len() < all {
        let args = part(chunks.len());
        match shared.call::<Option<Chunks>>(shard, script, &args).await? {
            Some((_, more)) if !more.is_empty() => chunks.extend(more),
            _ => return Ok(None),
        }
    }
    match chunks::join(chunks.iter().map(Vec::as_slice)) {
        Ok(content) => Ok(Some(content)),
        Err(reason) => {
            shared.quarantine(shard, &Unreadable { id, reason }).await?;
            Ok(None)
        }
    }
}

/// Messages, deferred, held, quarantined, bytes, and when the oldest was
/// received.
type Counts = (
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<i64>,
);

/// Counts.
pub(super) async fn stats(shared: &Shared) -> Result<Stats, StorageError> {
    let all = shared
        .on_all::<Counts>(&scripts::STATS, &Args::new())
        .await?;
    let mut stats = Stats::default();
    for (_, (messages, deferred, held, quarantined, bytes, oldest)) in all {
        stats.messages += messages.unwrap_or(0);
        stats.deferred += deferred.unwrap_or(0);
        stats.held += held.unwrap_or(0);
        stats.quarantined += quarantined.unwrap_or(0);
        stats.bytes += bytes.unwrap_or(0);
        let oldest = oldest.map(Timestamp::from_millis);
        stats.oldest = stats.oldest.into_iter().chain(oldest).min();
    }
    stats.active = stats.messages.saturating_sub(stats.deferred + stats.held);
    Ok(stats)
}

/// When something can be claimed next.
pub(super) async fn next_due(shared: &Shared) -> Result<Option<Timestamp>, StorageError> {
    let all = shared
        .on_all::<Option<i64>>(&scripts::NEXT, &Args::new())
        .await?;
    let next = all.into_iter().filter_map(|(_, next)| next).min();
    Ok(next.map(Timestamp::from_millis))
}
