//! Mail whose sender requires TLS on all of its way (REQUIRETLS, RFC 8689): which
//! hosts and connections are good enough for it, and what it is told where none is.

use slimta_smtp::client::{Dialect, TlsLevel};

use super::Host;
use super::connection::Connection;
use super::host_tls::HostTls;
use super::opening::NoSession;
use crate::message::{Class, EnhancedCode, Envelope, Response};

/// The code of hosts that do not promise what is required (RFC 8689 section 7), as
/// long as another may.
const NO_PROMISE: EnhancedCode = EnhancedCode::new(4, 7, 30);

/// What a message demands of connections, whatever its destination does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Demand {
    /// Nothing more.
    Ordinary,
    /// TLS with a host that is known to be the right one, and that promises the same
    /// of its next hop.
    RequireTls,
    /// The same, but for the promise: a report on such mail is not thrown away because
    /// a host gives none (RFC 8689 section 5).
    Report,
}

/// Whether the name of a host is one that nobody on the way could have put in the
/// place of another: its certificate says no more than that it has that name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::relay) enum Naming {
    /// An operator or a program named it, the domain itself has that name, its
    /// DNS said it with a signature (DNSSEC), or its policy says it (MTA-STS).
    Certain,
    /// The DNS said it, and nobody vouches for that.
    #[cfg_attr(not(feature = "mx"), expect(dead_code, reason = "nobody asks it"))]
    Doubtful,
    /// The same, and for now nobody can tell whether the domain has a policy.
    #[cfg_attr(not(feature = "mta-sts"), expect(dead_code, reason = "there are none"))]
    Unsettled,
}

impl Demand {
    /// Of a message with this envelope.
    pub(super) fn of(envelope: &Envelope) -> Self {
        match (envelope.require_tls, envelope.sender.is_null()) {
            (false, _) => Demand::Ordinary,
            (true, false) => Demand::RequireTls,
            (true, true) => Demand::Report,
        }
    }

    /// Whether it demands anything.
    pub(super) fn is_some(self) -> bool {
        self != Demand::Ordinary
    }

    /// The level by which the exchangers of a domain are asked for its mail, where
    /// `level` is that of its destination: they say themselves how they are known, if
    /// that can be told (RFC 8689 section 4.2.1, step 4). An operator who wants good
    /// certificates has said what they are good by.
    pub(super) fn level(self, level: TlsLevel, has_trusted_dns: bool) -> TlsLevel {
        match level {
            TlsLevel::Off | TlsLevel::Opportunistic | TlsLevel::Required
                if self.is_some() && has_trusted_dns =>
            {
                TlsLevel::Dane
            }
            level => level,
        }
    }

    /// Why a host gets no such mail, whatever its certificate is: nobody knows that it
    /// is the right one (RFC 8689 section 4.2.1, step 2).
    pub(super) fn doubt(self, host: &Host) -> Option<NoSession> {
        if self == Demand::Ordinary {
            return None;
        }
        let name = &host.name;
        match host.naming {
            Naming::Certain => None,
            Naming::Doubtful => {
                let why = format!(
                    "neither DNSSEC nor a policy (MTA-STS) says that {name} takes its mail"
                );
                Some(NoSession::Unsafe(Response::transient(7, 10, why)))
            }
            Naming::Unsettled => {
                let why = format!(
                    "Whether {name} takes mail that requires TLS is not known: the domain's \
                     policy (MTA-STS) could not be fetched"
                );
                Some(NoSession::Failed(Response::transient(7, 0, why)))
            }
        }
    }

    /// What the connection to a host must be, of which `tls` is asked otherwise: one
    /// place says what authenticates a next hop (RFC 8689 section 4.2.1).
    pub(super) fn raise(self, tls: HostTls) -> HostTls {
        match self {
            Demand::Ordinary => tls,
            Demand::RequireTls | Demand::Report => tls.authenticated(),
        }
    }

    /// What connections are kept under: those of the one lack
    /// what the other needs.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Demand::Ordinary => "",
            Demand::RequireTls => " requiretls",
            Demand::Report => " requiretls-report",
        }
    }

    /// Lets go of a session that is not good enough, for another host may do better.
    /// By LMTP the message is at the end of its way.
    pub(super) fn judge(
        self,
        opened: Result<Connection, NoSession>,
    ) -> Result<Connection, NoSession> {
        let connection = opened?;
        let is_enough = self != Demand::RequireTls
            || connection.dialect() == Dialect::Lmtp
            || connection.extensions().require_tls;
        if is_enough {
            return Ok(connection);
        }
        let host = connection.host();
        let why = format!("{host} does not offer it");
        tokio::spawn(connection.quit());
        Err(NoSession::Unsafe(Response::new(451, Some(NO_PROMISE), why)))
    }

    /// The answer for a message whose host is not safe enough. What requires TLS goes
    /// back, with the code that says what was missing: its sender has to find another
    /// way.
    pub(super) fn answer(self, why: Response) -> Response {
        let text = &why.text;
        match self {
            Demand::Ordinary => why,
            Demand::RequireTls | Demand::Report if why.enhanced == Some(NO_PROMISE) => {
                Response::permanent(7, 30, format!("REQUIRETLS support required: {text}"))
            }
            Demand::RequireTls | Demand::Report => {
                Response::permanent(7, 10, format!("Encryption needed (REQUIRETLS): {text}"))
            }
        }
    }
}

/// Of the answers for two hosts the one that counts: while one of them may do later,
/// the message waits.
pub(super) fn milder(before: Option<Response>, why: Response) -> Response {
    let keeps = |before: &Response| before.class() == Class::Transient;
    match before.filter(keeps) {
        Some(before) if why.class() == Class::Permanent => before,
        _ => why,
    }
}
