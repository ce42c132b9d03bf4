//! Reads that look over the whole queue.

use slimta_core::message::Destination;
use slimta_core::storage::{Backlog, Due, Stats, StorageError};
use slimta_core::world::Timestamp;
use tokio_postgres::Row;

use super::ask::{self, Parameters};
use super::circuit::Asks;
use super::clock::{NOW, ServerClock};
use super::rows::get;

/// So many due messages are looked at one by one; if there are more, it is
/// cheaper to ask each destination for its first.
const ONE_BY_ONE_MAX: i64 = 500;

/// The destinations that have due mail, the longest due first.
pub(super) async fn due_destinations(
    client: &impl Asks,
    clock: &ServerClock,
    after: Option<&Due>,
    limit: usize,
) -> Result<Vec<Due>, StorageError> {
    let since = after.map(|due| due.since.as_millis());
    let destination = after.map(|due| due.destination.as_str());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let now = clock.parameter();
    let statement = few_due();
    let parameters: Parameters<'_> = &[&now, &since, &destination, &limit, &ONE_BY_ONE_MAX];
    let mut found = ask::rows(client, &statement, parameters).await?;
    let looked_at = found.first().map_or(Ok(0), |row| get(row, "looked_at"))?;
    if looked_at >= ONE_BY_ONE_MAX {
        let statement = each_first("AND m.due <= clock.now");
        let parameters: Parameters<'_> = &[&now, &since, &destination, &limit];
        found = ask::rows(client, &statement, parameters).await?;
    }
    read_due(&found)
}

/// The destinations that have mail which is neither held nor leased, in the
/// order of their first due times.
pub(super) async fn waiting_destinations(
    client: &impl Asks,
    clock: &ServerClock,
    after: Option<&Due>,
    limit: usize,
) -> Result<Vec<Due>, StorageError> {
    let since = after.map(|due| due.since.as_millis());
    let destination = after.map(|due| due.destination.as_str());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let now = clock.parameter();
    let parameters: Parameters<'_> = &[&now, &since, &destination, &limit];
    read_due(&ask::rows(client, &each_first(""), parameters).await?)
}

fn read_due(found: &[Row]) -> Result<Vec<Due>, StorageError> {
    let due = found.iter().filter_map(|row| {
        let destination = get::<Option<&str>>(row, "destination").transpose()?;
        Some(destination.and_then(|destination| {
            Ok(Due {
                since: Timestamp::from_millis(get(row, "since")?),
                destination: Destination::new(destination),
            })
        }))
    });
    due.collect()
}

/// What is due, in the order in which it became so, if it is not much. Says in
/// each row how many messages were looked at; in one without a destination if
/// the cursor leaves none.
fn few_due() -> String {
    format!(
        "WITH clock AS (SELECT {NOW} AS now), due AS MATERIALIZED (
             SELECT destination, due FROM slimta_messages, clock
             WHERE NOT is_held AND quarantined IS NULL AND due + 0 <= now
                 AND (lease_end IS NULL OR lease_end <= now)
             ORDER BY due + 0 LIMIT $5
         ), found AS (
             SELECT destination, min(due) AS since FROM due GROUP BY destination
             HAVING $2::bigint IS NULL OR (min(due), destination) > ($2, $3)
             ORDER BY since, destination LIMIT $4
         )
         SELECT found.destination, found.since, total.looked_at
         FROM (SELECT count(*) AS looked_at FROM due) AS total LEFT JOIN found ON true
         ORDER BY since, destination"
    )
}

/// From one destination to the next in the index, and in each to its first
/// message that is free: what lies behind costs nothing.
fn each_first(condition: &str) -> String {
    format!(
        "WITH RECURSIVE clock AS (SELECT {NOW} AS now), known (destination) AS (
             (SELECT destination FROM slimta_messages
              WHERE NOT is_held AND quarantined IS NULL ORDER BY destination LIMIT 1)
             UNION ALL
             SELECT (SELECT m.destination FROM slimta_messages m
                 WHERE NOT is_held AND quarantined IS NULL
                     AND m.destination > known.destination
                 ORDER BY m.destination LIMIT 1)
             FROM known WHERE known.destination IS NOT NULL
         )
         SELECT known.destination, min(head.due) AS since
         FROM clock, known, (VALUES (0), (1), (2)) AS priorities (priority), LATERAL (
             SELECT due FROM slimta_messages m
             WHERE m.destination = known.destination AND m.priority = priorities.priority
                 AND NOT is_held AND quarantined IS NULL
                 AND (lease_end IS NULL OR lease_end <= clock.now)
                 {condition}
             ORDER BY due LIMIT 1
         ) AS head
         GROUP BY known.destination
         HAVING $2::bigint IS NULL OR (min(head.due), known.destination) > ($2, $3)
         ORDER BY since, known.destination LIMIT $4"
    )
}

