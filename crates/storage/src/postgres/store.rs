//! Stores submissions: one statement, all or none of it.

use std::collections::BTreeMap;
use std::time::Duration;

use slimta_core::message::{MessageId, Submission};
use slimta_core::storage::{FirstLeases, Lease, Leased, Owner, StorageError, check_submission};
use slimta_core::world::Timestamp;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::ask;
use super::circuit::Asks;
use super::clock::{NOW, ServerClock};
use super::rows::{get, id, key, millis};
use crate::chunks;

/// A submission as columns.
#[derive(Debug)]
pub(super) struct Columns {
    submission: Uuid,
    bytes: i64,
    chunks: Vec<Vec<u8>>,
    ids: Vec<Uuid>,
    destinations: Vec<String>,
    priorities: Vec<i16>,
    dues: Vec<i64>,
    receiveds: Vec<i64>,
    attempts: Vec<i32>,
    helds: Vec<bool>,
    records: Vec<Vec<u8>>,
}

impl Columns {
    pub(super) fn new(submission: &Submission) -> Result<Self, StorageError> {
        check_submission(submission)?;
        let messages = &submission.messages;
        let records = messages.iter().map(|message| {
            let record = message.to_record();
            record.map_err(|error| StorageError::Invalid(error.to_string()))
        });
        Ok(Columns {
            submission: key(messages.first().map_or(MessageId::MIN, |m| m.submission)),
            bytes: i64::try_from(submission.content.len()).unwrap_or(i64::MAX),
            chunks: chunks::split(&submission.content),
            ids: messages.iter().map(|m| key(m.id)).collect(),
            destinations: messages
                .iter()
                .map(|m| m.destination.as_str().to_owned())
                .collect(),
            priorities: messages.iter().map(|m| m.priority as i16).collect(),
            dues: messages.iter().map(|m| m.due.as_millis()).collect(),
            receiveds: messages.iter().map(|m| m.received.as_millis()).collect(),
            attempts: messages.iter().map(|m| count(m.attempts)).collect(),
            helds: messages.iter().map(|m| m.held.is_some()).collect(),
            records: records.collect::<Result<_, _>>()?,
        })
    }
}

/// A count as a column holds it.
pub(super) fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Inserts a submission, unless any part of it is there, and leases its first
/// messages. Its parameters are [`Columns::parameters`].
pub(super) fn statement() -> String {
    format!(
        "WITH new AS (
             INSERT INTO slimta_submissions (id, sharers, bytes)
             SELECT $2, cardinality($5::uuid[]), $3
             WHERE NOT EXISTS (SELECT 1 FROM slimta_messages WHERE id = ANY ($5::uuid[]))
             ON CONFLICT (id) DO NOTHING
             RETURNING id
         ), contents AS (
             INSERT INTO slimta_contents (submission, part, data)
             SELECT new.id, chunk.part - 1, chunk.data
             FROM new, unnest($4::bytea[]) WITH ORDINALITY AS chunk (data, part)
         )
         INSERT INTO slimta_messages (
             id, submission, destination, priority, due, received, attempts, is_held, record,
             lease_owner, lease_token, lease_end)
         SELECT m.id, new.id, m.destination, m.priority, m.due, m.received, m.attempts, m.is_held,
             m.record,
             CASE WHEN m.number <= $13 THEN $14 END,
             CASE WHEN m.number <= $13 THEN nextval('slimta_tokens') END,
             CASE WHEN m.number <= $13 THEN {NOW} + $15::bigint END
         FROM new, unnest($5::uuid[], $6::text[], $7::smallint[], $8::bigint[], $9::bigint[],
             $10::integer[], $11::boolean[], $12::bytea[]) WITH ORDINALITY
             AS m (id, destination, priority, due, received, attempts, is_held, record, number)
         RETURNING id, lease_token, lease_end"
    )
}

