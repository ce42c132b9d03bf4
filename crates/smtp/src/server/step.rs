//! What a session asks of its driver.

use slimta_core::message::{Client, Content, Envelope, Priority, Recipient};

#[cfg(doc)]
use super::Session;
use super::{Asked, Credentials, SaslMessage, XClient};

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Write the output, read more into the input, and call
    /// [`Session::step`] again.
    Read(Awaits),
    /// Write the output before going on: there is much of it.
    Write,
    /// Let the client wait for its replies: it sends many bad commands.
    Pause,
    /// Decide on a command with [`Session::allow`] or [`Session::refuse`].
    Decide(Asked),
    /// Decide on a recipient with [`Session::accept_recipient`] or
    /// [`Session::refuse_recipient`].
    Recipient(Recipient),
    /// The client wants to turn to TLS. Answer with
    /// [`Session::accept_tls`], write the output, make the handshake and call
    /// [`Session::secured`]; or answer with [`Session::refuse_tls`]. Comes only
    /// if the settings offer it.
    StartTls,
    /// The client says who it is. Check that, and answer with
    /// [`Session::accept_user`] or [`Session::refuse_user`]. Comes only if the
    /// settings offer it.
    Authenticate(Credentials),
    /// A message of a client that says who it is by a mechanism of several
    /// messages. Answer with [`Session::challenge`], [`Session::accept_user_as`],
    /// [`Session::deny_user`] or [`Session::refuse_user`]. Comes only if the
    /// session offers such mechanisms.
    Sasl(SaslMessage),
    /// A proxy says whom it speaks for. Answer with [`Session::accept_xclient`]
    /// and greet whom it is, or with [`Session::refuse_xclient`]. Comes only if
    /// the session allows it.
    XClient(Box<XClient>),
    /// A complete message. Store it and tell the client with
    /// [`Session::answer`].
    Message(Box<Received>),
    /// Write the output and close the connection.
    Close,
}

/// What a session needs from its client, which says how long to wait for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Awaits {
    /// A command. Whether one has come is told by [`Session::commands_done`],
    /// so that a byte now and then cannot hold a session for ever.
    Command,
    /// A part of a message.
    Data,
}

/// Why the driver ends a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The server shuts down.
    Shutdown,
    /// The client took too long.
    TimedOut,
}

/// A message as it came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// Who sent it, as far as the session knows: protocol, greeting and the
    /// name of this server. The address is for the driver to fill in.
    pub client: Client,
    /// Who it is from and for.
    pub envelope: Envelope,
    /// Its header and body; all lines end with CR LF. Only the body of a message
    /// whose envelope says `BinaryMime` may hold any octets.
    pub content: Content,
    /// Which goes first.
    pub priority: Priority,
}
