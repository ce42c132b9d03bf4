//! The server end of SMTP and LMTP without I/O: bytes in, steps out.
//!
//! A [`Session`] is fed with what a client sent and gives [`Step`]s: read more,
//! decide on a recipient, store a message, close. Replies gather in its output.
//! It opens no socket and knows no time; whoever drives it does both.
//!
//! What it promises: a message is handed on only if its data came to a proper
//! end, with nothing in it that another host might take for that end; input of
//! any size and shape costs a bounded amount of memory; how input is cut into
//! pieces changes nothing.

mod auth;
mod chunk;
mod command;
mod credentials;
mod data;
mod decide;
mod dispatch;
mod intake;
mod line;
mod lmtp;
mod parameters;
mod path;
mod peer;
mod priority;
mod promises;
mod replies;
mod role;
mod room;
mod sasl;
mod session;
mod settings;
mod starttls;
mod step;
#[cfg(test)]
mod tests;
mod transaction;
mod xclient;

pub use credentials::Credentials;
pub use decide::Asked;
pub use role::Role;
pub use room::Room;
pub use sasl::{Mechanism, Mechanisms, SaslMessage};
pub use session::Session;
pub use settings::{Auth, Settings, StartTls};
pub use starttls::Injected;
pub use step::{Awaits, Ending, Received, Step};
pub use xclient::{Fact, XClient};