/// What the rest of the statement's parameters is: who leases, how many, and
/// by whose clock.
#[derive(Debug)]
pub(super) struct Leasing<'a> {
    clock: Option<i64>,
    count: i64,
    owner: &'a str,
    duration: i64,
}

impl<'a> Leasing<'a> {
    fn new(clock: &ServerClock, owner: &'a Owner, lease: Option<FirstLeases>) -> Self {
        let count = lease.map_or(0, |lease| lease.count);
        Leasing {
            clock: clock.parameter(),
            count: i64::try_from(count).unwrap_or(i64::MAX),
            owner: owner.as_str(),
            duration: millis(lease.map_or(Duration::ZERO, |lease| lease.lease)),
        }
    }

    /// Nothing is leased.
    pub(super) const NONE: Leasing<'static> = Leasing {
        clock: None,
        count: 0,
        owner: "",
        duration: 0,
    };
}

impl Columns {
    /// The parameters of [`statement`].
    pub(super) fn parameters<'a>(
        &'a self,
        leasing: &'a Leasing<'a>,
    ) -> [&'a (dyn ToSql + Sync); 15] {
        [
            &leasing.clock,
            &self.submission,
            &self.bytes,
            &self.chunks,
            &self.ids,
            &self.destinations,
            &self.priorities,
            &self.dues,
            &self.receiveds,
            &self.attempts,
            &self.helds,
            &self.records,
            &leasing.count,
            &leasing.owner,
            &leasing.duration,
        ]
    }
}

#[cfg(feature = "sqlx")]
type SqlxQuery<'q> =
    sqlx_core::query::Query<'q, sqlx_postgres::Postgres, sqlx_postgres::PgArguments>;

#[cfg(feature = "sqlx")]
impl Columns {
    /// [`Columns::parameters`] without leases, for sqlx.
    pub(super) fn bind<'q>(self, query: SqlxQuery<'q>) -> SqlxQuery<'q> {
        query
            .bind(Leasing::NONE.clock)
            .bind(self.submission)
            .bind(self.bytes)
            .bind(self.chunks)
            .bind(self.ids)
            .bind(self.destinations)
            .bind(self.priorities)
            .bind(self.dues)
            .bind(self.receiveds)
            .bind(self.attempts)
            .bind(self.helds)
            .bind(self.records)
            .bind(Leasing::NONE.count)
            .bind(Leasing::NONE.owner)
            .bind(Leasing::NONE.duration)
    }
}

/// Inserts a submission, unless any part of it is there; gives the leases on
/// its first messages.
pub(super) async fn insert(
    client: &impl Asks,
    clock: &ServerClock,
    columns: &Columns,
    owner: &Owner,
    lease: Option<FirstLeases>,
) -> Result<Vec<Lease>, StorageError> {
    let leasing = Leasing::new(clock, owner, lease);
    let parameters = columns.parameters(&leasing);
    let bytes = u64::try_from(columns.bytes).unwrap_or(0);
    let rows = ask::rows_of(client, &statement(), &parameters, bytes).await?;
    let mut granted = Vec::new();
    for row in &rows {
        let token: Option<i64> = get(row, "lease_token")?;
        let end: Option<i64> = get(row, "lease_end")?;
        if let Some((token, end)) = token.zip(end) {
            let token = u64::try_from(token).unwrap_or(0);
            let end = Timestamp::from_millis(end);
            granted.push(Lease::granted(id(get(row, "id")?), token, end));
        }
    }
    Ok(granted)
}

/// Puts leases to their messages, in the order of the submission.
pub(super) fn pair(leases: Vec<Lease>, submission: Submission) -> Vec<Leased> {
    let leases = leases.into_iter().map(|lease| (lease.id(), lease));
    let mut leases: BTreeMap<MessageId, Lease> = leases.collect();
    let leased = submission.messages.into_iter().filter_map(|message| {
        let lease = leases.remove(&message.id)?;
        Some(Leased { lease, message })
    });
    leased.collect()
}
