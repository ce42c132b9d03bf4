//! What the parsers of slimta must hold for any bytes at all.
//!
//! Each target is a plain function that takes bytes and panics when a promise
//! is broken. The fuzzer in `fuzz/` looks for such bytes; the ordinary test of
//! this crate replays what is known and mutates it from a fixed seed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod addresses;
mod conversation;
mod header;
mod mutate;
mod next_hop;
mod operator;
mod pieces;
mod proxy;
mod records;
mod schedules;
mod server;
mod signatures;
mod sts;

pub use mutate::Mutator;

/// A function that panics when its bytes break a promise.
pub type Target = fn(&[u8]);

/// All targets, by the names of their directories in `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("addresses", addresses::addresses),
    ("admin_request", operator::admin_request),
    ("exported", operator::exported),
    ("configuration", operator::configuration),
    ("conversation", conversation::conversation),
    ("header_edits", header::edits),
    ("mailbox_lists", addresses::mailbox_lists),
    ("next_hop", next_hop::any_replies),
    ("proxy_header", proxy::header),
    ("records", records::records),
    ("schedules", schedules::schedules),
    ("server_bdat", server::bdat),
    ("server_data", server::data),
    ("server_lmtp", server::lmtp),
    ("server_session", server::session),
    ("signatures", signatures::signed),
    ("sts_policy", sts::policy),
    ("xtext", addresses::xtext),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, target)| *target)
}
