//! Storage engines for the slimta mail queue.

pub use slimta_core::storage::Memory;
