//! Says what became of every message, recipient by recipient, from what others
//! saw. Pure: no file, no socket, no clock, and nothing of the queue that it
//! judges.
//!
//! One judgement stands for all, in [`Account`]: facts about one recipient in,
//! a [`Verdict`] out. Three ways lead to it. A [`Ledger`] takes facts as they
//! are, such as a simulator knows them. A [`History`] works out from the order
//! of things which windows let copies through: it judges runs of real processes
//! that are hit. An [`audit`] reads facts from a server's log and its store.

mod account;
pub mod audit;
mod fate;
mod history;
mod ledger;

pub use account::{Account, Verdict};
pub use fate::{Fate, Window};
pub use history::{Copy, History, Hit, Tick};
pub use ledger::{Broken, Key, Ledger, Tally};
