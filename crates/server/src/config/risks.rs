//! What works and is risky: operators are warned, and may mean it.

use slimta::edge::smtp::AuthMode;

use super::Settings;

/// Domains that stand for others in documents (RFC 2606).
const EXAMPLES: [&str; 4] = [".example", "example.com", "example.net", "example.org"];

/// The option and what may come of it, for each.
pub(super) fn risks(settings: &Settings) -> Vec<(&'static str, String)> {
    let edge = &settings.edge;
    let is_open = edge.permit.iter().any(super::Network::is_everybody);
    let auth = edge.auth.as_ref();
    let in_clear = auth.is_some_and(|auth| auth.mode() == AuthMode::InClear);
    let relay = settings.relay.as_deref().unwrap_or_default();
    let attempts_max = settings.limits.attempts_max;
    let per_destination = settings.limits.attempts_per_destination_max.values();
    let risks = [
        (
            is_open,
            "permit",
            "anybody on the Internet may send mail through this server, and soon will: name your own networks",
        ),
        (
            in_clear
                && !settings
                    .listen
                    .iter()
                    .all(|address| address.ip().is_loopback()),
            "auth-in-clear",
            "passwords cross the network where others can read them: leave it out, and clients use TLS",
        ),
        (
            settings.storage == "memory:",
            "storage",
            "mail is gone when the server ends: name a storage that lasts, such as embedded:/var/lib/slimta",
        ),
        (
            relay == "blackhole:",
            "relay",
            "mail is thrown away, and counts as delivered",
        ),
        (
            is_of_example(relay),
            "relay",
            "this is a name for documents, where nobody takes mail: name your own smarthost",
        ),
        (
            per_destination.max().is_some_and(|max| *max > attempts_max),
            "attempts-per-destination-max",
            "more attempts for one destination than attempts-max allows for all: the smaller number holds",
        ),
    ];
    let found = risks.into_iter().filter(|(is_so, _, _)| *is_so);
    found.map(|(_, key, why)| (key, why.to_owned())).collect()
}

fn is_of_example(relay: &str) -> bool {
    let Some((_, authority)) = relay.split_once("://") else {
        return false;
    };
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    EXAMPLES.iter().any(|end| host.ends_with(end))
}
