//! Black-box tests: the real binary, between real clients and next hops.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod absent;
mod acting;
mod agents;
mod arc;
mod audit;
mod auth;
mod beginning;
mod benchmarks;
mod binary;
mod carry;
mod clients;
mod commands;
mod configuration;
mod crash;
mod dane;
mod dkim;
#[path = "../../../slimta/tests/support/dnsmasq.rs"]
mod dnsmasq;
mod encryption;
mod farewells;
mod forward;
mod full;
mod interop;
#[path = "../../../slimta/tests/support/knot.rs"]
mod knot;
mod late;
mod limits;
mod listeners;
mod lmtp;
mod load;
mod mailq;
mod managers;
mod mta_sts;
mod net;
mod notices;
mod origins;
mod own_address;
mod peers;
mod pipe;
mod pools;
#[path = "../../../storage/tests/support/ports.rs"]
mod ports;
mod postfix;
#[path = "../../../storage/tests/support/postgres.rs"]
mod postgres;
mod promises;
mod proxied;
#[path = "../../../storage/tests/support/proxy.rs"]
mod proxy;
mod recipients;
mod redis;
#[path = "../../../storage/tests/support/redis.rs"]
mod redis_server;
mod relay_auth;
mod reloading;
mod require_tls;
mod rerouted;
mod rig;
mod routes;
mod scenarios;
mod schedules;
mod scram;
mod sendmail;
mod socks5;
mod sources;
mod spam;
mod starttls;
mod story;
mod suspended;
mod tenants;
mod tls_reports;
mod trap;
mod unwritable;
mod verify_senders;
mod xclient;
