//! The client end: hands mail to a next hop, by SMTP (RFC 5321 section 3.3) or
//! LMTP (RFC 2033).
//!
//! A [`Session`] is told the bytes that came and says in [`Step`]s what to do
//! next: write what is in its output, read within a time, begin TLS, send the
//! contents (as a [`Wire`] writes them), or look at the outcome. It never counts a
//! recipient as delivered that did not get its 2yz: whatever else happens, a
//! recipient without an answer has failed for now.

mod commands;
mod dialect;
mod downgrade;
mod extensions;
mod fitting;
mod login;
mod outcome;
mod reply;
mod session;
mod stuffing;
mod timing;
mod tls;
mod wire;

#[cfg(test)]
mod auth_tests;
#[cfg(test)]
mod binary_tests;
#[cfg(test)]
mod lmtp_tests;
#[cfg(test)]
mod promises_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

pub use commands::Parcel;
pub use dialect::Dialect;
pub use downgrade::downgraded;
pub use extensions::Extensions;
pub use fitting::Fitting;
pub use login::Login;
pub use outcome::{Outcome, Stage};
pub use reply::ReplyError;
pub use session::{Session, Step};
pub use stuffing::Stuffing;
pub use timing::Timing;
pub use tls::{Channel, TlsLevel, TlsLevelError};
pub use wire::{Chunk, Wire};

/// Most recipients that one transaction may have: every server takes so many
/// (RFC 5321 section 4.5.3.1.8), and as many commands in one batch fit the
/// buffers between the two ends (RFC 2920 section 3.1).
pub const RECIPIENTS_MAX: usize = 100;
