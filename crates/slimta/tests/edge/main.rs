//! The SMTP edge over real connections on the loopback interface.
//!
//! Tests of time run under tokio's paused clock: hours pass as soon as nobody
//! has anything to do.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod auth;
#[cfg(feature = "tls")]
mod certificates;
mod limits;
mod messages;
mod origins;
mod proxied;
mod rig;
mod sasl;
mod stopping;
#[cfg(feature = "tls")]
mod tls;
mod validators;
