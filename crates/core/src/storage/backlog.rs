//! How much waits, by destination.

/// What waits for one destination: neither held nor leased.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    /// All of it.
    pub waiting: usize,
    /// What of it is due.
    pub due: usize,
}
