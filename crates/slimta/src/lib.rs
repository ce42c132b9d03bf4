//! slimta, the durable mail queue.
//!
//! A mail transfer agent has three jobs: an [`edge`] takes mail in, a
//! [`queue`] keeps it safe, a [`relay`] hands it on.

pub use slimta_core::{bus, message, queue, world};

pub mod edge;
pub mod policy;
pub mod relay;
pub mod routing;

/// Where messages are kept: the contract and the engines.
pub mod storage {
    pub use slimta_core::storage::*;
    pub use slimta_storage::*;
}

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
