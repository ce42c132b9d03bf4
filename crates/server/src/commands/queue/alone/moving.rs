//! `slimta queue move`.

use clap::Args;
use serde_json::json;
use slimta_core::message::StoredMessage;
use slimta_core::storage::{Moved, Session, move_all};

use super::super::to_json;
use super::{brought, failed, messages};
use crate::assemble;
use crate::failure::Failure;
use crate::output::{self, Unit};

#[derive(Args, Debug)]
pub(in crate::commands::queue) struct Move {
    /// The storage to empty
    #[arg(long, value_name = "URL")]
    from: String,
    /// The storage to fill; an embedded one is made if it is not there
    #[arg(long, value_name = "URL")]
    to: String,
}

impl Move {
    pub(super) async fn run(self, json: bool) -> Result<(), Failure> {
        let from = assemble::session(&self.from, "--from", true).await?;
        let names = [&self.from, &self.to].map(|url| assemble::name(url));
        if names[0] == names[1] {
            return Err(Failure::Usage(format!(
                "--from and --to are both {}: there is nothing to move",
                names[0]
            )));
        }
        let to = assemble::session(&self.to, "--to", false).await?;
        let moved = move_with_bar(&*from, &*to, &names).await;
        from.close().await;
        to.close().await;
        report(&moved?, json)
    }
}

async fn move_with_bar(
    from: &dyn Session,
    to: &dyn Session,
    names: &[String; 2],
) -> Result<Moved, Failure> {
    let total = from.stats().await.map_err(failed)?.messages;
    let bar = output::progress(total, Unit::Messages);
    let mut told = |message: &StoredMessage| {
        let id = message.id;
        tracing::info!(%id, storage = names[0], "moved to another storage");
        brought(message, &names[1], "moved from another storage");
        bar.inc(1);
    };
    let moved = move_all(from, to, &names[0], &mut told).await;
    bar.finish_and_clear();
    moved.map_err(|error| {
        Failure::Failed(format!(
            "{error}; what is moved stays moved, run the same command again for the rest"
        ))
    })
}

fn report(moved: &Moved, json: bool) -> Result<(), Failure> {
    let unreadable = moved.unreadable.len() as u64;
    output::line(if json {
        to_json(&json!({
            "moved": moved.messages,
            "finished": moved.finished,
            "suspensions": moved.suspensions,
            "locked": moved.busy,
            "unreadable": unreadable,
        }))?
    } else {
        let mut text = format!("{} moved", messages(moved.messages));
        if moved.finished > 0 {
            text += &format!(", {} of an earlier move released", moved.finished);
        }
        if moved.suspensions > 0 {
            text += &format!(", {} suspensions copied", moved.suspensions);
        }
        text
    })?;
    if moved.busy > 0 {
        eprintln!(
            "slimta: {} left, being attempted just now: run the command again later",
            messages(moved.busy)
        );
    }
    for unread in &moved.unreadable {
        let reason = output::harmless(&unread.reason);
        eprintln!(
            "slimta: message {} left, it cannot be read: {reason}",
            unread.id
        );
    }
    match moved.busy + unreadable {
        0 => Ok(()),
        _ => Err(Failure::Told),
    }
}
