//! TLS with next hops: how much of it each destination needs, and the handshake.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use slimta_smtp::client::TlsLevel;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::Host;
use super::connector::{Endpoint, Stream};
use super::dane;
use super::dane_verifier::judged_by;
use super::host_tls::{Authority, HostTls, Need, Reason};
use super::opening::NoTls;
use super::tls_config::{takes_any, verifies};
use super::tls_judge::Judge;
use super::tls_roots::Roots;
use super::tls_seen::{FaultKind, TlsFault};
use super::tls_words::reason;
use crate::message::{Destination, Response};
use crate::queue::ByDestination;
use crate::relay::resolver::Resolver;
use crate::world::World;

/// How connections to next hops are encrypted: each destination's level, and the
/// roots by which certificates are judged where the level is `verified`. TLS has
/// version 1.2 at least. Clones share the roots, and the tickets by which a
/// handshake with the same host is shorter next time.
#[derive(Clone, Debug)]
pub struct Tls {
    levels: Arc<ByDestination<TlsLevel>>,
    clients: Arc<Clients>,
    trusted: Option<TrustedDns>,
}

/// What tells where its answers come from.
#[derive(Clone)]
struct TrustedDns(Arc<dyn Resolver>);

impl fmt::Debug for TrustedDns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrustedDns")
    }
}

/// Sessions of the one are never resumed by the other: what was not verified
/// would pass for it.
#[derive(Debug, Default)]
struct Clients {
    /// The system's if there is none.
    roots: Option<Roots>,
    lenient: OnceCell<Arc<ClientConfig>>,
    verifying: OnceCell<Arc<ClientConfig>>,
    /// Those of the system, once they are read.
    of_system: OnceCell<Roots>,
}

impl Clients {
    async fn roots(&self) -> Result<Roots, String> {
        match &self.roots {
            Some(roots) => Ok(roots.clone()),
            None => self
                .of_system
                .get_or_try_init(Roots::of_system)
                .await
                .cloned(),
        }
    }
}

impl Tls {
    /// These levels, and the roots of the system, which are read when the first
    /// certificate is verified.
    pub fn new(levels: impl Into<ByDestination<TlsLevel>>) -> Self {
        Tls {
            levels: Arc::new(levels.into()),
            clients: Arc::default(),
            trusted: None,
        }
    }

    /// Sets what hosts and their TLSA records are looked up with where the level is
    /// `dane` or `dane-only`, and exchangers of mail that requires TLS (RFC 8689): it
    /// has to say where answers come from. Default: nothing, so that mail of these
    /// levels waits, and that which requires TLS goes only where a policy (MTA-STS)
    /// names the exchangers.
    #[must_use]
    pub fn with_trusted_dns(self, resolver: Arc<dyn Resolver>) -> Self {
        Tls {
            trusted: Some(TrustedDns(resolver)),
            ..self
        }
    }

    /// Sets the roots that are trusted. Default: those of the system.
    #[must_use]
    pub fn with_roots(self, roots: Roots) -> Self {
        let clients = Clients {
            roots: Some(roots),
            ..Clients::default()
        };
        Tls {
            clients: Arc::new(clients),
            ..self
        }
    }

    /// What mail for a destination needs.
    pub(super) fn level(&self, destination: &Destination) -> TlsLevel {
        *self.levels.get(destination)
    }

    /// What says where answers come from, if anything does.
    pub(super) fn trusted(&self) -> Option<&dyn Resolver> {
        self.trusted
            .as_ref()
            .map(|TrustedDns(resolver)| &**resolver)
    }

    /// What mail of this level is looked up with, if not as all other.
    pub(super) fn trusted_dns(&self, level: TlsLevel) -> Option<&dyn Resolver> {
        let needs_it = matches!(level, TlsLevel::Dane | TlsLevel::DaneOnly);
        self.trusted().filter(|_| needs_it)
    }

