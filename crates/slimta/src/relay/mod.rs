//! Relays: what hands messages on to the next hop.
//!
//! [`open`] makes the relay that a URL names, [`routed`] one of several that go by
//! destination. [`SmtpRelay`] hands everything to one server, [`MxRelay`] finds the
//! mail exchangers of each domain, [`LmtpRelay`] talks to a server that delivers into
//! mailboxes; all three keep connections open and use them again. `PipeRelay` runs a
//! command of this machine (feature `pipe`). [`Maildir`] and
//! [`Blackhole`] are ends of the way, for trying out and for tests; [`Reject`] refuses.

mod blackhole;
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "nobody encrypts"))]
mod der;
#[cfg(feature = "mta-sts")]
mod https;
mod maildir;
#[cfg(feature = "mx")]
mod mx;
#[cfg(feature = "pipe")]
mod pipe;
mod regrouped;
mod reject;
mod resolver;
mod routed;
mod smtp;
#[cfg(feature = "mta-sts")]
mod sts;
#[cfg(feature = "mta-sts")]
mod tls_report;
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "nobody encrypts"))]
mod tlsa;
mod url;
#[cfg(feature = "mta-sts")]
mod whole_file;

/// The policies of domains on the TLS with their mail exchangers (MTA-STS, RFC
/// 8461).
#[cfg(feature = "mta-sts")]
pub mod mta_sts {
    pub use super::mx::TextRecords;
    pub use super::sts::{
        FetchError, Mode, MtaSts, MxPattern, PoliciesError, Policy, PolicyError, PolicySource,
        WebPolicies,
    };
}

/// Reports to domains on the TLS with their mail exchangers (RFC 8460).
#[cfg(feature = "mta-sts")]
pub mod tls_reports {
    pub use super::tls_report::{ReportOptions, ReportSender, ReportsError, TlsReports};
}

pub use blackhole::Blackhole;
pub use maildir::Maildir;
#[cfg(feature = "mx")]
pub use mx::{Dns, DnsTrust, MxRelay};
#[cfg(feature = "pipe")]
pub use pipe::{PipeCommand, PipeCommandError, PipeRelay};
pub use regrouped::regrouped;
pub use reject::{Reject, RejectError};
pub use resolver::{Answer, AnswerOrigin, Exchanger, LookupError, Resolver};
pub use routed::{Routes, routed};
pub use slimta_core::message::{LmtpAddress, LmtpAddressError};
pub use slimta_core::relay::{Delivery, LeaseSignal, Relay};
pub use slimta_smtp::client::{Timing, TlsLevel, TlsLevelError};
pub use smtp::{
    Connector, Endpoint, Farewell, Farewells, Keeping, LmtpRelay, Origin, OriginPool, Origins,
    SmtpLogin, SmtpLoginError, SmtpRelay, Socks5, Socks5LoginError, Sources, SourcesError, Stream,
    Tls,
};
#[cfg(feature = "tls")]
pub use smtp::{Roots, RootsError};
pub use tlsa::Tlsa;
pub use url::{Connections, NextHop, OpenError, open, open_with};
