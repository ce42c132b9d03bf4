//! Storage engines for the slimta mail queue.
//!
//! [`Memory`] forgets with its process; [`Embedded`] keeps mail in a directory
//! of this machine. [`open`] takes either as a URL.

#[cfg(feature = "embedded")]
mod embedded;
mod url;

#[cfg(feature = "embedded")]
pub use embedded::Embedded;
pub use slimta_core::storage::Memory;
pub use url::{OpenError, embedded_directory, open};
