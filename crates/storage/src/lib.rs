//! Storage engines for the slimta mail queue.
//!
//! [`Memory`] forgets with its process; [`Embedded`] keeps mail in a directory
//! of this machine; [`Postgres`] in a database and [`Redis`] on a Redis server,
//! both of which several managers may share. [`open`] takes each as a URL.

#[cfg(test)]
#[path = "../tests/support/certificates.rs"]
mod certificates;
#[cfg(any(feature = "embedded", feature = "postgres", feature = "redis"))]
mod chunks;
#[cfg(any(feature = "embedded", feature = "postgres", feature = "redis"))]
mod closing;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod server_time;
#[cfg(all(test, any(feature = "postgres", feature = "redis")))]
#[path = "../tests/support/ports.rs"]
mod test_ports;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod tls;
mod url;

#[cfg(feature = "embedded")]
pub use embedded::Embedded;
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
#[cfg(feature = "redis")]
pub use redis::Redis;
pub use slimta_core::storage::Memory;
pub use url::{OpenError, embedded_directory, open, open_checked};
