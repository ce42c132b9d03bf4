//! Begins sessions with hosts: connects, says hello, and encrypts as far as the
//! mail needs it and the host can.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use slimta_smtp::client::{Channel, Session, Step, Timing};

use super::connection::Connection;
use super::connector::{Connector, Endpoint, Network, Stream};
use super::host_tls::{HostTls, Need, Protection, Reason};
use super::source::Unusable;
use super::tls::Tls;
use super::tls_failures::TlsFailures;
use super::{Begin, Host};
use crate::message::Response;
use crate::world::World;

/// What all sessions begin with.
pub(super) struct Opener {
    hostname: String,
    pub(super) timing: Timing,
    world: World,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) tls: Tls,
    failures: TlsFailures,
}

/// Why there is no session. The response is the answer for the message: it was
/// not even offered.
#[derive(Debug)]
pub(super) enum NoSession {
    /// Another host may do better.
    Failed(Response),
    /// The host offers TLS, and it came to nothing.
    NoTls(Response),
    /// Somebody meddles with the connection: the message waits.
    Tampered(Response),
}

/// Why a handshake came to nothing.
#[derive(Debug)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "nobody tries"))]
pub(super) enum NoTls {
    /// In words that go on from the name of the host.
    Handshake(String),
    /// What came was not TLS at all.
    InClear,
    /// This host lacks something, which is said.
    OurFault(String),
}

impl Opener {
    pub(super) fn new(hostname: &str, world: World) -> Self {
        Opener {
            hostname: hostname.to_owned(),
            timing: Timing::default(),
            world,
            connector: Arc::new(Network),
            tls: Tls::default(),
            failures: TlsFailures::default(),
        }
    }

    /// A session with `host`. Where mail need not be encrypted and the host fails
    /// to do so, it is connected to again and talked to in clear, also for the
    /// next messages (RFC 7435 section 3: TLS where it can be had is better than
    /// none, none is better than no mail).
    pub(super) async fn open(
        &self,
        host: &Host,
        source: Option<IpAddr>,
        tls: &HostTls,
    ) -> Result<Connection, NoSession> {
        let Endpoint::Tcp(address) = host.endpoint else {
            // What is said there does not leave this machine.
            return self.open_once(host, source, &tls.in_clear()).await;
        };
        if host.begin == Begin::Encrypted {
            let tls = tls.clone().encrypted();
            return self.open_once(host, source, &tls).await;
        }
        if tls.need != Need::Opportunistic {
            return self.open_once(host, source, tls).await;
        }
        if self.failures.is_recent(address, self.world.monotonic()) {
            return self.open_once(host, source, &tls.in_clear()).await;
        }
        match self.open_once(host, source, tls).await {
            Err(NoSession::NoTls(why)) => {
                tracing::debug!(host = %host.name, %address, %why, "again in clear");
                let connection = self.open_once(host, source, &tls.in_clear()).await?;
                // The host is well but for TLS.
                self.failures.note(address, self.world.monotonic());
                Ok(connection)
            }
            opened => opened,
        }
    }

    async fn open_once(
        &self,
        host: &Host,
        source: Option<IpAddr>,
        tls: &HostTls,
    ) -> Result<Connection, NoSession> {
        let stream = self.connect(host, source).await;
        let mut stream = stream.map_err(NoSession::Failed)?;
        let mut session =
            Session::new(&self.hostname, self.timing.clone()).with_dialect(host.dialect);
        match host.begin {
            Begin::Clear => session = session.with_tls(tls.session_level()),
            Begin::Encrypted => stream = self.encrypt(stream, host, tls).await?,
        }
        let timing = self.timing.clone();
        let mut connection = Connection::new(stream, session, &host.name, timing, &self.world);
        loop {
            match connection.turn().await {
                Step::Ready => {
                    let is_encrypted = host.begin == Begin::Encrypted
                        || connection.channel() == Channel::Encrypted;
                    let protection = match is_encrypted {
                        true => tls.after_handshake(),
                        false => Protection::Clear,
                    };
                    let connection = connection.with_protection(protection);
                    told(host, tls, &connection);
                    return Ok(connection);
                }
                Step::StartTls => {
                    let encrypting = |stream| self.encrypt(stream, host, tls);
                    connection = connection.encrypted(encrypting).await?;
                }
                Step::Closed(why) => {
                    return Err(match connection.channel() {
                        Channel::Clear | Channel::Encrypted => NoSession::Failed(why),
                        Channel::Starting => NoSession::NoTls(why),
                        Channel::Tampered => NoSession::Tampered(why),
                    });
                }
                Step::Read(_) | Step::Contents | Step::Done(_) => {
                    let why = failed(host, "the session is out of step");
                    return Err(NoSession::Failed(why));
                }
            }
        }
    }

    async fn connect(
        &self,
        host: &Host,
        source: Option<IpAddr>,
    ) -> Result<Box<dyn Stream>, Response> {
        let connecting = self.connector.connect(&host.endpoint, source);
        match self.world.timeout(self.timing.connect, connecting).await {
            Some(Ok(stream)) => Ok(stream),
            Some(Err(error)) if is_our_fault(&error) => {
                let text = format!("No connection to {}: {error}", host.endpoint);
                Err(Response::transient(3, 0, text))
            }
            Some(Err(error)) => Err(failed(host, &error.to_string())),
            None => Err(failed(host, "no answer")),
        }
    }

    async fn encrypt(
        &self,
        stream: Box<dyn Stream>,
        host: &Host,
        tls: &HostTls,
    ) -> Result<Box<dyn Stream>, NoSession> {
        let beginning = self.tls.begin(stream, host, tls, &self.world);
        let why = match self.world.timeout(self.timing.tls, beginning).await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(why)) => why,
            None => NoTls::Handshake("it took too long to answer".to_owned()),
        };
        Err(match why {
            NoTls::Handshake(why) => {
                let text = format!("No TLS with {}: {why}", host.name);
                NoSession::NoTls(Response::transient(7, 5, text))
            }
            NoTls::InClear if host.begin == Begin::Encrypted => {
                let text = format!("{} does not begin with TLS", host.endpoint);
                NoSession::Failed(Response::transient(7, 5, text))
            }
            NoTls::InClear => {
                let text = format!(
                    "{}, or somebody on the way, spoke in clear where TLS was to begin",
                    host.name
                );
                NoSession::Tampered(Response::transient(7, 0, text))
            }
            NoTls::OurFault(why) => NoSession::Failed(Response::transient(3, 0, why)),
        })
    }
}

/// Tells what holds for the mail that goes over it. Where it was for the host to say,
/// the operator cannot know without: that is worth a line.
fn told(host: &Host, tls: &HostTls, connection: &Connection) {
    let (name, endpoint, by) = (&host.name, &host.endpoint, tls.reason);
    let protection = connection.protection();
    match by {
        Reason::Level(_) => {
            tracing::debug!(host = %name, %endpoint, %protection, %by, "session");
        }
        _ => {
            tracing::info!(host = %name, %endpoint, %protection, %by, "session");
        }
    }
}

fn failed(host: &Host, why: &str) -> Response {
    let text = format!("Connection to {} failed: {why}", host.endpoint);
    Response::transient(4, 1, text)
}

/// Whether this machine has no descriptor left (ENFILE, EMFILE), or not the
/// source address: it says nothing of the next hop, which must not be left
/// alone for it.
fn is_our_fault(error: &io::Error) -> bool {
    let inner = error.get_ref();
    matches!(error.raw_os_error(), Some(23 | 24)) || inner.is_some_and(|e| e.is::<Unusable>())
}
