//! Begins sessions with hosts: connects, says hello, encrypts as far as the mail
//! needs it and the host can, and says who this host is if the other wants to know.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use slimta_smtp::client::{Channel, Login, Session, Step, Timing, TlsLevel};

use super::connection::Connection;
use super::connector::{Connector, Endpoint, Network, Stream};
use super::host_tls::{HostTls, Need, Protection, Reason};
use super::socks5::{ProxyError, Socks5};
use super::source::{Sources, Unusable};
use super::tls::Tls;
use super::tls_failures::TlsFailures;
use super::tls_seen::{FaultKind, TlsFault, TlsSeen};
use super::{Begin, Host};
use crate::message::{EnhancedCode, Response};
use crate::world::World;

/// What all sessions begin with.
pub(super) struct Opener {
    pub(super) timing: Timing,
    world: World,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) tls: Tls,
    failures: TlsFailures,
}

/// What mail wants of a session.
pub(super) struct Terms<'a> {
    /// From which addresses of this host.
    pub(super) sources: Sources,
    /// What this host calls itself.
    pub(super) name: &'a str,
    /// Through which proxy, if through one.
    pub(super) proxy: Option<&'a Socks5>,
    /// How far encrypted, as far as that does not depend on the host.
    pub(super) level: TlsLevel,
}

impl Terms<'_> {
    /// From which address of this host `host` sees it come, if one was chosen and no
    /// proxy stands between.
    pub(super) fn source_towards(&self, host: &Host) -> Option<IpAddr> {
        match self.proxy {
            Some(_) => None,
            None => self.sources.towards(host.endpoint.ip()?),
        }
    }
}

/// Why there is no session. The response is the answer for the message: it was
/// not even offered.
#[derive(Debug)]
pub(super) enum NoSession {
    /// Another host may do better.
    Failed(Response),
    /// The host offers TLS, and it came to nothing.
    NoTls(Response),
    /// The host lacks what this mail needs: it offers no TLS, or its certificate is
    /// not good. Another host may do better.
    Unsafe(Response),
    /// Somebody meddles with the connection: the message waits.
    Tampered(Response),
    /// The host does not take name and password: nor would the next, and each
    /// try may count against the account.
    Denied(Response),
}

/// Why a handshake came to nothing.
#[derive(Debug)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "nobody tries"))]
pub(super) enum NoTls {
    /// In words that go on from the name of the host.
    Handshake(TlsFault),
    /// The same of its certificate.
    Certificate(TlsFault),
    /// What came was not TLS at all.
    InClear,
    /// This host lacks something, which is said.
    OurFault(String),
}

