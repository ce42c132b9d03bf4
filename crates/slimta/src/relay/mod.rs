//! Relays: what hands messages on to the next hop.
//!
//! [`open`] makes the relay that a URL names, [`routed`] one of several that go by
//! destination. [`SmtpRelay`] hands everything to one server, [`MxRelay`] finds the
//! mail exchangers of each domain, [`LmtpRelay`] talks to a server that delivers into
//! mailboxes; all three keep connections open and use them again. `PipeRelay` runs a
//! command of this machine (feature `pipe`). [`Maildir`] and
//! [`Blackhole`] are ends of the way, for trying out and for tests; [`Reject`] refuses.

mod blackhole;
mod maildir;
#[cfg(feature = "mx")]
mod mx;
#[cfg(feature = "pipe")]
mod pipe;
mod regrouped;
mod reject;
mod routed;
mod smtp;
mod url;

pub use blackhole::Blackhole;
pub use maildir::Maildir;
#[cfg(feature = "mx")]
pub use mx::{Dns, Exchanger, LookupError, MxRelay, Resolver};
#[cfg(feature = "pipe")]
pub use pipe::{PipeCommand, PipeCommandError, PipeRelay};
pub use regrouped::regrouped;
pub use reject::{Reject, RejectError};
pub use routed::{Routes, routed};
pub use slimta_core::relay::{Delivery, LeaseSignal, Relay};
pub use slimta_smtp::client::{Timing, TlsLevel, TlsLevelError};
pub use smtp::{
    Connector, Endpoint, Keeping, LmtpAddress, LmtpAddressError, LmtpRelay, Origin, OriginPool,
    Origins, SmtpLogin, SmtpLoginError, SmtpRelay, Socks5, Socks5LoginError, Sources, SourcesError,
    Stream, Tls,
};
#[cfg(feature = "tls")]
pub use smtp::{Roots, RootsError};
pub use url::{Connections, NextHop, OpenError, open, open_with};