    /// What the connection to a host must be for mail of this level; or why the
    /// host gets none for now.
    pub(super) async fn asked_for(
        &self,
        host: &Host,
        level: TlsLevel,
    ) -> Result<HostTls, Response> {
        if let Some(tls) = HostTls::of_level(level) {
            return Ok(tls);
        }
        let Endpoint::Tcp(address) = host.endpoint else {
            return Ok(HostTls::local(level));
        };
        let Some(dns) = self.trusted_dns(level) else {
            let text = format!("The level {level} needs a DNS that says where answers come from");
            return Err(Response::transient(3, 0, text));
        };
        dane::asked_for(host, address.port(), level, dns).await
    }

    /// The handshake; and what is wrong with the host, where that is no reason to
    /// give it no mail. The caller limits the time.
    pub(super) async fn begin(
        &self,
        stream: Box<dyn Stream>,
        host: &Host,
        tls: &HostTls,
        world: &World,
    ) -> Result<(Box<dyn Stream>, Option<TlsFault>), NoTls> {
        let config = self.config(tls, world).await;
        let connector = TlsConnector::from(config.map_err(NoTls::OurFault)?);
        let no_name = || NoTls::OurFault(format!("{} has no name for a certificate", host.name));
        let name = server_name(host, tls).ok_or_else(no_name)?;
        let judge = match &host.policy {
            // Whatever the level takes, the domain wants to be told.
            Some(_) if !tls.after_handshake().is_authenticated() => self.judge(world).await,
            _ => None,
        };
        let handshake = connector.connect(name.clone(), stream).await;
        let stream = handshake.map_err(|error| reason(&error, &host.name))?;
        let (_, session) = stream.get_ref();
        let cipher = session.negotiated_cipher_suite().map(|suite| suite.suite());
        let protection = tls.after_handshake();
        tracing::debug!(
            host = %host.name,
            endpoint = %host.endpoint,
            version = session.protocol_version().map(tracing::field::debug),
            cipher = cipher.map(tracing::field::debug),
            verified = protection.is_authenticated(),
            resumed = session.handshake_kind() == Some(HandshakeKind::Resumed),
            "encrypted"
        );
        let shown = session.peer_certificates().unwrap_or_default();
        let fault = match tls.reason {
            Reason::UnusableTlsa => {
                let why = "none of its TLSA records is usable";
                Some(TlsFault::new(FaultKind::TlsaInvalid, why))
            }
            _ => judge.and_then(|judge| judge.fault(shown, &name, &host.name)),
        };
        Ok((Box::new(stream), fault))
    }

    /// What says whether a certificate is good that is taken anyway; none if this
    /// host has no roots to say it by.
    async fn judge(&self, world: &World) -> Option<Judge> {
        Judge::new(self.clients.roots().await.ok()?, world)
    }

    /// What verifies certificates, whatever the levels.
    #[cfg(feature = "mta-sts")]
    pub(in crate::relay) async fn verifying(
        &self,
        world: &World,
    ) -> Result<Arc<ClientConfig>, String> {
        let tls = HostTls {
            need: Need::Authenticated(Authority::Roots),
            reason: Reason::Policy,
        };
        self.config(&tls, world).await
    }

    async fn config(&self, tls: &HostTls, world: &World) -> Result<Arc<ClientConfig>, String> {
        let Clients {
            lenient, verifying, ..
        } = &*self.clients;
        let config = match &tls.need {
            Need::Authenticated(Authority::Dane(dane)) => return judged_by(dane.clone(), world),
            Need::Authenticated(Authority::Roots) => {
                let init = || async { verifies(self.clients.roots().await?, world) };
                verifying.get_or_try_init(init).await
            }
            Need::Clear | Need::Opportunistic | Need::Encrypted => {
                lenient.get_or_try_init(|| async { takes_any(world) }).await
            }
        };
        config.cloned()
    }
}

/// Opportunistic for all.
impl Default for Tls {
    fn default() -> Self {
        Tls::new(TlsLevel::default())
    }
}

/// What the host is told that we look for, and what its certificate has to be
/// good for. A name that cannot stand in a certificate leaves the address.
fn server_name(host: &Host, tls: &HostTls) -> Option<ServerName<'static>> {
    let name = match &tls.need {
        Need::Authenticated(Authority::Dane(dane)) => &dane.base,
        _ => &host.name,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let name = ServerName::try_from(name.to_owned());
    name.ok()
        .or_else(|| host.endpoint.ip().map(ServerName::from))
}
