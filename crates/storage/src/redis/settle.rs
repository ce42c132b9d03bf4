//! Settles attempts, each fenced by the token of its lease.
//!
//! A record can only be written by this program, not by a script. So what is
//! deferred is read first, and written if nothing has changed it since; else it
//! is read anew.

use std::collections::BTreeMap;

use slimta_core::message::{MessageId, Submission};
use slimta_core::storage::{Change, Deferral, Settled, Settlement, StorageError, Ticket};

use super::Shared;
use super::rows::{Fields, Row, score};
use super::scripts::{self, Args};
use super::shards::Shard;
use super::store::{Prepared, record};

/// How often a message may be changed by others while it is settled.
const ROUNDS_MAX: usize = 10;

/// Settles what lies on one shard; answers in order. An error stands only for
/// what was not settled before it.
pub(super) async fn settle(
    shared: &Shared,
    shard: &Shard,
    batch: &[&Settlement],
) -> Vec<Result<Settled, StorageError>> {
    let mut settled = BTreeMap::new();
    match settle_all(shared, shard, batch, &mut settled).await {
        Ok(()) => settled.into_values().map(Ok).collect(),
        Err(error) => (0..batch.len())
            .map(|place| settled.remove(&place).ok_or_else(|| error.clone()))
            .collect(),
    }
}

/// Puts the answer to each settlement in its place.
async fn settle_all(
    shared: &Shared,
    shard: &Shard,
    batch: &[&Settlement],
    settled: &mut BTreeMap<usize, Settled>,
) -> Result<(), StorageError> {
    let mut notices: Vec<Vec<Prepared<'_>>> = Vec::with_capacity(batch.len());
    for settlement in batch {
        let mut prepared = Vec::new();
        for notice in &settlement.notices {
            if !is_elsewhere(shared, shard, notice).await? {
                prepared.push(Prepared::new(shared, shard, notice).await?);
            }
        }
        notices.push(prepared);
    }
    for _ in 0..ROUNDS_MAX {
        let left = batch.iter().zip(&notices).enumerate();
        let left: Vec<_> = left
            .filter(|(place, _)| !settled.contains_key(place))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        let deferrals = left.iter().map(|(_, (settlement, _))| **settlement);
        let deferred = deferred(shared, shard, deferrals).await?;
        let mut args = Args::new().shown(left.len());
        for (_, (settlement, notices)) in &left {
            args = settlement_args(settlement, deferred.get(&settlement.lease.ticket()), args);
            args = args.shown(notices.len());
            for notice in *notices {
                args = notice.args(args);
            }
        }
        let answers: Vec<i64> = shared.call(shard, &scripts::SETTLE, &args).await?;
        for ((place, _), answer) in left.iter().zip(answers) {
            if answer < 2 {
                settled.insert(*place, Settled::if_current(answer == 1));
            }
        }
    }
    let why = "a message was changed again and again while it was settled";
    Err(StorageError::Unavailable(why.to_owned()))
}

fn settlement_args<'s>(
    settlement: &'s Settlement,
    deferred: Option<&'s Deferred>,
    args: Args<'s>,
) -> Args<'s> {
    let ticket = settlement.lease.ticket();
    let args = args.shown(ticket.id).shown(Shard::own_token(ticket));
    match &settlement.change {
        Change::Remove => args.text("remove"),
        // What is not there, or not readable, has lost its lease.
        Change::Defer(deferral) => args
            .text("defer")
            .text(deferred.map_or("", |deferred| &deferred.revision))
            .shown(score(deferral.due))
            .shown(deferral.attempts)
            .bytes(deferred.map_or(&[], |deferred| &deferred.record)),
    }
}

/// A message with its deferral written into it.
struct Deferred {
    revision: String,
    record: Vec<u8>,
}

/// Reads what is to be deferred and writes the deferrals into it.
async fn deferred<'s>(
    shared: &Shared,
    shard: &Shard,
    batch: impl Iterator<Item = &'s Settlement>,
) -> Result<BTreeMap<Ticket, Deferred>, StorageError> {
    let deferrals = batch.filter_map(|settlement| match &settlement.change {
        Change::Defer(deferral) => Some((settlement.lease.ticket(), deferral)),
        Change::Remove => None,
    });
    let (tickets, deferrals): (Vec<Ticket>, Vec<&Deferral>) = deferrals.unzip();
    let ids: Vec<MessageId> = tickets.iter().map(|ticket| ticket.id).collect();
    let rows = rows(shared, shard, &ids).await?;
    let mut deferred = BTreeMap::new();
    for ((row, ticket), deferral) in rows.into_iter().zip(tickets).zip(deferrals) {
        match row.map(|row| (row.read, row.revision, row.is_quarantined)) {
            Some((Ok(mut listed), revision, _)) => {
                deferral.apply(&mut listed.message);
                let record = record(&listed.message)?;
                deferred.insert(ticket, Deferred { revision, record });
            }
            Some((Err(unreadable), _, false)) => shared.quarantine(shard, &unreadable).await?,
            _ => {}
        }
    }
    Ok(deferred)
}

/// Messages by their ids.
pub(super) async fn rows(
    shared: &Shared,
    shard: &Shard,
    ids: &[MessageId],
) -> Result<Vec<Option<Row>>, StorageError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut args = Args::new().shown(ids.len());
    for id in ids {
        args = args.shown(id);
    }
    let found: Vec<Option<Fields>> = shared.call(shard, &scripts::ROWS, &args).await?;
    found
        .into_iter()
        .map(|found| found.map(Row::new).transpose())
        .collect()
}

/// Whether a notice was stored by itself before, and so may lie on another
/// shard than the message that it speaks of.
async fn is_elsewhere(
    shared: &Shared,
    shard: &Shard,
    notice: &Submission,
) -> Result<bool, StorageError> {
    let ids: Vec<MessageId> = notice.messages.iter().map(|message| message.id).collect();
    for other in shared.shards()? {
        let is_other = other.number != shard.number;
        if is_other && rows(shared, other, &ids).await?.iter().any(Option::is_some) {
            return Ok(true);
        }
    }
    Ok(false)
}
