//! The edges of the server: where it takes mail.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use slimta::bus;
use slimta::edge::smtp::{
    self, CredentialsFile, CurrentEdge, FinalDomains, Role, SendersFile, SmtpEdge, Tls, TlsMode,
};
use slimta::message::{Message, Response};
use slimta::policy::{SignDkim, SpamScan, VerifySenders};
use slimta::world::World;
use tokio::net::{TcpListener, TcpSocket};

use crate::config::{Listener, Origin, SMTP_PORT, Settings};
use crate::failure::Failure;
use crate::policies::policies;

/// How many clients may have connected before they are accepted; the system
/// has a limit of its own. The last word of a client beyond it is dropped: it
/// thinks that it is connected, and waits for a greeting that may never come.
const BACKLOG_CONNECTIONS_MAX: u32 = 4096;

/// An edge that listens.
pub(crate) struct Edge {
    smtp: CurrentEdge,
    listener: TcpListener,
    address: SocketAddr,
    asked: SocketAddr,
    protocol: &'static str,
}

/// What is to be served where.
pub(crate) struct Wanted {
    pub(crate) address: SocketAddr,
    origin: Origin,
    pub(crate) smtp: SmtpEdge,
    protocol: &'static str,
}

impl Edge {
    /// Where it listens, with the real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that was asked for, and what is served there.
    pub(crate) fn current(&self) -> (SocketAddr, CurrentEdge) {
        (self.asked, self.smtp.clone())
    }

    /// What is spoken there.
    pub(crate) fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// Takes mail until `stopped` completes and its clients are gone.
    pub(crate) async fn run(self, stopped: impl Future<Output = ()> + Send) {
        self.smtp.serve(self.listener, stopped).await;
    }
}

/// The edge that all listeners share: its limits hold for them together.
pub(crate) fn edge(
    settings: &Settings,
    bus: Arc<bus::LocalClient<Message, Response>>,
    world: &World,
) -> SmtpEdge {
    let granted = &settings.edge;
    let proxies = granted.xclient_from.clone();
    let limits = smtp::Limits {
        message_bytes_max: granted.message_bytes_max as u64,
        recipients_max: granted.recipients_max,
        connections_max: granted.connections_max,
        hold_time_max: granted.hold_time_max,
        ..granted.per_address.limits()
    };
    SmtpEdge::new(bus, world.clone())
        .with_hostname(settings.hostname.clone())
        .with_xclient_from(move |ip| proxies.iter().any(|network| network.contains(ip)))
        .with_limits(limits)
}

/// What listeners have beside what they say.
pub(crate) struct Means {
    pub(crate) tls: Option<Tls>,
    pub(crate) users: Option<CredentialsFile>,
    pub(crate) senders: Option<SendersFile>,
    pub(crate) dkim: SignDkim,
    /// One of each for all listeners: so many messages at once are looked at by all.
    pub(crate) verify: Option<VerifySenders>,
    pub(crate) spam_scan: Option<SpamScan>,
    pub(crate) world: World,
}

/// What each listener serves.
pub(crate) fn wanted(
    settings: &Settings,
    smtp: &SmtpEdge,
    means: &Means,
) -> Result<Vec<Wanted>, Failure> {
    let mut wanted = Vec::new();
    for said in &settings.listeners {
        let smtp = listening(smtp.clone(), said, settings, means)?;
        wanted.extend(said.addresses.iter().map(|address| Wanted {
            address: *address,
            origin: said.origin.clone(),
            smtp: match may_hold(said.role, address.port()) {
                true => smtp.clone(),
                false => smtp.clone().with_hold_time_max(None),
            },
            protocol: protocol(said.role, said.tls),
        }));
    }
    Ok(wanted)
}

/// Opens all ports, or none.
pub(crate) fn edges(wanted: Vec<Wanted>) -> Result<Vec<Edge>, Failure> {
    let mut edges = Vec::new();
    for wanted in wanted {
        let (address, origin) = (wanted.address, wanted.origin);
        let failed =
            |error| Failure::Usage(format!("cannot listen on {address} ({origin}): {error}"));
        let listener = listener(address).map_err(failed)?;
        edges.push(Edge {
            smtp: CurrentEdge::new(wanted.smtp),
            address: listener.local_addr().map_err(failed)?,
            asked: address,
            listener,
            protocol: wanted.protocol,
        });
    }
    Ok(edges)
}

/// The shared edge as a listener says it.
fn listening(
    smtp: SmtpEdge,
    said: &Listener,
    settings: &Settings,
    means: &Means,
) -> Result<SmtpEdge, Failure> {
    let permit = said.permit.clone();
    let mut smtp = smtp
        .with_role(said.role)
        .with_policy(policies(settings, said, means)?)
        .with_permit(move |ip| permit.iter().any(|network| network.contains(ip)))
        .with_message_limits(said.message_bytes_max as u64, said.recipients_max);
    if !said.proxy_from.is_empty() {
        let proxies = said.proxy_from.clone();
        smtp = smtp
            .with_proxy_header_from(move |ip| proxies.iter().any(|network| network.contains(ip)));
    }
    if !said.accept_domains.is_empty() {
        let mut domains = FinalDomains::new(said.accept_domains.iter().cloned());
        if let Some(recipients) = said.open_recipients()? {
            domains = domains.with_recipients(recipients);
        }
        smtp = smtp.with_final_domains(domains);
    }
    if let (Some(tls), Some(mode)) = (&means.tls, said.tls) {
        smtp = smtp.with_tls(tls.clone(), mode);
    }
    if let (Some(users), Some(auth), true) = (&means.users, &settings.edge.auth, said.has_auth) {
        smtp = smtp.with_authenticator(users.clone(), auth.mode());
        if let Some(senders) = &means.senders {
            smtp = smtp.with_senders(senders.clone());
        }
    }
    Ok(smtp)
}

/// Whether clients who submit may have mail held there: not at the port where hosts
/// hand it to each other (RFC 4865 section 4.2, item 2).
fn may_hold(role: Role, port: u16) -> bool {
    role == Role::Submission || port != SMTP_PORT
}

/// What is spoken at a listener.
fn protocol(role: Role, tls: Option<TlsMode>) -> &'static str {
    match (role, tls) {
        (Role::Relay, None) => "smtp",
        (Role::Relay, Some(TlsMode::Offered)) => "smtp, STARTTLS",
        (Role::Relay, Some(TlsMode::Required)) => "smtp, STARTTLS required",
        (Role::Relay, Some(TlsMode::Implicit)) => "smtps",
        (Role::Submission, None) => "submission",
        (Role::Submission, Some(TlsMode::Offered)) => "submission, STARTTLS",
        (Role::Submission, Some(TlsMode::Required)) => "submission, STARTTLS required",
        (Role::Submission, Some(TlsMode::Implicit)) => "submissions",
        (Role::Lmtp, None) => "lmtp",
        (Role::Lmtp, Some(TlsMode::Offered)) => "lmtp, STARTTLS",
        (Role::Lmtp, Some(TlsMode::Required)) => "lmtp, STARTTLS required",
        (Role::Lmtp, Some(TlsMode::Implicit)) => "lmtp over TLS",
    }
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A server that begins anew need not wait for the connections of the last.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG_CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_not_held_where_hosts_hand_it_to_each_other() {
        for (role, port, holds) in [
            (Role::Relay, 25, false),
            (Role::Relay, 2525, true),
            (Role::Submission, 25, true),
            (Role::Submission, 587, true),
        ] {
            assert_eq!(may_hold(role, port), holds, "{role:?} {port}");
        }
    }
}
