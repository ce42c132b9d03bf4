//! Relays over real connections: to next hops that follow a script, to
//! Postfix's smtp-sink, to names that a real DNS server knows, to a Maildir.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod auth;
mod certificates;
mod dns;
mod hop;
mod lmtp;
mod mail;
mod maildir;
mod origins;
mod pipe;
mod promises;
mod sites;
mod smtp;
mod smuggling;
mod tls;
