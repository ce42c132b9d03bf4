//! What the queue promises, over the memory engine and in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adopting;
mod delays;
mod failing;
mod leases;
mod limits;
mod pacing;
mod peers;
mod promises;
mod rig;
mod running;
mod seed;
mod sites;
mod story;
mod successes;
mod suspending;
mod tenants;
mod trouble;
