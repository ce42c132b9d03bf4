//! Begins sessions with hosts: connects, says hello, encrypts as far as the mail
//! needs it and the host can, and says who this host is if the other wants to know.

use std::io;
use std::sync::Arc;

use slimta_smtp::client::{Channel, Login, Session, Step, Timing, TlsLevel};

use super::connection::Connection;
use super::connector::{Connector, Endpoint, Network, Stream};
use super::socks5::{ProxyError, Socks5};
use super::source::{Sources, Unusable};
use super::tls::Tls;
use super::tls_failures::TlsFailures;
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
    /// How far encrypted.
    pub(super) level: TlsLevel,
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
    Handshake(String),
    /// The same of its certificate.
    Certificate(String),
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
        login: Option<&Login>,
    ) -> Result<Connection, NoSession> {
        let level = terms.level;
        let once = |level| self.open_once(host, Terms { level, ..*terms }, login);
        let Endpoint::Tcp(address) = host.endpoint else {
            // What is said there does not leave this machine.
            return once(TlsLevel::Off).await;
        };
        if level != TlsLevel::Opportunistic || host.begin == Begin::Encrypted {
            return once(level).await;
        }
        if self.failures.is_recent(address, self.world.monotonic()) {
            return once(TlsLevel::Off).await;
        }
        match once(level).await {
            Err(NoSession::NoTls(why)) => {
                tracing::debug!(host = %host.name, %address, %why, "again in clear");
                let connection = once(TlsLevel::Off).await?;
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
        terms: Terms<'_>,
        login: Option<&Login>,
    ) -> Result<Connection, NoSession> {
        let level = terms.level;
        let stream = self.connect(host, &terms).await;
        let mut stream = stream.map_err(NoSession::Failed)?;
        let mut session = Session::new(terms.name, self.timing.clone()).with_dialect(host.dialect);
        match host.begin {
            Begin::Clear => session = session.with_tls(level),
            Begin::Encrypted => {
                let level = level.max(TlsLevel::Required);
                stream = self.encrypt(stream, host, level).await?;
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
                Step::Ready => return Ok(connection),
                Step::StartTls => {
                    let encrypting = |stream| self.encrypt(stream, host, level);
                    connection = connection.encrypted(encrypting).await?;
                }
                Step::Closed(why) if connection.was_denied() => {
                    return Err(NoSession::Denied(why));
                }
                Step::Closed(why) => {
                    return Err(match connection.channel() {
                        Channel::Clear if is_unprotected(&why, &connection) => {
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
        level: TlsLevel,
    ) -> Result<Box<dyn Stream>, NoSession> {
        let beginning = self.tls.begin(stream, host, level, &self.world);
        let why = match self.world.timeout(self.timing.tls, beginning).await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(why)) => why,
            None => NoTls::Handshake("it took too long to answer".to_owned()),
        };
        Err(match why {
            NoTls::Handshake(why) => NoSession::NoTls(no_tls(host, &why)),
            NoTls::Certificate(why) => NoSession::Unsafe(no_tls(host, &why)),
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

fn no_tls(host: &Host, why: &str) -> Response {
    Response::transient(7, 5, format!("No TLS with {}: {why}", host.name))
}

/// Whether a session ended because the host does not know TLS at all.
fn is_unprotected(why: &Response, connection: &Connection) -> bool {
    let needs_tls = why.enhanced == Some(EnhancedCode::new(4, 7, 4));
    needs_tls && !connection.extensions().starttls
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
