//! Hostile peers: the real server between clients and next hops that mean it
//! harm. Each file is one kind of harm.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod canaries;
mod crowds;
mod descriptors;
mod hop;
mod lines;
mod memory;
#[path = "../../../storage/tests/support/ports.rs"]
mod ports;
mod relaying;
mod replies;
#[allow(dead_code, reason = "it is the rig of the other black-box tests, too")]
#[path = "../it/rig.rs"]
mod rig;
mod shown;
mod sizes;
mod smuggling;
mod terminal;
mod wire;
