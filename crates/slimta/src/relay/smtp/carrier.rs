//! Carries a message over connections, new or kept, to the first of several
//! hosts that talks to us.

use std::sync::Arc;

use async_trait::async_trait;
use slimta_smtp::client::{Dialect, Fitting, Login, Outcome, Parcel, Stage, Timing, TlsLevel};

use super::Host;
use super::answers::Answers;
use super::connection::{Connection, lease_lost};
use super::connector::Connector;
use super::farewells::Farewells;
use super::host_tls::HostTls;
use super::login::SmtpLogin;
use super::opening::{NoSession, Opener, Terms};
use super::origin::Origins;
use super::pool::{Keeping, Pool};
use super::require_tls::{Demand, milder};
use super::socks5::Socks5;
use super::source::Sources;
use super::tls::Tls;
use super::tls_seen::{Seen, TlsSeen};
use crate::message::{Class, OnSuccess, Report, Response};
use crate::queue::ByDestination;
use crate::relay::resolver::Resolver;
use crate::relay::{Connections, Delivery};
use crate::world::World;

/// Most hosts that are tried in one attempt (RFC 5321 section 5.1 asks for two
/// at least).
const HOSTS_MAX: usize = 10;
/// How many transactions a connection carries. Many servers end a session after
/// a hundred.
pub(in crate::relay) const MESSAGES_PER_CONNECTION: u32 = 100;

/// Where a message may go: asked only when no connection is kept.
#[async_trait]
pub(in crate::relay) trait Hosts: Send + Sync {
    /// The hosts to try, best first; or the answer for the message, when it is
    /// clear without trying. What they are is asked of `trusted`, if answers have
    /// to be told from others by where they come from.
    async fn find(&self, trusted: Option<&dyn Resolver>) -> Result<Vec<Host>, Response>;

    /// Who this host says it is to each of them, if it says it.
    fn login(&self) -> Option<&SmtpLogin> {
        None
    }

    /// The domain whose exchangers they are. A connection that was made by DANE, or for
    /// mail that requires TLS, is used for its mail alone: what the host had to show may
    /// depend on the domain, and on whether its exchangers are signed. Default: somebody
    /// named them, and it is used for any mail that goes to the same hosts.
    fn dane_domain(&self) -> Option<&str> {
        None
    }

    /// A session with one of them was begun, or was tried to.
    fn opened(&self, _seen: Seen<'_>) {}
}

/// Hands messages over by SMTP.
pub(in crate::relay) struct Carrier {
    pub(super) opener: Opener,
    pool: Arc<Pool>,
    world: World,
    messages_per_connection: ByDestination<u32>,
    sources: ByDestination<Sources>,
    origins: Origins,
    proxies: ByDestination<Option<Socks5>>,
    pub(super) hostname: String,
}

impl Carrier {
    pub(in crate::relay) fn new(hostname: &str, world: World) -> Self {
        Carrier {
            opener: Opener::new(world.clone()),
            pool: Pool::new(world.clone(), Keeping::default(), Farewells::default()),
            world,
            messages_per_connection: MESSAGES_PER_CONNECTION.into(),
            sources: Sources::default().into(),
            origins: Origins::default(),
            proxies: None.into(),
            hostname: hostname.to_owned(),
        }
    }

    /// All that is said of connections; the login is of their server.
    pub(in crate::relay) fn with_connections(self, connections: Connections) -> Self {
        self.with_messages_per_connection(connections.messages)
            .with_keeping(connections.keeping)
            .with_farewells(connections.farewells)
            .with_sources(connections.sources)
            .with_origins(connections.origins)
            .with_proxies(connections.proxies)
            .with_tls(connections.tls)
    }

    pub(in crate::relay) fn with_messages_per_connection(
        mut self,
        messages: ByDestination<u32>,
    ) -> Self {
        self.messages_per_connection = messages;
        self
    }

    pub(in crate::relay) fn with_keeping(mut self, keeping: Keeping) -> Self {
        self.pool = Pool::new(self.world.clone(), keeping, self.pool.farewells.clone());
        self
    }

    pub(in crate::relay) fn with_farewells(mut self, farewells: Farewells) -> Self {
        self.pool = Pool::new(self.world.clone(), self.pool.keeping, farewells);
        self
    }

    pub(in crate::relay) fn with_sources(mut self, sources: ByDestination<Sources>) -> Self {
        self.sources = sources;
        self
    }

    pub(in crate::relay) fn with_origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    pub(in crate::relay) fn with_proxies(mut self, proxies: ByDestination<Option<Socks5>>) -> Self {
        self.proxies = proxies;
        self
    }

