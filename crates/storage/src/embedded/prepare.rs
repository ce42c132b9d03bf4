//! A submission made ready for the writer: checked, encoded and summed up in
//! the task that stores it, so that the one writer has only to write.

use slimta_core::message::{MessageId, Submission};
use slimta_core::storage::{StorageError, check_submission};

use super::tables::{DuePlace, Mark};
use crate::chunks;

/// What is written for a submission.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) submission: MessageId,
    pub(super) messages: Vec<PreparedMessage>,
    pub(super) chunks: Vec<Vec<u8>>,
    pub(super) content_bytes: u64,
}

/// What is written for a message.
#[derive(Debug)]
pub(super) struct PreparedMessage {
    pub(super) place: DuePlace,
    pub(super) mark: Mark,
    pub(super) record: Vec<u8>,
}

impl Prepared {
    pub(super) fn new(submission: &Submission) -> Result<Self, StorageError> {
        check_submission(submission)?;
        let messages = submission.messages.iter().map(|message| {
            let record = message.to_record();
            Ok(PreparedMessage {
                place: DuePlace::of(message),
                mark: Mark::of(message),
                record: record.map_err(|error| StorageError::Invalid(error.to_string()))?,
            })
        });
        let messages = messages.collect::<Result<Vec<_>, StorageError>>()?;
        Ok(Prepared {
            submission: (submission.messages.first()).map_or(MessageId::MIN, |m| m.submission),
            messages,
            chunks: chunks::split(&submission.content),
            content_bytes: submission.content.len() as u64,
        })
    }

    /// About how much will be written.
    pub(super) fn bytes(&self) -> u64 {
        let records: usize = self.messages.iter().map(|m| m.record.len()).sum();
        self.content_bytes + records as u64
    }
}
