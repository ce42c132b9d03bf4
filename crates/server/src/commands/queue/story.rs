//! The story of a message as people read it: what came of each attempt, the
//! next step, and the reason that binds now.

use super::table;
use crate::admin::{MessageView, PastView, StoryView};
use crate::output::harmless;

/// The card of a message with its story behind it.
pub(super) fn explained(message: &MessageView) -> String {
    let card = table::card(&MessageView {
        why: None,
        ..message.clone()
    });
    let mut lines = vec![card, String::new(), received(message)];
    if let Some(story) = &message.story {
        lines.extend(attempts(story));
    }
    let step = [("next", Some(next(message))), ("now", message.why.clone())];
    for (name, value) in step {
        lines.extend(value.map(|value| harmless(&format!("{name:<14} {value}"))));
    }
    lines.join("\n")
}

fn received(message: &MessageView) -> String {
    let from = match &message.client_ip {
        Some(ip) => format!(" from {ip}"),
        None => String::new(),
    };
    harmless(&format!("{}  received{from}", message.received_at))
}

fn attempts(story: &StoryView) -> Vec<String> {
    let earlier = match story.earlier_attempts {
        0 => None,
        earlier => Some(format!("... {earlier} earlier attempts, no longer kept")),
    };
    let kept = story.history.iter().map(|past| harmless(&line(past)));
    earlier.into_iter().chain(kept).collect()
}

/// One entry: when, what, for how many, and the reply.
fn line(past: &PastView) -> String {
    let what = match past.times {
        0 | 1 => past.what.clone(),
        times => format!("{} {times} times since {}", past.what, past.since),
    };
    let whom = match (past.waiting, past.recipients) {
        (1, 1) => String::new(),
        (waiting, recipients) => format!(" ({waiting} of {recipients} recipients wait)"),
    };
    let who = match &past.remote {
        Some(remote) => format!("{remote} said "),
        None => String::new(),
    };
    format!("{}  {what}{whom}: {who}{}", past.at, past.response)
}

/// What happens next, if nothing else does.
fn next(message: &MessageView) -> String {
    let step = match (&message.next_attempt_at, &message.hold_reason) {
        (Some(at), _) => format!("attempt at {at}"),
        (None, Some(_)) => "nothing until it is released".to_owned(),
        (None, None) => "the end of this attempt".to_owned(),
    };
    let end = message.story.as_ref().and_then(|s| s.gives_up_at.as_ref());
    match end {
        Some(end) => format!("{step}; none after {end}"),
        None => step,
    }
}
