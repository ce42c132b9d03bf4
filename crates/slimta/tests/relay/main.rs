//! Relays over real connections: to next hops that follow a script, to
//! Postfix's smtp-sink, to names that a real DNS server knows, to a Maildir.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod aliases;
mod auth;
mod binary;
mod certificates;
mod dane;
mod dns;
#[path = "../support/dnsmasq.rs"]
mod dnsmasq;
mod dnssec;
mod farewells;
mod hop;
#[path = "../support/knot.rs"]
mod knot;
mod lmtp;
mod mail;
mod maildir;
mod mta_sts;
mod named;
mod origins;
mod pipe;
mod pipelining;
mod promises;
mod require_tls;
mod sites;
mod sites_tls;
mod smtp;
mod smuggling;
mod tls;
mod tls_reports;
