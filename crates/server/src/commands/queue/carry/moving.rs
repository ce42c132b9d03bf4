//! `slimta queue move`.

use std::path::Path;

use clap::Args;
use serde_json::json;
use slimta::storage::embedded_directory;
use slimta_core::storage::{Moved, Session, move_all};

use super::super::to_json;
use super::{failed, messages};
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
        let name = name(&self.from);
        if name == self::name(&self.to) {
            return Err(Failure::Usage(format!(
                "--from and --to are both {name}: there is nothing to move"
            )));
        }
        let to = assemble::session(&self.to, "--to", false).await?;
        let moved = move_with_bar(&*from, &*to, &name).await;
        from.close().await;
        to.close().await;
        report(&moved?, json)
    }
}

async fn move_with_bar(from: &dyn Session, to: &dyn Session, name: &str) -> Result<Moved, Failure> {
    let total = from.stats().await.map_err(failed)?.messages;
    let bar = output::progress(total, Unit::Messages);
    let mut told = |moved: &Moved| bar.set_position(moved.messages);
    let moved = move_all(from, to, name, &mut told).await;
    bar.finish_and_clear();
    moved.map_err(|error| {
        Failure::Failed(format!(
            "{error}; what is moved stays moved, run the same command again for the rest"
        ))
    })
}

/// What a storage is called, however its URL is written; without secrets.
fn name(url: &str) -> String {
    if let Some(directory) = embedded_directory(url) {
        let whole = std::fs::canonicalize(directory);
        let whole = whole.as_deref().unwrap_or(Path::new(directory));
        return format!("embedded:{}", whole.display());
    }
    let bare = url.split(['?', '#']).next().unwrap_or(url);
    match bare.split_once("://") {
        Some((scheme, rest)) => {
            let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            format!("{scheme}://{rest}")
        }
        None => bare.to_owned(),
    }
}

fn report(moved: &Moved, json: bool) -> Result<(), Failure> {
    let unreadable = moved.unreadable.len() as u64;
    output::line(if json {
        to_json(&json!({
            "moved": moved.messages,
            "finished": moved.finished,
            "locked": moved.busy,
            "unreadable": unreadable,
        }))?
    } else {
        let mut text = format!("{} moved", messages(moved.messages));
        if moved.finished > 0 {
            text += &format!(", {} of an earlier move released", moved.finished);
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

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_storage_has_one_name_without_secrets() {
        assert_eq!(name("embedded:."), name("embedded:./"));
        assert_eq!(
            name("postgres://u:s@cr/et@db/mail?x=y"),
            "postgres://db/mail"
        );
        assert_eq!(name("redis://host:6379/1"), "redis://host:6379/1");
    }
}
