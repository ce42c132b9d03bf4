//! File descriptors, of which clients could take all: as many as the system
//! grants, and always some for the store and the relay.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Settings;

/// What a server needs besides clients and next hops: its storage, listeners,
/// operators, the resolver, the log.
const OWN: usize = 64;
/// Each attempt has one connection, and may leave one behind for the next.
const PER_ATTEMPT: usize = 2;
/// What clients get of few descriptors whatever the relay would like.
const CLIENTS_SHARE: usize = 4;

/// Raises the number of descriptors that this process may have as far as it may
/// go by itself; gives the limit that holds then.
///
/// The soft limit is as low as it is for programs that `select`, which fails
/// beyond 1,024. This one does not.
pub(crate) fn raise() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        ..limits
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limits.maximum,
        Err(_) => limits.current,
    };
    limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX)
}

/// Takes no more clients than leave enough of `limit` descriptors for the rest.
pub(crate) fn share(settings: &mut Settings, limit: usize) {
    let wanted = settings.edge.connections_max;
    let granted = clients(wanted, settings.limits.attempts_max, limit);
    if granted < wanted {
        settings.edge.connections_max = granted;
        tracing::warn!(
            limit,
            connections_max = granted,
            "not enough file descriptors for connections-max: raise their hard limit"
        );
    }
}

fn clients(wanted: usize, attempts_max: usize, limit: usize) -> usize {
    let others = attempts_max.saturating_mul(PER_ATTEMPT).saturating_add(OWN);
    let left = limit.saturating_sub(others);
    wanted.min(left.max(limit / CLIENTS_SHARE)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_the_others_leave() {
        for (limit, expected) in [
            (1 << 20, 1000),
            (2064, 1000),
            (2063, 999),
            (1024, 256),
            (64, 16),
            (0, 1),
        ] {
            assert_eq!(clients(1000, 500, limit), expected, "{limit}");
        }
        assert_eq!(clients(10_000, usize::MAX, usize::MAX), 10_000);
    }
}
