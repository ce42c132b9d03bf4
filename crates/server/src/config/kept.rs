//! What a server keeps until it is started anew, whatever its file says
//! meanwhile.

use super::Settings;

/// The options that count only when a server is started anew. `relay` is none of
/// them, unless it begins or ceases to be `none`.
pub(super) const KEPT: [&str; 10] = [
    "listen",
    "listen-tls",
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
    pub(crate) fn keep(&mut self, running: &Settings) -> Vec<&'static str> {
        let mut later = Vec::new();
        let mut keep = |option, is_changed: bool| {
            if is_changed {
                later.push(option);
            }
        };
        keep("listen", swap(&mut self.listen, &running.listen));
        if let Some(tls) = &mut self.edge.tls {
            let listen = running.edge.tls.as_ref().map(|tls| tls.listen.clone());
            let changed = swap(&mut tls.listen, &listen.unwrap_or_default());
            keep("listen-tls", changed);
        } else if let Some(tls) = running
            .edge
            .tls
            .as_ref()
            .filter(|tls| !tls.listen.is_empty())
        {
            // Who begins with TLS there could not be served any more.
            self.edge.tls = Some(tls.clone());
            keep("listen-tls", true);
        }
        keep("storage", swap(&mut self.storage, &running.storage));
        let changed = swap(&mut self.admin_socket, &running.admin_socket);
        keep("admin-socket", changed);
        if self.relay.is_none() != running.relay.is_none() {
            // A queue that attempts nothing cannot begin to, nor the other way round.
            self.relay.clone_from(&running.relay);
            self.routes.clone_from(&running.routes);
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
}

/// Puts the old value back; says whether it was another.
fn swap<T: PartialEq + Clone>(value: &mut T, running: &T) -> bool {
    let is_changed = value != running;
    value.clone_from(running);
    is_changed
}