    pub(in crate::relay) fn with_timing(mut self, timing: Timing) -> Self {
        self.opener.timing = timing;
        self
    }

    pub(in crate::relay) fn with_tls(mut self, tls: Tls) -> Self {
        self.opener.tls = tls;
        self
    }

    pub(in crate::relay) fn with_connector(mut self, connector: Arc<dyn Connector>) -> Self {
        self.opener.connector = connector;
        self
    }

    /// Attempts a delivery, in as many transactions as its recipients need.
    /// Connections are kept under `key`.
    pub(in crate::relay) async fn carry(
        &self,
        key: &str,
        delivery: &Delivery,
        hosts: &dyn Hosts,
    ) -> Report {
        let destination = &delivery.message.destination;
        let demand = Demand::of(&delivery.message.envelope);
        let terms = self.terms(delivery, hosts);
        let key = &key_under(key, &terms, demand, hosts);
        let mut answers = Answers::new(&delivery.message.envelope.recipients);
        let mut remote = None;
        let mut on_success = OnSuccess::PassedOn;
        let began = self.world.monotonic();
        let mut fitting = Fitting::new(&delivery.content, delivery.message.envelope.body);
        while !answers.are_complete() {
            if !delivery.lease.is_alive() {
                answers.close(&lease_lost());
                break;
            }
            let opened = self.connection(key, &terms, demand, hosts).await;
            let (mut connection, is_used) = match opened {
                Ok(connection) => connection,
                Err(why) => {
                    answers.close(&why);
                    break;
                }
            };
            let most = connection.recipients_max();
            let recipients = answers.next_batch(most, |to| connection.admits(to));
            if recipients.is_empty() {
                // It has had all the domains that it may, and none of theirs.
                connection.quit().await;
                continue;
            }
            let (content, body) = fitting.to(connection.extensions());
            let parcel = Parcel {
                envelope: &delivery.message.envelope,
                recipients: &recipients,
                content,
                body,
                priority: delivery.message.priority,
                now: delivery
                    .now
                    .after(self.world.monotonic().saturating_sub(began)),
            };
            let outcome = connection.transact(&parcel, &delivery.lease).await;
            if is_used && is_stale(&outcome) {
                // It says something of the session, not of the message.
                continue;
            }
            remote = Some(connection.host().to_owned());
            on_success = match (connection.dialect(), outcome.passed_on) {
                (Dialect::Smtp, _) if is_traced(delivery, &connection) => OnSuccess::Traced,
                (_, true) => on_success,
                (Dialect::Smtp, false) => OnSuccess::Relayed,
                // Its answers come from the mailboxes.
                (Dialect::Lmtp, false) => OnSuccess::Delivered,
            };
            answers.take(outcome, recipients.len());
            let messages_max = *self.messages_per_connection.get(destination);
            let messages_max = connection.transactions_max(messages_max);
            self.pool.put(key, connection, messages_max);
        }
        Report {
            responses: answers.finish(),
            remote,
            on_success,
        }
    }

    /// What a message wants of the sessions with its hosts.
    fn terms(&self, delivery: &Delivery, hosts: &dyn Hosts) -> Terms<'_> {
        let (sources, name) = self.origins.of(&delivery.message, &self.sources);
        let proxy = self.proxies.get(&delivery.message.destination);
        Terms {
            sources,
            name: name.unwrap_or(&self.hostname),
            proxy: proxy.as_ref(),
            level: self.level(delivery, hosts.dane_domain().is_some()),
        }
    }

    /// What the connection to a host must be: what its TLSA records ask, or else the
    /// policy of its domain, but no less than the level. Or why it gets no mail for
    /// now.
    async fn asked_for(
        &self,
        host: &Host,
        level: TlsLevel,
    ) -> Result<HostTls, (Response, TlsSeen)> {
        let asked = self.opener.tls.asked_for(host, level).await;
        let tls = asked.map_err(|why| {
            let seen = TlsSeen::passed_over(&why);
            (why, seen)
        })?;
        let Some(policy) = &host.policy else {
            return Ok(tls);
        };
        let fault = policy.fault(&host.name, &tls);
        let seen = fault.map_or(TlsSeen::Nothing, TlsSeen::Failed);
        policy.raise(&host.name, tls).map_err(|why| (why, seen))
    }

