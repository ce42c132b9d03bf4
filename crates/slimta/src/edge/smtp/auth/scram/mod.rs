//! SCRAM-SHA-256 (RFC 5802, RFC 7677): a client proves that it knows a password
//! without showing it, and the server that it knows what the password was made
//! into.

mod exchange;
mod keys;

pub(super) use exchange::{Begun, First, Proof};
pub use keys::{ScramKeys, ScramKeysError};
