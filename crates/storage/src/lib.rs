//! Storage engines for the slimta mail queue.
//!
//! [`Memory`] forgets with its process; [`Embedded`] keeps mail in a directory
//! of this machine; [`Postgres`] in a database that several managers share.
//! [`open`] takes each as a URL.

#[cfg(any(feature = "embedded", feature = "postgres"))]
mod chunks;
#[cfg(any(feature = "embedded", feature = "postgres"))]
mod closing;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "postgres")]
mod server_time;
mod url;

#[cfg(feature = "embedded")]
pub use embedded::Embedded;
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
pub use slimta_core::storage::Memory;
pub use url::{OpenError, embedded_directory, open, open_checked};