    /// A connection, and whether it was used before.
    async fn connection(
        &self,
        key: &str,
        terms: &Terms<'_>,
        demand: Demand,
        hosts: &dyn Hosts,
    ) -> Result<(Connection, bool), Response> {
        if let Some(connection) = self.pool.take(key) {
            return Ok((connection, true));
        }
        let login = match hosts.login() {
            Some(login) => Some(login.read().await?),
            None => None,
        };
        let mut last = None;
        let found = hosts.find(self.opener.tls.trusted_dns(terms.level)).await?;
        for host in found.iter().take(HOSTS_MAX) {
            let opened = self.open(host, terms, demand, login.as_ref(), hosts).await;
            let why = match demand.judge(opened) {
                Ok(connection) => {
                    let (from, name) = (terms.sources, terms.name);
                    tracing::debug!(host = %host.name, endpoint = %host.endpoint, %from, %name, "connected");
                    return Ok((connection, false));
                }
                Err(NoSession::Tampered(why) | NoSession::Denied(why)) => return Err(why),
                Err(NoSession::Unsafe(why)) => demand.answer(why),
                Err(NoSession::Failed(why) | NoSession::NoTls(why)) => why,
            };
            tracing::debug!(host = %host.name, endpoint = %host.endpoint, %why, "no session");
            last = Some(milder(last, why));
        }
        Err(last.unwrap_or_else(|| Response::transient(4, 1, "Host not found")))
    }

    /// A connection to one host, which is all that is asked of it.
    async fn open(
        &self,
        host: &Host,
        terms: &Terms<'_>,
        demand: Demand,
        login: Option<&Login>,
        hosts: &dyn Hosts,
    ) -> Result<Connection, NoSession> {
        if let Some(doubt) = demand.doubt(host) {
            return Err(doubt);
        }
        let source = terms.source_towards(host);
        let seen = |asked, tls| Seen {
            host,
            source,
            asked,
            tls,
        };
        let tls = match self.asked_for(host, terms.level).await {
            // A password needs TLS, whatever else does not.
            Ok(tls) if hosts.login().is_some_and(|login| !login.goes_in_clear()) => {
                demand.raise(tls.encrypted())
            }
            Ok(tls) => demand.raise(tls),
            Err((why, passed_over)) => {
                tracing::info!(host = %host.name, %why, "passed over");
                hosts.opened(seen(None, &passed_over));
                return Err(NoSession::Failed(why));
            }
        };
        let mut came = TlsSeen::Nothing;
        let opened = self.opener.open(host, terms, &tls, login, &mut came).await;
        let policy = host.policy.as_ref();
        let fault = policy.and_then(|policy| policy.fault(&host.name, &tls));
        let came = match fault {
            Some(fault) if came != TlsSeen::Nothing => TlsSeen::Failed(fault),
            _ => came,
        };
        hosts.opened(seen(Some(&tls), &came));
        opened.map_err(|error| match (policy, error) {
            (Some(policy), NoSession::Failed(why) | NoSession::NoTls(why)) => {
                NoSession::Failed(policy.explain(&tls, why))
            }
            (Some(policy), NoSession::Unsafe(why)) => NoSession::Unsafe(policy.explain(&tls, why)),
            (_, error) => error,
        })
    }
}

/// Under what connections are kept: never one that is less safe than mail needs,
/// or on which this host is somebody else.
fn key_under(key: &str, terms: &Terms<'_>, demand: Demand, hosts: &dyn Hosts) -> String {
    let (mut key, level) = (terms.sources.key(key), terms.level);
    key += &format!(" by {}{}", terms.name, demand.mark());
    if let Some(proxy) = terms.proxy {
        key += &format!(" through {proxy}");
    }
    key += &format!(" tls={level}");
    let is_of_domain = demand.is_some() || matches!(level, TlsLevel::Dane | TlsLevel::DaneOnly);
    if let Some(domain) = hosts.dane_domain().filter(|_| is_of_domain) {
        key += &format!(" of {domain}");
    }
    if let Some(login) = hosts.login() {
        key += &format!(" as {}", login.user());
    }
    key
}

/// Whether a sender that named a time is told that its message was passed on: it
/// asked for that, or nobody heeds the time from here on (RFC 2852 section 4.2).
fn is_traced(delivery: &Delivery, connection: &Connection) -> bool {
    let by = delivery.message.envelope.deliver_by;
    by.is_some_and(|by| by.trace || !connection.extensions().deliver_by)
}

/// Whether a used connection failed before the message was looked at: the next
/// hop had enough of the session, or is gone. Only such a message may be sent
/// again at once, for nobody can have taken it.
fn is_stale(outcome: &Outcome) -> bool {
    let refused_out_of_order = |r: &Response| r.code.get() == 503;
    outcome.stage == Stage::Sender
        && outcome
            .responses
            .iter()
            .any(|r| r.class() == Class::Transient || refused_out_of_order(r))
}
