//! `slimta queue import`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use slimta_core::message::Submission;
use slimta_core::storage::{FirstLeases, Leased, Session, Settled, StorageError};

use super::super::to_json;
use super::{brought, failed, messages};
use crate::assemble;
use crate::exported;
use crate::failure::Failure;
use crate::output::{self, Unit};

/// For how long an import that dies keeps a message from its managers.
const LEASE: Duration = Duration::from_secs(60);

#[derive(Args, Debug)]
pub(in crate::commands::queue) struct Import {
    /// What `slimta queue export` has written
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
    /// Hold what is imported, and why; `slimta queue release` lets it go
    #[arg(long, value_name = "TEXT")]
    hold: Option<String>,
}

#[derive(Default)]
struct Imported {
    messages: u64,
    /// There already, or of a submission of which other messages are.
    present: u64,
    /// What could not be imported, and why.
    wrong: Vec<String>,
}

impl Import {
    pub(super) async fn run(self, storage: &str, json: bool) -> Result<(), Failure> {
        let sheets = exported::sheets(&self.directory)
            .map_err(|error| Failure::Usage(format!("{}: {error}", self.directory.display())))?;
        let session = assemble::session(storage, "--storage", false).await?;
        let name = assemble::name(storage);
        let bar = output::progress(sheets.len() as u64, Unit::Messages);
        let mut imported = Imported::default();
        for sheet in sheets {
            match exported::read(&sheet) {
                Ok(submission) => {
                    let submission = self.held(submission);
                    let stored = store(&*session, &name, submission, &mut imported).await;
                    match stored {
                        Err(StorageError::Invalid(why)) => {
                            imported.wrong.push(format!("{}: {why}", sheet.display()));
                        }
                        stored => stored.map_err(failed)?,
                    }
                }
                Err(why) => imported.wrong.push(why),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        session.close().await;
        report(&imported, json)
    }

    fn held(&self, mut submission: Submission) -> Submission {
        if self.hold.is_some() {
            for message in &mut submission.messages {
                message.held.clone_from(&self.hold);
            }
        }
        submission
    }
}

/// Stores a submission; leased for a moment, because the leases tell whether it
/// was there already.
async fn store(
    session: &dyn Session,
    name: &str,
    submission: Submission,
    imported: &mut Imported,
) -> Result<(), StorageError> {
    let count = submission.messages.len();
    let lease = FirstLeases {
        count,
        lease: LEASE,
    };
    let leased = session.store(submission, Some(lease)).await?;
    imported.messages += leased.len() as u64;
    imported.present += (count - leased.len()) as u64;
    for Leased { lease, message } in leased {
        brought(&message, name, "imported");
        // Lost: then somebody attempts it already.
        let (Settled::Done | Settled::LeaseLost) = session.unlock(&lease).await?;
    }
    Ok(())
}

fn report(imported: &Imported, json: bool) -> Result<(), Failure> {
    output::line(if json {
        to_json(&json!({
            "imported": imported.messages,
            "present": imported.present,
            "failed": imported.wrong.len(),
        }))?
    } else {
        let mut text = format!("{} imported", messages(imported.messages));
        if imported.present > 0 {
            text += &format!(
                ", {} left: their submissions are there already",
                imported.present
            );
        }
        text
    })?;
    for why in &imported.wrong {
        eprintln!("slimta: not imported: {}", output::harmless(why));
    }
    match imported.wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::Told),
    }
}
