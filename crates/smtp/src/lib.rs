//! SMTP and LMTP without I/O, both ends: bytes in, steps out.
//!
//! Nothing here opens a socket or looks at a clock. The [`server`] reads what a
//! client sent and says what to answer and what was received; the [`client`]
//! says what to write, how long to wait, and what became of each recipient.

pub mod client;
pub mod server;
pub mod xtext;
