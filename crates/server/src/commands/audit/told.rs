//! What the audit prints.

use std::collections::BTreeMap;

use serde::Serialize;
use slimta_core::message::MessageId;
use slimta_oracle::audit::{Id, Verdict};
use slimta_oracle::{Fate, Window};

use super::lines::Log;
use crate::commands::queue::to_json;
use crate::failure::Failure;
use crate::output::Lines;

/// A message in JSON.
#[derive(Serialize)]
struct Message<'a> {
    id: String,
    fate: &'static str,
    recipients: Vec<Recipient<'a>>,
    notices: Vec<String>,
    possible_duplicates: u64,
    why: &'a str,
}

/// One of its recipients.
#[derive(Serialize)]
struct Recipient<'a> {
    /// Empty if nothing names it.
    recipient: &'a str,
    fate: &'static str,
    /// Through which it was served more than once.
    windows: Vec<&'static str>,
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
    for verdict in verdicts.iter().filter(|v| all || !v.is_well()) {
        out.put(match json {
            true => to_json(&message(verdict))?,
            false => row(verdict),
        })?;
    }
    let count = |fate| verdicts.iter().filter(|v| v.fate == fate).count();
    let summary = Summary {
        messages: verdicts.len(),
        fates: Fate::ALL.map(|fate| (fate.name(), count(fate))).into(),
        possible_duplicates: verdicts.iter().map(|v| v.unrecorded).sum(),
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
    let recipients = verdict.recipients.iter();
    Message {
        id: shown(verdict.id),
        fate: verdict.fate.name(),
        recipients: recipients
            .map(|(recipient, one)| Recipient {
                recipient,
                fate: one.fate.name(),
                windows: one.windows.iter().copied().map(Window::name).collect(),
                why: &one.why,
            })
            .collect(),
        notices: verdict.notices.iter().copied().map(shown).collect(),
        possible_duplicates: verdict.unrecorded,
        why: &verdict.why,
    }
}

fn row(verdict: &Verdict) -> String {
    let mut parts = groups(verdict);
    if verdict.unrecorded > 0 {
        parts.push(format!("{} perhaps delivered twice", verdict.unrecorded));
    }
    let notices = verdict.notices.iter();
    parts.extend(notices.map(|notice| format!("notice {}", shown(*notice))));
    if !verdict.why.is_empty() {
        parts.push(verdict.why.clone());
    }
    let (id, fate) = (shown(verdict.id), verdict.fate.name());
    format!("{id}  {fate:<11}  {}", parts.join("; "))
        .trim_end()
        .to_owned()
}

/// Recipients by what became of them: counted where all is well, else named.
fn groups(verdict: &Verdict) -> Vec<String> {
    let mut groups = BTreeMap::<_, Vec<&str>>::new();
    for (recipient, one) in &verdict.recipients {
        let windows: Vec<_> = one.windows.iter().copied().map(Window::name).collect();
        let group = (one.fate, one.why.as_str(), windows.join(" "));
        let name = match recipient.as_str() {
            "" => "somebody",
            name => name,
        };
        groups.entry(group).or_default().push(name);
    }
    let group = |((fate, why, windows), names): ((Fate, &str, String), Vec<&str>)| {
        let (count, fate) = (names.len(), fate.name());
        let windows = match windows.as_str() {
            "" => String::new(),
            windows => format!(" ({windows})"),
        };
        match why {
            "" => format!("{count} {fate}"),
            why => format!("{count} {fate}, {why}{windows}: {}", names.join(" ")),
        }
    };
    groups.into_iter().map(group).collect()
}

fn said(summary: &Summary, out: &mut Lines) -> Result<(), Failure> {
    let count = |fate: Fate| summary.fates.get(fate.name()).copied().unwrap_or(0);
    let fates = Fate::ALL.map(|fate| format!("{} {}", count(fate), fate.name()));
    out.put(format!(
        "{} messages: {}",
        summary.messages,
        fates.join(", ")
    ))?;
    if count(Fate::Unknown) > 0 {
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
