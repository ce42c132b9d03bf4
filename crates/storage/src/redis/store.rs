//! Submissions as arguments of scripts.

use std::collections::BTreeMap;

use slimta_core::message::{MessageId, StoredMessage, Submission};
use slimta_core::storage::{Lease, Leased, StorageError, check_submission};

use super::Shared;
use super::rows::score;
use super::scripts::{self, Args};
use super::shards::Shard;
use crate::chunks;

/// Contents of more chunks are sent ahead, so many a call, so that no call
/// keeps others waiting for long.
const CHUNKS_MAX: usize = 16;
/// How long contents that were sent ahead wait for their submission.
const UPLOAD_MILLIS: u64 = 3_600_000;

/// A submission made ready.
pub(super) struct Prepared<'a> {
    submission: &'a Submission,
    /// Where contents are that were sent ahead.
    upload: Option<String>,
    parts: usize,
    chunks: Vec<Vec<u8>>,
    records: Vec<Vec<u8>>,
}

impl<'a> Prepared<'a> {
    /// Checks it, and sends large contents ahead.
    pub(super) async fn new(
        shared: &Shared,
        shard: &Shard,
        submission: &'a Submission,
    ) -> Result<Self, StorageError> {
        check_submission(submission)?;
        let records = submission.messages.iter().map(record);
        let records = records.collect::<Result<_, _>>()?;
        let mut chunks = chunks::split(&submission.content);
        let parts = chunks.len();
        let mut upload = None;
        if parts > CHUNKS_MAX {
            let key = format!("{}upload:{:016x}", shard.base, shared.world.random_u64());
            while !chunks.is_empty() {
                let now: Vec<_> = chunks.drain(..chunks.len().min(CHUNKS_MAX)).collect();
                let mut args = Args::new().text(&key).shown(UPLOAD_MILLIS).shown(now.len());
                for chunk in &now {
                    args = args.bytes(chunk);
                }
                shared.call::<i64>(shard, &scripts::UPLOAD, &args).await?;
            }
            upload = Some(key);
        }
        Ok(Prepared {
            submission,
            upload,
            parts,
            chunks,
            records,
        })
    }

    /// Adds it to the arguments of a script.
    pub(super) fn args<'s>(&'s self, args: Args<'s>) -> Args<'s> {
        let messages = &self.submission.messages;
        let submission = messages.first().map_or(MessageId::MIN, |m| m.submission);
        let mut args = args
            .shown(submission)
            .shown(self.submission.content.len())
            .text(self.upload.as_deref().unwrap_or_default())
            .shown(self.parts);
        for chunk in &self.chunks {
            args = args.bytes(chunk);
        }
        args = args.shown(messages.len());
        for (message, record) in messages.iter().zip(&self.records) {
            args = message_args(message, args).bytes(record);
        }
        args
    }
}

/// What is searched for of a message that is stored. This is where its first
/// due time comes from.
fn message_args<'s>(message: &'s StoredMessage, args: Args<'s>) -> Args<'s> {
    args.shown(message.id)
        .text(message.destination.as_str())
        .shown(message.priority as u8)
        .shown(score(message.due))
        .shown(score(message.received))
        .shown(message.attempts)
        .shown(u8::from(message.held.is_some()))
}

pub(super) fn record(message: &StoredMessage) -> Result<Vec<u8>, StorageError> {
    let record = message.to_record();
    record.map_err(|error| StorageError::Invalid(error.to_string()))
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
