//! The next hop that an envelope names, whatever the relay.

use std::path::PathBuf;

use slimta_smtp::client::Dialect;

use super::lmtp::Socket;
use super::{Begin, Carrier, Target};
use crate::message::Report;
use crate::relay::Delivery;

/// A server that an operator or a program chose for one message.
pub(in crate::relay) enum Named {
    Tcp(Target),
    Unix(PathBuf),
}

impl Named {
    /// That of a message, if it names one.
    pub(in crate::relay) fn of(delivery: &Delivery, default_port: u16) -> Option<Self> {
        let named = delivery.message.envelope.next_hop.as_ref()?;
        let host = named.host.clone()?;
        let (dialect, begin) = match named.relayer.as_deref() {
            Some("lmtp") if host.starts_with('/') => return Some(Named::Unix(host.into())),
            Some("lmtp") => (Dialect::Lmtp, Begin::Clear),
            Some("smtps") => (Dialect::Smtp, Begin::Encrypted),
            _ => (Dialect::Smtp, Begin::Clear),
        };
        Some(Named::Tcp(Target {
            host,
            port: named.port.unwrap_or(default_port),
            dialect,
            begin,
            login: None,
        }))
    }

    /// Whether a message that names this server goes to `target` as all mail does:
    /// which is there, and is talked to no less safely.
    pub(super) fn is_for(&self, target: &Target) -> bool {
        let Named::Tcp(named) = self else {
            return false;
        };
        named.is_at(target)
            && named.dialect == target.dialect
            && (named.begin == target.begin || named.begin == Begin::Clear)
    }

    /// Hands a message to it.
    pub(in crate::relay) async fn carry(self, carrier: &Carrier, delivery: &Delivery) -> Report {
        match self {
            Named::Tcp(target) => target.carry(carrier, delivery).await,
            Named::Unix(path) => {
                let hostname = carrier.hostname.clone();
                Socket { path, hostname }.carry(carrier, delivery).await
            }
        }
    }
}
