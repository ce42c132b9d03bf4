//! `slimta queue check|move|export|import`: what looks at all mail. They open
//! the storages themselves: no server can have an embedded one open.

mod check;
mod export;
mod import;
mod moving;

use clap::Subcommand;
use slimta_core::message::StoredMessage;

use crate::failure::Failure;

#[derive(Subcommand, Debug)]
pub(super) enum Alone {
    /// Read all mail and say what is damaged
    ///
    /// What cannot be read is set aside, and what follows from the messages, such
    /// as counts, is written anew where it does not fit. A server on an embedded
    /// storage has to be stopped first.
    Check,
    /// Move all mail to another storage
    ///
    /// Each message is live in exactly one of the two at every moment. When the
    /// move is cut short, run it again: it goes on where it was. What a server
    /// attempts just now is left; a server on an embedded storage has to be
    /// stopped first.
    Move(moving::Move),
    /// Write all mail into a directory, as .eml and .json
    ///
    /// The queue is not changed. A server on an embedded storage has to be
    /// stopped first.
    Export(export::Export),
    /// Store mail from such a directory
    ///
    /// What is in the storage already is left as it is, so the import can be
    /// run again. What was delivered since the export is sent once more.
    Import(import::Import),
}

impl Alone {
    pub(super) async fn run(self, storage: &str, json: bool) -> Result<(), Failure> {
        match self {
            Alone::Check => check::check(storage, json).await,
            Alone::Move(moving) => moving.run(json).await,
            Alone::Export(export) => export.run(storage, json).await,
            Alone::Import(import) => import.run(storage, json).await,
        }
    }
}

/// A storage failed on the way.
fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

/// Logs that a message has come into a storage, for the audit of that one.
fn brought(message: &StoredMessage, storage: &str, how: &'static str) {
    let recipients = message.envelope.recipients.iter();
    let to: Vec<_> = recipients.map(|r| r.address.as_str()).collect();
    tracing::info!(id = %message.id, to = to.join(" "), storage, "{how}");
}

/// `1 message`, `2 messages`.
fn messages(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} message{plural}")
}
