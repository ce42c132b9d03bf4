//! `slimta queue export`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use slimta_core::message::MessageId;
use slimta_core::message::Submission;
use slimta_core::storage::{Filter, Page, Session, Unreadable};

use super::super::to_json;
use super::{failed, messages};
use crate::assemble;
use crate::exported;
use crate::failure::Failure;
use crate::output::{self, Unit};

/// Messages looked at in one step.
const PAGE: usize = 100;

#[derive(Args, Debug)]
pub(in crate::commands::queue) struct Export {
    /// Where to; made if it is not there, and must be empty
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

#[derive(Default)]
struct Exported {
    messages: u64,
    unreadable: Vec<Unreadable>,
}

impl Export {
    pub(super) async fn run(self, storage: &str, json: bool) -> Result<(), Failure> {
        let session = assemble::session(storage, "--storage", true).await?;
        make(&self.directory)?;
        let exported = export(&*session, &self.directory).await;
        session.close().await;
        report(&exported?, &self.directory, json)
    }
}

/// A directory that is there, empty, and for nobody else to read.
fn make(directory: &Path) -> Result<(), Failure> {
    let unusable =
        |why: &dyn std::fmt::Display| Failure::Usage(format!("{}: {why}", directory.display()));
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(|error| unusable(&error))?;
    let mut entries = fs::read_dir(directory).map_err(|error| unusable(&error))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(unusable(&"is not empty; name a new directory")),
    }
}

async fn export(session: &dyn Session, directory: &Path) -> Result<Exported, Failure> {
    let total = session.stats().await.map_err(failed)?.messages;
    let bar = output::progress(total, Unit::Messages);
    let mut exported = Exported::default();
    let mut after = None;
    loop {
        let page = Page { after, limit: PAGE };
        let listing = session.list(&Filter::default(), page).await;
        let listing = listing.map_err(failed)?;
        exported.unreadable.extend(listing.unreadable);
        for listed in listing.messages {
            let submission = listed.message.submission;
            if !exported::is_written(directory, submission) {
                one(session, directory, submission, &mut exported).await?;
                bar.set_position(exported.messages);
            }
        }
        after = listing.next;
        if after.is_none() {
            bar.finish_and_clear();
            // The names, too, must be on the disk.
            let synced = File::open(directory).and_then(|names| names.sync_all());
            return synced.map(|()| exported).map_err(failed);
        }
    }
}

/// Writes what waits of one submission.
async fn one(
    session: &dyn Session,
    directory: &Path,
    submission: MessageId,
    exported: &mut Exported,
) -> Result<(), Failure> {
    let (mut messages, mut after) = (Vec::new(), None);
    loop {
        let page = Page { after, limit: PAGE };
        let listing = session.list(&Filter::id(submission), page).await;
        let listing = listing.map_err(failed)?;
        messages.extend(listing.messages.into_iter().map(|l| l.message));
        after = listing.next;
        if after.is_none() {
            break;
        }
    }
    // None left: settled since it was listed.
    let Some(first) = messages.first().map(|m| m.id) else {
        return Ok(());
    };
    let content = match session.contents(first).await {
        Ok(Some(content)) => content,
        Ok(None) => return Ok(()),
        Err(error) => {
            let unreadable = messages.iter().map(|message| Unreadable {
                id: message.id,
                reason: error.to_string(),
            });
            exported.unreadable.extend(unreadable);
            return Ok(());
        }
    };
    let count = messages.len() as u64;
    let written = exported::write(directory, Submission { messages, content });
    written.map_err(|error| Failure::Failed(format!("{}: {error}", directory.display())))?;
    exported.messages += count;
    Ok(())
}

fn report(exported: &Exported, directory: &Path, json: bool) -> Result<(), Failure> {
    let unreadable = exported.unreadable.len() as u64;
    output::line(if json {
        to_json(&json!({ "exported": exported.messages, "unreadable": unreadable }))?
    } else {
        let (count, place) = (messages(exported.messages), directory.display());
        format!("{count} exported to {place}")
    })?;
    for unread in &exported.unreadable {
        let reason = output::harmless(&unread.reason);
        eprintln!("slimta: message {} cannot be read: {reason}", unread.id);
    }
    match unreadable {
        0 => Ok(()),
        _ => Err(Failure::Told),
    }
}
