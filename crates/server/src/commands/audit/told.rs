//! What the audit prints.

use std::collections::BTreeMap;

use serde::Serialize;
use slimta_core::message::MessageId;
use slimta_oracle::audit::{Fate, Id, Verdict};

use super::lines::Log;
use crate::commands::queue::to_json;
use crate::failure::Failure;
use crate::output::Lines;

/// A message in JSON.
#[derive(Serialize)]
struct Message<'a> {
    id: String,
    fate: &'static str,
    delivered: u64,
    bounced: u64,
    waiting: u64,
    notices: Vec<String>,
    possible_duplicates: u64,
    why: &'a str,
}

/// The last line in JSON.
#[derive(Serialize)]
struct Summary {
    messages: usize,
    fates: BTreeMap<&'static str, usize>,
    possible_duplicates: u64,
    log_lines: u64,
    log_lines_unreadable: u64,
    log_events: u64,
    starts: usize,
    deaths: usize,
}

/// Prints messages that are not well, or all, and the summary.
pub(super) fn tell(
    verdicts: &[Verdict],
    log: &Log,
    (starts, deaths): (usize, usize),
    all: bool,
    json: bool,
) -> Result<(), Failure> {
    let mut out = Lines::new();
    for verdict in verdicts.iter().filter(|v| all || !v.why.is_empty()) {
        out.put(match json {
            true => to_json(&message(verdict))?,
            false => row(verdict),
        })?;
    }
    let count = |fate| verdicts.iter().filter(|v| v.fate == fate).count();
    let summary = Summary {
        messages: verdicts.len(),
        fates: Fate::ALL.map(|fate| (fate.name(), count(fate))).into(),
        possible_duplicates: verdicts.iter().map(|v| v.maybe_twice).sum(),
        log_lines: log.lines,
        log_lines_unreadable: log.unreadable,
        log_events: log.events,
        starts,
        deaths,
    };
    match json {
        true => out.put(to_json(&serde_json::json!({ "summary": summary }))?)?,
        false => said(&summary, &mut out)?,
    }
    out.finish()
}

fn message(verdict: &Verdict) -> Message<'_> {
    Message {
        id: shown(verdict.id),
        fate: verdict.fate.name(),
        delivered: verdict.delivered,
        bounced: verdict.bounced,
        waiting: verdict.waiting,
        notices: verdict.notices.iter().copied().map(shown).collect(),
        possible_duplicates: verdict.maybe_twice,
        why: &verdict.why,
    }
}

fn row(verdict: &Verdict) -> String {
    let mut parts = Vec::new();
    for (count, what) in [
        (verdict.delivered, "delivered"),
        (verdict.bounced, "bounced"),
        (verdict.waiting, "waiting"),
        (verdict.maybe_twice, "perhaps delivered twice"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let notices = verdict.notices.iter();
    parts.extend(notices.map(|notice| format!("notice {}", shown(*notice))));
    if !verdict.why.is_empty() {
        parts.push(verdict.why.clone());
    }
    let (id, fate) = (shown(verdict.id), verdict.fate.name());
    format!("{id}  {fate:<11}  {}", parts.join(", "))
        .trim_end()
        .to_owned()
}

fn said(summary: &Summary, out: &mut Lines) -> Result<(), Failure> {
    let fates = Fate::ALL.map(|fate| {
        let count = summary.fates.get(fate.name()).unwrap_or(&0);
        format!("{count} {}", fate.name())
    });
    out.put(format!(
        "{} messages: {}",
        summary.messages,
        fates.join(", ")
    ))?;
    if summary
        .fates
        .get(Fate::Unknown.name())
        .is_some_and(|n| *n > 0)
    {
        out.put(
            "unknown: the server died after the last line about them, perhaps between a commit \
             and its line; what became of them only their next hop can tell",
        )?;
    }
    if summary.possible_duplicates > 0 {
        let count = summary.possible_duplicates;
        out.put(format!(
            "{count} deliveries could not be recorded, and may have happened twice"
        ))?;
    }
    out.put(format!(
        "the log: {} lines, {} of them events, {} unreadable; the server began {} times and died {} times",
        summary.log_lines, summary.log_events, summary.log_lines_unreadable, summary.starts, summary.deaths
    ))
}

fn shown(id: Id) -> String {
    MessageId::from_bytes(id.to_be_bytes()).to_string()
}
