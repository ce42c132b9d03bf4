//! `slimta queue retry|hold|release|reroute|delete|bounce`.

use clap::Args;
use serde::Serialize;
use slimta_core::message::MessageId;

use super::pace::{Pace, Rate};
use super::preview::preview;
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
    /// Only count them; nothing is changed
    #[arg(long)]
    dry_run: bool,
}

/// The same, said clearly.
pub(super) enum Meant {
    Ids(Vec<MessageId>),
    Which(Which),
}

impl Target {
    /// What was said; all if nothing was.
    fn or_all(self) -> Meant {
        if self.ids.is_empty() {
            Meant::Which(self.filters.which())
        } else {
            Meant::Ids(self.ids)
        }
    }

    /// What was said, which must be something.
    fn some(self) -> Result<Meant, Failure> {
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
    /// Whether it was stopped before the end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
}

/// Does it, or only counts, and says so. Retrying is meant for all where nothing
/// is said; the rest is not.
pub(super) async fn run(
    door: &Door,
    target: Target,
    verb: Verb,
    rate: Option<Rate>,
    json: bool,
) -> Result<(), Failure> {
    let dry_run = target.dry_run;
    let meant = match verb {
        Verb::Retry => target.or_all(),
        _ => target.some()?,
    };
    match dry_run {
        true => preview(door, meant, verb, json).await,
        false => act(door, meant, verb, rate, json).await,
    }
}

/// Acts, and says what was done.
async fn act(
    door: &Door,
    meant: Meant,
    verb: Verb,
    rate: Option<Rate>,
    json: bool,
) -> Result<(), Failure> {
    let by_id = matches!(meant, Meant::Ids(_));
    let mut unknown = Vec::new();
    let mut acting = Acting {
        door,
        limit: rate.map(Rate::at_once),
        pace: Pace::new(rate)?,
        done: Done {
            action: past(&verb),
            ..Done::default()
        },
        verb,
    };
    match meant {
        Meant::Which(which) => acting.on(&which).await?,
        Meant::Ids(ids) => {
            for id in ids {
                let which = Which::id(id);
                if exists(door, &which).await? {
                    acting.on(&which).await?;
                } else {
                    unknown.push(id);
                }
            }
        }
    }
    acting.pace.end();
    let (done, verb) = (acting.done, acting.verb);
    // What makes nothing due that was not due already is not worth a failure.
    let left = by_id && done.locked > 0 && verb != Verb::Retry;
    output::line(if json { to_json(&done)? } else { said(&done) })?;
    for id in &unknown {
        eprintln!("slimta: there is no message {id}");
    }
    if left || done.stopped || !unknown.is_empty() {
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

/// An action on its way through the queue.
struct Acting<'a> {
    door: &'a Door,
    verb: Verb,
    /// How many messages at once, if not as many as the server takes.
    limit: Option<usize>,
    pace: Pace,
    done: Done,
}

impl Acting<'_> {
    /// A step at a time, until the end or until somebody stops it between two.
    async fn on(&mut self, which: &Which) -> Result<(), Failure> {
        let mut after = None;
        loop {
            if self.pace.is_stopping() {
                self.done.stopped = true;
                return Ok(());
            }
            let request = Request::Act {
                which: which.clone(),
                verb: self.verb.clone(),
                after,
                limit: self.limit,
            };
            let Reply::Acted(acted) = self.pace.step(self.door.ask(request)).await? else {
                return Err(strange());
            };
            self.done.changed += acted.changed.len() as u64;
            self.done.locked += acted.leased;
            after = acted.next;
            if after.is_none() {
                return Ok(());
            }
            self.pace.tell(self.done.changed, self.done.action);
            self.pace.keep(self.done.changed).await;
        }
    }
}

fn past(verb: &Verb) -> &'static str {
    match verb {
        Verb::Retry => "made due",
        Verb::Hold { .. } => "held",
        Verb::Release => "released",
        Verb::Reroute { .. } => "rerouted",
        Verb::Delete => "deleted",
        Verb::Bounce { .. } => "bounced",
    }
}

/// What stands behind a noun after a number.
pub(super) fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn said(done: &Done) -> String {
    let changed = done.changed;
    let mut text = format!("{changed} message{} {}", plural(changed), done.action);
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
    if done.stopped {
        text += "; stopped before the end: what came later is as it was";
    }
    text
}
