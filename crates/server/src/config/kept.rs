//! What a server keeps until it is started anew, whatever its file says
//! meanwhile.

use super::Settings;

/// The options that count only when a server is started anew. `relay` is none of
/// them, unless it begins or ceases to be `none`. A table `[listener.NAME]` that is
/// new or gone waits, too.
pub(super) const KEPT: [&str; 11] = [
    "listen",
    "listen-tls",
    "listener.NAME.address",
    "storage",
    "admin-socket",
    "lock-duration",
    "attempts-max",
    "contents-memory-max",
    "intakes-max",
    "connections-max",
    "log-format",
];

impl Settings {
    /// Takes back what cannot change while a server runs, and names the options
    /// that would have.
    pub(crate) fn keep(&mut self, running: &Settings) -> Vec<String> {
        let mut later = self.keep_listeners(running);
        let mut keep = |option: &str, is_changed: bool| {
            if is_changed {
                later.push(option.to_owned());
            }
        };
        keep("storage", swap(&mut self.storage, &running.storage));
        let changed = swap(&mut self.admin_socket, &running.admin_socket);
        keep("admin-socket", changed);
        if self.relay.is_none() != running.relay.is_none() {
            // A queue that attempts nothing cannot begin to, nor the other way round.
            self.relay.clone_from(&running.relay);
            self.routes.clone_from(&running.routes);
            self.relay_login.clone_from(&running.relay_login);
            self.route_logins.clone_from(&running.route_logins);
            keep("relay", true);
        }
        let changed = swap(&mut self.lock_duration, &running.lock_duration);
        keep("lock-duration", changed);
        let (own, other) = (&mut self.limits, &running.limits);
        let changed = swap(&mut own.attempts_max, &other.attempts_max);
        keep("attempts-max", changed);
        let changed = swap(&mut own.contents_memory_max, &other.contents_memory_max);
        keep("contents-memory-max", changed);
        keep(
            "intakes-max",
            swap(&mut own.intakes_max, &other.intakes_max),
        );
        let (own, other) = (&mut self.edge, &running.edge);
        let changed = swap(&mut own.connections_max, &other.connections_max);
        keep("connections-max", changed);
        keep(
            "log-format",
            swap(&mut self.log_format, &running.log_format),
        );
        later
    }

    /// Listens where the server does, in the same order. What goes on to listen goes by
    /// its new rules; what is gone from the file, by its old ones.
    fn keep_listeners(&mut self, running: &Settings) -> Vec<String> {
        let mut later = Vec::new();
        let mut wanted = std::mem::take(&mut self.listeners);
        for old in &running.listeners {
            let place = wanted.iter().position(|new| new.origin == old.origin);
            let mut listener = match place {
                Some(place) => wanted.remove(place),
                None => {
                    later.push(old.origin.key());
                    old.clone()
                }
            };
            if swap(&mut listener.addresses, &old.addresses) {
                later.push(old.origin.address_key());
            }
            self.listeners.push(listener);
        }
        later.extend(wanted.iter().map(|new| new.origin.key()));
        if self.edge.tls.is_none() && self.listeners.iter().any(|l| l.tls.is_some()) {
            // Who begins with TLS there could not be served any more.
            self.edge.tls.clone_from(&running.edge.tls);
        }
        later
    }
}

/// Puts the old value back; says whether it was another.
fn swap<T: PartialEq + Clone>(value: &mut T, running: &T) -> bool {
    let is_changed = value != running;
    value.clone_from(running);
    is_changed
}
