//! What works and is risky: operators are warned, and may mean it.

use slimta::edge::smtp::AuthMode;

use super::{Listener, Network, RelayLogin, Settings};

/// Domains that stand for others in documents (RFC 2606).
const EXAMPLES: [&str; 4] = [".example", "example.com", "example.net", "example.org"];

/// The option and what may come of it, for each.
pub(super) fn risks(settings: &Settings) -> Vec<(String, String)> {
    let relay = settings.relay.as_deref().unwrap_or_default();
    let attempts_max = settings.limits.attempts_max;
    let per_destination = settings.limits.attempts_per_destination_max.values();
    let mut logins = settings
        .relay_login
        .iter()
        .chain(settings.route_logins.values());
    let reporter = settings.tls_policies.reporter();
    let risks = [
        (
            reporter.is_some_and(|domain| !settings.dkim.is_for(domain)),
            "tls-report",
            "reports are not signed, and who gets them has to ignore them (RFC 8460 section 3): \
             add a table [dkim.\"DOMAIN\"] for the domain of tls-report-contact",
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
        (
            logins.any(RelayLogin::is_for_clear),
            "relay-auth-in-clear",
            "the password crosses the network where others can read it, unless the relay offers TLS",
        ),
    ];
    let found = risks.into_iter().filter(|(is_so, _, _)| *is_so);
    let found = found.map(|(_, key, why)| (key.to_owned(), why.to_owned()));
    of_clients(settings).into_iter().chain(found).collect()
}

/// Those of what clients may do, each for the first listener where it is so.
fn of_clients(settings: &Settings) -> Vec<(String, String)> {
    let everybody = |networks: &[Network]| networks.iter().any(Network::is_everybody);
    let auth = settings.edge.auth.as_ref();
    let in_clear = auth.is_some_and(|auth| auth.mode() == AuthMode::InClear);
    let first = |is_so: &dyn Fn(&Listener) -> bool| settings.listeners.iter().find(|l| is_so(l));
    let risks = [
        (
            first(&|listener| everybody(&listener.permit)).map(|l| l.key_of("permit")),
            "anybody on the Internet may send mail through this server, and soon will: name your own networks",
        ),
        (
            first(&|listener| everybody(&listener.proxy_from)).map(|l| l.key_of("proxy-from")),
            "anybody may claim to be any client: name your own proxies",
        ),
        (
            everybody(&settings.edge.xclient_from).then(|| "xclient-from".to_owned()),
            "anybody may claim to be any client: name your own proxies",
        ),
        (
            first(&|listener| in_clear && listener.takes_passwords_in_clear())
                .map(|_| "auth-in-clear".to_owned()),
            "passwords cross the network where others can read them: leave it out, and clients use TLS",
        ),
    ];
    let found = risks.into_iter();
    let found = found.filter_map(|(key, why)| Some((key?, why.to_owned())));
    found.collect()
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