impl Opener {
    pub(super) fn new(world: World) -> Self {
        Opener {
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
        terms: &Terms<'_>,
        tls: &HostTls,
        login: Option<&Login>,
        seen: &mut TlsSeen,
    ) -> Result<Connection, NoSession> {
        let in_clear = tls.in_clear();
        let Endpoint::Tcp(address) = host.endpoint else {
            // What is said there does not leave this machine.
            return self.open_once(host, terms, &in_clear, login, seen).await;
        };
        if host.begin == Begin::Encrypted {
            let tls = tls.clone().encrypted();
            return self.open_once(host, terms, &tls, login, seen).await;
        }
        if tls.need != Need::Opportunistic {
            return self.open_once(host, terms, tls, login, seen).await;
        }
        if self.failures.is_recent(address, self.world.monotonic()) {
            let why = "a handshake with it failed not long ago";
            *seen = TlsSeen::failed(FaultKind::ValidationFailure, why);
            return self.open_once(host, terms, &in_clear, login, seen).await;
        }
        match self.open_once(host, terms, tls, login, seen).await {
            // A certificate, too, may be none at all; which it is does not matter here.
            Err(NoSession::NoTls(why) | NoSession::Unsafe(why)) => {
                tracing::debug!(host = %host.name, %address, %why, "again in clear");
                let opened = self.open_once(host, terms, &in_clear, login, seen).await;
                let connection = opened?;
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
        terms: &Terms<'_>,
        tls: &HostTls,
        login: Option<&Login>,
        seen: &mut TlsSeen,
    ) -> Result<Connection, NoSession> {
        let stream = self.connect(host, terms).await;
        let mut stream = stream.map_err(NoSession::Failed)?;
        let mut session = Session::new(terms.name, self.timing.clone()).with_dialect(host.dialect);
        match host.begin {
            Begin::Clear => session = session.with_tls(tls.session_level()),
            Begin::Encrypted => {
                stream = self.encrypt(stream, host, tls, seen).await?;
                session = session.in_tls();
            }
        }
        if let Some(login) = login {
            session = session.with_login(login.clone());
        }
        let timing = self.timing.clone();
        let mut connection = Connection::new(stream, session, &host.name, timing, &self.world);
        loop {
            match connection.turn().await {
                Step::Ready => {
                    if host.begin == Begin::Clear && tls.need != Need::Clear {
                        seen.note_ready(connection.channel());
                    }
                    let protection = match connection.channel() {
                        Channel::Encrypted => tls.after_handshake(),
                        _ => Protection::Clear,
                    };
                    let connection = connection.with_protection(protection);
                    told(host, tls, &connection);
                    return Ok(connection);
                }
                Step::StartTls => {
                    let seen = &mut *seen;
                    let encrypted =
                        connection.encrypted(move |stream| self.encrypt(stream, host, tls, seen));
                    connection = encrypted.await?;
                }
                Step::Closed(why) if connection.was_denied() => {
                    return Err(NoSession::Denied(why));
                }
                Step::Closed(why) => {
                    seen.note_closed(connection.channel(), &why);
                    return Err(match connection.channel() {
                        Channel::Clear if is_unprotected(&why, &connection) => {
                            // The other has done nothing wrong (RFC 8689 section 4.2.1).
                            tokio::spawn(connection.leave());
                            NoSession::Unsafe(why)
                        }
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

    async fn connect(&self, host: &Host, terms: &Terms<'_>) -> Result<Box<dyn Stream>, Response> {
        let source = host.endpoint.ip().and_then(|ip| terms.sources.towards(ip));
        let connecting = async {
            match (terms.proxy, &host.endpoint) {
                (Some(proxy), Endpoint::Tcp(address)) => {
                    let (connector, sources) = (&*self.connector, &terms.sources);
                    proxy.connect(connector, sources, *address).await
                }
                _ => self.connector.connect(&host.endpoint, source).await,
            }
        };
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
        seen: &mut TlsSeen,
    ) -> Result<Box<dyn Stream>, NoSession> {
        let beginning = self.tls.begin(stream, host, tls, &self.world);
        let why = match self.world.timeout(self.timing.tls, beginning).await {
            Some(Ok((stream, fault))) => {
                *seen = fault.map_or(TlsSeen::Good, TlsSeen::Failed);
                return Ok(stream);
            }
            Some(Err(why)) => why,
            None => NoTls::Handshake(TlsFault::new(
                FaultKind::ValidationFailure,
                "it took too long to answer",
            )),
        };
        Err(match why {
            NoTls::Handshake(fault) => NoSession::NoTls(no_tls(host, fault, seen)),
            NoTls::Certificate(fault) => NoSession::Unsafe(no_tls(host, fault, seen)),
            NoTls::InClear if host.begin == Begin::Encrypted => {
                let text = format!("{} does not begin with TLS", host.endpoint);
                NoSession::Failed(Response::transient(7, 5, text))
            }
            NoTls::InClear => {
                let text = format!(
                    "{}, or somebody on the way, spoke in clear where TLS was to begin",
                    host.name
                );
                *seen = TlsSeen::failed(FaultKind::ValidationFailure, &text);
                NoSession::Tampered(Response::transient(7, 0, text))
            }
            NoTls::OurFault(why) => NoSession::Failed(Response::transient(3, 0, why)),
        })
    }
}

fn no_tls(host: &Host, fault: TlsFault, seen: &mut TlsSeen) -> Response {
    let text = format!("No TLS with {}: {}", host.name, fault.why);
    *seen = TlsSeen::Failed(fault);
    Response::transient(7, 5, text)
}

/// Whether a session ended because the host does not know TLS at all.
fn is_unprotected(why: &Response, connection: &Connection) -> bool {
    let needs_tls = why.enhanced == Some(EnhancedCode::new(4, 7, 4));
    needs_tls && !connection.extensions().starttls
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
/// source address, or its proxy is in the way: it says nothing of the next hop,
/// which must not be left alone for it.
fn is_our_fault(error: &io::Error) -> bool {
    let inner = error.get_ref();
    if let Some(proxy) = inner.and_then(|e| e.downcast_ref::<ProxyError>()) {
        return proxy.is_of_proxy();
    }
    matches!(error.raw_os_error(), Some(23 | 24)) || inner.is_some_and(|e| e.is::<Unusable>())
}
