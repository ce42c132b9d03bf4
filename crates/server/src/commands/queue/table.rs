//! The queue as people read it.

use crate::admin::{DestinationView, MessageView, StatsView, SuspensionView};
use crate::output::harmless;

/// Recipients that a row names; the rest is counted.
const ROW_RECIPIENTS_MAX: usize = 2;

/// The head of the list.
pub(super) const HEAD: &str = "ID                                    STATE        SIZE  TRIES  NEXT ATTEMPT          FROM -> TO";

/// One message: a line, and a second one that says why it waits.
pub(super) fn row(message: &MessageView) -> String {
    let next = match &message.next_attempt_at {
        // Seconds are enough for people.
        Some(at) => format!("{}Z", at.get(..19).unwrap_or(at)),
        None if message.state == "held" => "when released".to_owned(),
        None => "now".to_owned(),
    };
    let mut text = format!(
        "{}  {:<8}  {:>7}  {:>5}  {:<20}  {} -> {}",
        message.id,
        message.state,
        size(message.size),
        message.attempts,
        next,
        sender(message),
        recipients(&message.recipients),
    );
    for why in [&message.hold_reason, &message.last_response]
        .into_iter()
        .flatten()
    {
        text += &format!("\n    {}", harmless(why));
    }
    text
}

/// The head of the destinations.
pub(super) const DESTINATIONS_HEAD: &str =
    "WAITING      DUE  IN HAND  ATTEMPTS  ALLOWED        RATE   GONE IN  DESTINATION";

/// One destination: a line, and another one if it is left alone or suspended.
pub(super) fn destination(one: &DestinationView) -> String {
    let allowed = one.attempts_allowed.map(|n| n.to_string());
    let allowed = allowed.as_deref().unwrap_or("-");
    let mut text = format!(
        "{:>7}  {:>7}  {:>7}  {:>8}  {:>7}  {:>10}  {:>8}  {}",
        counted(one.waiting, one.more),
        counted(one.due, one.more && one.due == one.waiting),
        one.messages,
        one.attempts,
        allowed,
        harmless(one.rate.as_deref().unwrap_or("-")),
        gone_in(one),
        harmless(&one.destination),
    );
    if let Some(wait) = one.rate_wait_ms {
        text += &format!("\n    its rate allows the next attempt in {wait} ms");
    }
    if let Some((seconds, last)) = one.paused_seconds.zip(one.last_response.as_ref()) {
        text += &format!(
            "\n    left alone for {seconds} s more after {} failures: {}",
            one.failures,
            harmless(last)
        );
    }
    if let Some(last) = one
        .last_response
        .as_ref()
        .filter(|_| one.paused_seconds.is_none())
    {
        let (failures, last) = (one.failures, harmless(last));
        text += &format!("\n    not reached by the last {failures} attempts: {last}");
    }
    if let Some(suspension) = &one.suspended {
        text += &format!("\n    {}", suspended(suspension));
    }
    text
}

fn counted(count: Option<usize>, more: bool) -> String {
    match count {
        Some(count) if more => format!(">{count}"),
        Some(count) => count.to_string(),
        None => "?".to_owned(),
    }
}

/// When all that waits is gone, as far as that can be told.
fn gone_in(one: &DestinationView) -> String {
    match one.drain_seconds.map(age) {
        Some(time) if one.more => format!(">{time}"),
        Some(time) => time,
        None => "-".to_owned(),
    }
}

/// What is suspended.
pub(super) fn suspended(suspension: &SuspensionView) -> String {
    let until = match &suspension.until {
        Some(until) => format!(" until {until}"),
        None => String::new(),
    };
    let text = format!(
        "mail for {} is suspended{until}: {}",
        suspension.destinations, suspension.reason
    );
    harmless(&text)
}

/// All of a message but its contents.
pub(super) fn card(message: &MessageView) -> String {
    let mut lines = vec![
        ("message", message.id.clone()),
        ("submission", message.submission.clone()),
        ("state", message.state.clone()),
        ("from", sender(message)),
    ];
    lines.extend(
        message
            .recipients
            .iter()
            .map(|recipient| ("to", format!("<{recipient}>"))),
    );
    lines.push(("destination", message.destination.clone()));
    lines.push(("priority", message.priority.clone()));
    lines.push(("size", format!("{} bytes", message.size)));
    lines.push(("attempts", message.attempts.to_string()));
    lines.push(("received", message.received_at.clone()));
    let deliver_by = message.deliver_by_at.as_ref().map(|at| {
        let late = match message.deliver_by_else.as_deref() {
            Some("return") => "or it goes back",
            _ => "or its sender is told",
        };
        format!("{at}, {late}")
    });
    let tls = message.requires_tls;
    let tls = tls.then(|| "required on all of its way".to_owned());
    let optional = [
        ("client", &message.client_ip),
        ("not before", &message.released_at),
        ("deliver by", &deliver_by),
        ("TLS", &tls),
        ("next attempt", &message.next_attempt_at),
        ("locked until", &message.locked_until),
        ("held", &message.hold_reason),
        ("last response", &message.last_response),
        ("now", &message.why),
    ];
    let known = |(name, value): (&'static str, &Option<String>)| {
        value.as_ref().map(|value| (name, value.clone()))
    };
    lines.extend(optional.into_iter().filter_map(known));
    let shown = lines
        .iter()
        .map(|(name, value)| harmless(&format!("{name:<14} {value}")));
    shown.collect::<Vec<_>>().join("\n")
}

/// Counts.
pub(super) fn stats(stats: &StatsView) -> String {
    let mut text = format!(
        "messages {}\nactive   {}\ndeferred {}\nheld     {}\nsize     {}\noldest   {}",
        stats.messages,
        stats.active,
        stats.deferred,
        stats.held,
        size(stats.bytes),
        age(stats.oldest_age_seconds),
    );
    if stats.quarantined > 0 {
        text += &format!("\nunreadable {}", stats.quarantined);
    }
    text
}

fn sender(message: &MessageView) -> String {
    format!("<{}>", message.sender)
}

fn recipients(recipients: &[String]) -> String {
    let named = recipients.iter().take(ROW_RECIPIENTS_MAX);
    let mut text = named
        .map(|r| format!("<{r}>"))
        .collect::<Vec<_>>()
        .join(", ");
    if recipients.len() > ROW_RECIPIENTS_MAX {
        text += &format!(", +{}", recipients.len() - ROW_RECIPIENTS_MAX);
    }
    text
}

/// Three digits and a unit.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1000.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 9.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_short() {
        let sizes = [0, 1023, 1024, 10_240, 1_048_575, 52_428_800, u64::MAX].map(size);
        assert_eq!(
            sizes,
            [
                "0 B",
                "1023 B",
                "1.0 KiB",
                "10 KiB",
                "1.0 MiB",
                "50 MiB",
                "16777216 TiB"
            ]
        );
        assert_eq!(
            [0, 59, 60, 7200, 172_800].map(age),
            ["0 s", "59 s", "1 min", "2 h", "2 d"]
        );
    }
}
