//! The pure heart of slimta, the durable mail queue.
//!
//! Nothing in this crate opens a socket or a file, reads an ambient clock or
//! draws ambient chance: time and randomness come in through [`world::World`],
//! storage, relay and buses through traits. That is what lets the whole queue
//! run in a simulator.
//!
//! The floors, each of which may only use the ones before it:
//! `world` ← `message` ← {`bus`, `storage`, `relay`, `policy`} ← `queue`.

pub mod bus;
pub mod message;
pub mod policy;
pub mod queue;
pub mod relay;
pub mod storage;
pub mod world;
