//! Says what became of every message, from what others saw. Pure: no file, no
//! socket, no clock, and nothing of the queue that it judges.
//!
//! The [`ledger`] judges a simulated run, in which clients and next hops tell
//! all they know. The [`audit`] judges a real server from its log and its store.

pub mod audit;
pub mod ledger;
