//! Reads that look over the whole queue.

use deadpool_postgres::GenericClient;
use slimta_core::message::Destination;
use slimta_core::storage::{Due, Stats, StorageError};
use slimta_core::world::Timestamp;
use tokio_postgres::Row;

use super::ask;
use super::clock::{NOW, ServerClock};
use super::rows::get;

/// The destinations that have due mail, the longest due first.
pub(super) async fn due_destinations(
    client: &impl GenericClient,
    clock: &ServerClock,
    after: Option<&Due>,
    limit: usize,
) -> Result<Vec<Due>, StorageError> {
    // From one destination to the next in the index, and in each to its
    // first message that is free: what lies behind costs nothing.
    let statement = format!(
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
                 AND m.due <= clock.now
             ORDER BY due LIMIT 1
         ) AS head
         GROUP BY known.destination
         HAVING $2::bigint IS NULL OR (min(head.due), known.destination) > ($2, $3)
         ORDER BY since, known.destination LIMIT $4"
    );
    let since = after.map(|due| due.since.as_millis());
    let destination = after.map(|due| due.destination.as_str());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = ask::rows(
        client,
        &statement,
        &[&clock.parameter(), &since, &destination, &limit],
    )
    .await?;
    let due = found.iter().map(|row| {
        Ok(Due {
            since: Timestamp::from_millis(get(row, "since")?),
            destination: Destination::new(get::<&str>(row, "destination")?),
        })
    });
    due.collect()
}

/// Counts.
pub(super) async fn stats(
    client: &impl GenericClient,
    clock: &ServerClock,
) -> Result<Stats, StorageError> {
    let statement = format!(
        "WITH clock AS (SELECT {NOW} AS now), states AS (
             SELECT quarantined IS NOT NULL AS is_quarantined, received, attempts, is_held,
                 lease_end > now AS is_leased
             FROM slimta_messages, clock
         )
         SELECT count(*) FILTER (WHERE NOT is_quarantined) AS messages,
             count(*) FILTER (WHERE NOT is_quarantined AND is_held
                 AND is_leased IS NOT TRUE) AS held,
             count(*) FILTER (WHERE NOT is_quarantined AND NOT is_held AND attempts > 0
                 AND is_leased IS NOT TRUE) AS deferred,
             count(*) FILTER (WHERE is_quarantined) AS quarantined,
             min(received) FILTER (WHERE NOT is_quarantined) AS oldest,
             (SELECT COALESCE(sum(bytes), 0)::bigint FROM slimta_submissions) AS bytes
         FROM states"
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
    client: &impl GenericClient,
    clock: &ServerClock,
) -> Result<(), StorageError> {
    let row = one(client, &format!("SELECT {NOW} AS now"), clock).await?;
    clock.learn(Timestamp::from_millis(get(&row, "now")?));
    Ok(())
}

/// When something can be claimed next.
pub(super) async fn next_due(
    client: &impl GenericClient,
    clock: &ServerClock,
) -> Result<Option<Timestamp>, StorageError> {
    let statement = format!(
        "WITH clock AS (SELECT {NOW} AS now)
         SELECT LEAST(
             (SELECT due FROM slimta_messages, clock
              WHERE NOT is_held AND quarantined IS NULL
                  AND (lease_end IS NULL OR lease_end <= now)
              ORDER BY due LIMIT 1),
             (SELECT min(lease_end) FROM slimta_messages, clock WHERE lease_end > now)
         ) AS next, clock.now FROM clock"
    );
    let row = one(client, &statement, clock).await?;
    // Asked whenever a manager waits: often enough against drift.
    clock.learn(Timestamp::from_millis(get(&row, "now")?));
    Ok(get::<Option<i64>>(&row, "next")?.map(Timestamp::from_millis))
}

/// The one row of a statement that only asks for the time.
async fn one(
    client: &impl GenericClient,
    statement: &str,
    clock: &ServerClock,
) -> Result<Row, StorageError> {
    let row = ask::row(client, statement, &[&clock.parameter()]).await?;
    row.ok_or_else(|| StorageError::Unavailable("an answer without a row".to_owned()))
}
