//! Black-box tests: the real binary, between real clients and next hops.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod absent;
mod acting;
mod audit;
mod auth;
mod beginning;
mod benchmarks;
mod carry;
mod commands;
mod configuration;
mod crash;
mod dkim;
mod encryption;
mod full;
mod interop;
mod late;
mod limits;
mod lmtp;
mod load;
mod mailq;
mod managers;
mod notices;
mod peers;
mod pipe;
#[path = "../../../storage/tests/support/ports.rs"]
mod ports;
mod postfix;
#[path = "../../../storage/tests/support/postgres.rs"]
mod postgres;
#[path = "../../../storage/tests/support/proxy.rs"]
mod proxy;
mod redis;
#[path = "../../../storage/tests/support/redis.rs"]
mod redis_server;
mod reloading;
mod rerouted;
mod rig;
mod routes;
mod scenarios;
mod schedules;
mod sendmail;
mod sources;
mod starttls;
mod story;
mod suspended;
mod tenants;
mod trap;
mod unwritable;