/// How much waits for each destination, counted in the order in which it is
/// claimed.
pub(super) async fn backlogs(
    client: &impl Asks,
    clock: &ServerClock,
    destinations: &[Destination],
    most: usize,
) -> Result<Vec<Backlog>, StorageError> {
    let free = "m.destination = asked.destination
             AND NOT is_held AND quarantined IS NULL
             AND (lease_end IS NULL OR lease_end <= clock.now)";
    let statement = format!(
        "WITH clock AS MATERIALIZED (SELECT {NOW} AS now)
         SELECT waiting.count AS waiting, ready.count AS due
         FROM clock, unnest($2::text[]) WITH ORDINALITY AS asked (destination, place),
         LATERAL (SELECT count(*) FROM (
             SELECT 1 FROM slimta_messages m WHERE {free} LIMIT $3
         ) AS found) AS waiting,
         LATERAL (SELECT count(*) FROM (
             SELECT 1 FROM slimta_messages m WHERE {free} AND m.due <= clock.now LIMIT $3
         ) AS found) AS ready
         ORDER BY place"
    );
    let names: Vec<&str> = destinations.iter().map(Destination::as_str).collect();
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = ask::rows(client, &statement, &[&clock.parameter(), &names, &most]).await?;
    let count = |row: &Row, name| -> Result<usize, StorageError> {
        Ok(usize::try_from(get::<i64>(row, name)?).unwrap_or(0))
    };
    let backlogs = rows.iter().map(|row| {
        Ok(Backlog {
            waiting: count(row, "waiting")?,
            due: count(row, "due")?,
        })
    });
    backlogs.collect()
}

/// Counts: the sum of all changes. What is leased counts as active, and only for
/// that the leases in force are looked at.
pub(super) async fn stats(client: &impl Asks, clock: &ServerClock) -> Result<Stats, StorageError> {
    let statement = format!(
        "WITH clock AS (SELECT {NOW} AS now), kept AS (
             SELECT COALESCE(sum(messages), 0)::bigint AS messages,
                 COALESCE(sum(held), 0)::bigint AS held,
                 COALESCE(sum(deferred), 0)::bigint AS deferred,
                 COALESCE(sum(quarantined), 0)::bigint AS quarantined,
                 COALESCE(sum(bytes), 0)::bigint AS bytes
             FROM slimta_counts
         ), leased AS (
             SELECT count(*) FILTER (WHERE is_held) AS held,
                 count(*) FILTER (WHERE NOT is_held AND attempts > 0) AS deferred
             FROM slimta_messages, clock
             WHERE lease_end > now AND quarantined IS NULL
         )
         SELECT kept.messages, kept.held - leased.held AS held,
             kept.deferred - leased.deferred AS deferred, kept.quarantined, kept.bytes,
             (SELECT received FROM slimta_messages WHERE quarantined IS NULL
              ORDER BY id LIMIT 1) AS oldest
         FROM kept, leased"
    );
    let row = one(client, &statement, clock).await?;
    let count =
        |column| Ok::<_, StorageError>(u64::try_from(get::<i64>(&row, column)?).unwrap_or(0));
    let (messages, held, deferred) = (count("messages")?, count("held")?, count("deferred")?);
    Ok(Stats {
        messages,
        active: messages.saturating_sub(held + deferred),
        deferred,
        held,
        quarantined: count("quarantined")?,
        bytes: count("bytes")?,
        oldest: get::<Option<i64>>(&row, "oldest")?.map(Timestamp::from_millis),
    })
}

/// Asks what the time is.
pub(super) async fn learn_time(
    client: &impl Asks,
    clock: &ServerClock,
) -> Result<(), StorageError> {
    let row = one(client, &format!("SELECT {NOW} AS now"), clock).await?;
    clock.learn(Timestamp::from_millis(get(&row, "now")?));
    Ok(())
}

/// When something can be claimed next.
pub(super) async fn next_due(
    client: &impl Asks,
    clock: &ServerClock,
) -> Result<Option<Timestamp>, StorageError> {
    let statement = format!(
        "WITH clock AS (SELECT {NOW} AS now)
         SELECT LEAST(
             (SELECT due FROM slimta_messages, clock
              WHERE NOT is_held AND quarantined IS NULL
                  AND (lease_end IS NULL OR lease_end <= now)
              ORDER BY due + 0 LIMIT 1),
             (SELECT lease_end FROM slimta_messages, clock WHERE lease_end > now
              ORDER BY lease_end LIMIT 1)
         ) AS next, clock.now FROM clock"
    );
    let row = one(client, &statement, clock).await?;
    // Asked whenever a manager waits: often enough against drift.
    clock.learn(Timestamp::from_millis(get(&row, "now")?));
    Ok(get::<Option<i64>>(&row, "next")?.map(Timestamp::from_millis))
}

/// The one row of a statement that only asks for the time.
async fn one(
    client: &impl Asks,
    statement: &str,
    clock: &ServerClock,
) -> Result<Row, StorageError> {
    let row = ask::row(client, statement, &[&clock.parameter()]).await?;
    row.ok_or_else(|| StorageError::Unavailable("an answer without a row".to_owned()))
}
