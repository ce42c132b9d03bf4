//! `slimta queue retry|hold|release|delete|bounce`.

use clap::Args;
use serde::Serialize;
use slimta_core::message::MessageId;

use super::walk::Walk;
use super::{Filters, strange, to_json};
use crate::admin::{Door, Reply, Request, Verb, Which};
use crate::failure::Failure;
use crate::output;

/// What is acted on: messages by id, by what they have in common, or all.
#[derive(Args, Debug)]
pub(super) struct Target {
    /// Messages or submissions
    #[arg(value_name = "ID", conflicts_with_all = ["state", "destination", "sender", "recipient"])]
    ids: Vec<MessageId>,
    #[command(flatten)]
    filters: Filters,
    /// All messages
    #[arg(long, conflicts_with_all = ["ids", "state", "destination", "sender", "recipient"])]
    all: bool,
}

/// The same, said clearly.
pub(super) enum Meant {
    Ids(Vec<MessageId>),
    Which(Which),
}

impl Target {
    /// What was said; all if nothing was.
    pub(super) fn or_all(self) -> Meant {
        if self.ids.is_empty() {
            Meant::Which(self.filters.which())
        } else {
            Meant::Ids(self.ids)
        }
    }

    /// What was said, which must be something.
    pub(super) fn some(self) -> Result<Meant, Failure> {
        let nothing = self.ids.is_empty() && self.filters.which() == Which::default();
        if nothing && !self.all {
            return Err(Failure::Usage(
                "say which messages: an ID, --state, --destination, --sender, --recipient or --all"
                    .to_owned(),
            ));
        }
        Ok(self.or_all())
    }
}

/// What was done.
#[derive(Serialize, Default)]
struct Done {
    /// The verb, in the past.
    action: &'static str,
    /// How many messages were changed.
    changed: u64,
    /// How many were left, because they are being attempted just now.
    locked: u64,
}

/// Acts, and says what was done.
pub(super) async fn act(door: &Door, meant: Meant, verb: Verb, json: bool) -> Result<(), Failure> {
    let mut done = Done {
        action: past(&verb),
        ..Done::default()
    };
    let by_id = matches!(meant, Meant::Ids(_));
    let mut unknown = Vec::new();
    match meant {
        Meant::Which(which) => act_on(door, &which, &verb, &mut done).await?,
        Meant::Ids(ids) => {
            for id in ids {
                let which = Which::id(id);
                if exists(door, &which).await? {
                    act_on(door, &which, &verb, &mut done).await?;
                } else {
                    unknown.push(id);
                }
            }
        }
    }
    // What makes nothing due that was not due already is not worth a failure.
    let left = by_id && done.locked > 0 && verb != Verb::Retry;
    output::line(if json { to_json(&done)? } else { said(&done) })?;
    for id in &unknown {
        eprintln!("slimta: there is no message {id}");
    }
    if left || !unknown.is_empty() {
        Err(Failure::Told)
    } else {
        Ok(())
    }
}

async fn exists(door: &Door, which: &Which) -> Result<bool, Failure> {
    let mut walk = Walk::new(door, which.clone());
    while let Some(page) = walk.next().await? {
        if !page.messages.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn act_on(door: &Door, which: &Which, verb: &Verb, done: &mut Done) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let request = Request::Act {
            which: which.clone(),
            verb: verb.clone(),
            after,
        };
        let Reply::Acted(acted) = door.ask(request).await? else {
            return Err(strange());
        };
        done.changed += acted.changed.len() as u64;
        done.locked += acted.leased;
        after = acted.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn past(verb: &Verb) -> &'static str {
    match verb {
        Verb::Retry => "made due",
        Verb::Hold { .. } => "held",
        Verb::Release => "released",
        Verb::Delete => "deleted",
        Verb::Bounce { .. } => "bounced",
    }
}

fn said(done: &Done) -> String {
    let plural = if done.changed == 1 { "" } else { "s" };
    let mut text = format!("{} message{plural} {}", done.changed, done.action);
    if done.locked > 0 {
        let (is, was) = if done.locked == 1 {
            ("is", "was")
        } else {
            ("are", "were")
        };
        text += &format!(
            "; {} {is} being attempted just now and {was} left alone",
            done.locked
        );
    }
    text
}
