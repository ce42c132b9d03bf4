//! Mail whose sender requires TLS on all of its way (REQUIRETLS, RFC 8689): which
//! connections are good enough for it, and what it is told where none is.

use slimta_smtp::client::Dialect;

use super::connection::Connection;
use super::host_tls::HostTls;
use super::opening::NoSession;
use crate::message::{Class, Envelope, Response};

/// What a message demands of connections, whatever its destination does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Demand {
    /// Nothing more.
    Ordinary,
    /// TLS with a host whose name is known to be the right one, and that promises
    /// the same of its next hop.
    RequireTls,
}

impl Demand {
    /// Of a message with this envelope.
    pub(super) fn of(envelope: &Envelope) -> Self {
        match envelope.require_tls {
            true => Demand::RequireTls,
            false => Demand::Ordinary,
        }
    }

    /// What the connection to a host must be, of which `tls` is asked otherwise: one
    /// place says what authenticates a next hop (RFC 8689 section 4.2.1).
    pub(super) fn raise(self, tls: HostTls) -> HostTls {
        match self {
            Demand::Ordinary => tls,
            Demand::RequireTls => tls.authenticated(),
        }
    }

    /// What connections are kept under: those of the one lack
    /// what the other needs.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Demand::Ordinary => "",
            Demand::RequireTls => " requiretls",
        }
    }

    /// Lets go of a session that is not good enough, for another host may do better.
    /// By LMTP the message is at the end of its way.
    pub(super) fn judge(
        self,
        opened: Result<Connection, NoSession>,
    ) -> Result<Connection, NoSession> {
        let connection = opened?;
        let is_enough = self == Demand::Ordinary
            || connection.dialect() == Dialect::Lmtp
            || connection.extensions().require_tls;
        if is_enough {
            return Ok(connection);
        }
        let host = connection.host();
        let why = format!("{host} does not offer it");
        tokio::spawn(connection.quit());
        Err(NoSession::Unsafe(Response::transient(7, 30, why)))
    }

    /// The answer for a message whose host is not safe enough. What requires TLS goes
    /// back: its sender has to find another way.
    pub(super) fn answer(self, why: Response) -> Response {
        match self {
            Demand::Ordinary => why,
            Demand::RequireTls => {
                let text = format!("REQUIRETLS support required: {}", why.text);
                Response::permanent(7, 30, text)
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
