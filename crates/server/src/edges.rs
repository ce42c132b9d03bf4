//! The edges of the server: where it takes mail.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use slimta::bus;
use slimta::edge::smtp::{self, CredentialsFile, CurrentEdge, SmtpEdge, Tls, TlsMode};
use slimta::message::{Message, Response};
use slimta::policy::{self, SignDkim};
use slimta::world::World;
use tokio::net::{TcpListener, TcpSocket};

use crate::config::Settings;
use crate::failure::Failure;

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
    mode: Option<TlsMode>,
}

/// What is to be served where.
pub(crate) struct Wanted {
    pub(crate) address: SocketAddr,
    option: &'static str,
    pub(crate) smtp: SmtpEdge,
    mode: Option<TlsMode>,
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
        match self.mode {
            None => "smtp",
            Some(TlsMode::Offered) => "smtp, STARTTLS",
            Some(TlsMode::Required) => "smtp, STARTTLS required",
            Some(TlsMode::Implicit) => "smtps",
        }
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
    dkim: SignDkim,
    users: Option<CredentialsFile>,
    world: &World,
) -> SmtpEdge {
    let granted = &settings.edge;
    let permit = granted.permit.clone();
    let limits = smtp::Limits {
        message_bytes_max: granted.message_bytes_max as u64,
        recipients_max: granted.recipients_max,
        connections_max: granted.connections_max,
        ..smtp::Limits::default()
    };
    let mut policies = policy::standard(&settings.hostname, world.clone());
    if let Some(tenant) = &settings.tenant {
        policies = policies.then(tenant.clone());
    }
    // Behind all that changes a message.
    let policies = policies.then(dkim);
    let smtp = SmtpEdge::new(bus, world.clone())
        .with_hostname(settings.hostname.clone())
        .with_policy(policies)
        .with_permit(move |ip| permit.iter().any(|network| network.contains(ip)))
        .with_limits(limits);
    match (users, &granted.auth) {
        (Some(users), Some(auth)) => smtp.with_authenticator(users, auth.mode()),
        _ => smtp,
    }
}

/// What each listener serves.
pub(crate) fn wanted(settings: &Settings, smtp: &SmtpEdge, tls: Option<Tls>) -> Vec<Wanted> {
    let encryption = settings.edge.tls.as_ref().zip(tls.as_ref());
    let turn = encryption.map(|(said, tls)| (tls, said.mode()));
    let clear = settings.listen.iter();
    let clear = clear.map(|address| (address, "listen", turn));
    let encrypted = encryption.iter().flat_map(|(said, tls)| {
        let begun = Some((*tls, TlsMode::Implicit));
        let listen = said.listen.iter();
        listen.map(move |address| (address, "listen-tls", begun))
    });
    let all = clear.chain(encrypted);
    let wanted = all.map(|(address, option, encryption)| Wanted {
        address: *address,
        option,
        smtp: match encryption {
            Some((tls, mode)) => smtp.clone().with_tls(tls.clone(), mode),
            None => smtp.clone(),
        },
        mode: encryption.map(|(_, mode)| mode),
    });
    wanted.collect()
}

/// Opens all ports, or none.
pub(crate) fn edges(wanted: Vec<Wanted>) -> Result<Vec<Edge>, Failure> {
    let mut edges = Vec::new();
    for Wanted {
        address,
        option,
        smtp,
        mode,
    } in wanted
    {
        let failed =
            |error| Failure::Usage(format!("cannot listen on {address} (--{option}): {error}"));
        let listener = listener(address).map_err(failed)?;
        edges.push(Edge {
            smtp: CurrentEdge::new(smtp),
            address: listener.local_addr().map_err(failed)?,
            asked: address,
            listener,
            mode,
        });
    }
    Ok(edges)
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
