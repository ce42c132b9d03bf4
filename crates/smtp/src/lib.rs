//! SMTP and LMTP without I/O, both ends: bytes in, steps out.
//!
//! Nothing here opens a socket or looks at a clock. The [`server`] reads what a
//! client sent and says what to answer and what was received; the [`client`]
//! says what to write, how long to wait, and what became of each recipient. What a
//! [`proxy`] says in front of a connection is read here, too.

pub mod client;
pub mod proxy;
pub mod server;
pub mod xtext;
