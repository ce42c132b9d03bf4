//! Black-box tests: the real binary, between real clients and next hops.

mod commands;
mod crash;
mod rig;
mod scenarios;
