//! Ports for servers, that are there again when such a server is started again:
//! they are not among those that the system gives to outgoing connections, any
//! of which could have taken it meanwhile.

use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;

/// Redis takes another port for its Cluster, above its own by ten thousand.
const FIRST: u16 = 10_000;
const COUNT: u16 = 12_000;

/// A port where nobody listens, drawn so that tests that run at the same time
/// hardly ever find the same.
pub(crate) fn free_port() -> u16 {
    loop {
        let [low, high, ..] = RandomState::new().hash_one(()).to_ne_bytes();
        let port = FIRST + u16::from_ne_bytes([low, high]) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
