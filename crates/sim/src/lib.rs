//! Simulated worlds in which the real queue has to keep its promises.
//!
//! One seed is one run: several queue managers share one storage, in virtual
//! time. Clients hand mail in through the real edge and its policies, again if
//! nobody says that it is safe, and others send garbage; managers hand it on
//! through the real relay, over a network that delays, cuts and falls silent at
//! any byte. Managers crash and come back, also while they start, and their
//! wall clocks jump; the storage is slow, fails before or after a commit, or is
//! out of reach for longer than a lease; next hops take, defer, refuse, hang,
//! mumble, answer too much, too little or too early, take a message and never
//! say so, or are not there. An operator holds messages back, lets them go and
//! removes them. In a first phase faults happen, in a second they do not, and
//! then everything must be settled; now and then a siege comes between them, in
//! which only bad next hops are left, and the others must not notice. The
//! oracle's ledger compares what clients were told with what arrived.
//!
//! The same seed always gives the same [`Story`].

mod books;
mod chance;
mod client;
mod clock;
mod copies;
mod crowd;
mod door;
mod flaky;
mod garbage;
mod hop;
mod host;
mod mail;
mod nature;
mod operator;
mod rules;
mod run;
mod siege;
mod wire;

pub use run::{Story, run};
pub use slimta_oracle::{Broken, Fate, Tally};
