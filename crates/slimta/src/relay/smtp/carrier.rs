//! Carries a message over connections, new or kept, to the first of several
//! hosts that talks to us.

use std::sync::Arc;

use async_trait::async_trait;
use slimta_smtp::client::{Dialect, Outcome, Parcel, RECIPIENTS_MAX, Stage, Timing, TlsLevel};

use super::Host;
use super::connection::{Connection, lease_lost};
use super::connector::Connector;
use super::host_tls::HostTls;
use super::opening::{NoSession, Opener};
use super::pool::Pool;
use super::source::Sources;
use super::tls::Tls;
use super::tls_seen::{Seen, TlsSeen};
use super::waived::waived;
#[cfg(feature = "mta-sts")]
use crate::message::Destination;
use crate::message::{Class, OnSuccess, Recipient, Report, Response};
use crate::queue::ByDestination;
use crate::relay::Delivery;
use crate::relay::resolver::Resolver;
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

    /// For whose mail alone a connection to one of them may be used that was made by
    /// DANE: what the host had to show may depend on the domain, and on whether its
    /// exchangers are signed. Default: for any that goes to the same hosts.
    fn dane_domain(&self) -> Option<&str> {
        None
    }

    /// A session with one of them was begun, or was tried to.
    fn opened(&self, _seen: Seen<'_>) {}
}

/// Hands messages over by SMTP.
pub(in crate::relay) struct Carrier {
    opener: Opener,
    pool: Arc<Pool>,
    messages_per_connection: ByDestination<u32>,
    sources: ByDestination<Sources>,
}

/// The recipients of a delivery, as far as they have their answers.
struct Answers<'a> {
    recipients: &'a [Recipient],
    responses: Vec<Option<Response>>,
    /// Those without an answer, in order.
    open: Vec<usize>,
}

impl Carrier {
    pub(in crate::relay) fn new(hostname: &str, world: World) -> Self {
        Carrier {
            opener: Opener::new(hostname, world.clone()),
            pool: Pool::new(world),
            messages_per_connection: MESSAGES_PER_CONNECTION.into(),
            sources: Sources::default().into(),
        }
    }

    pub(in crate::relay) fn with_messages_per_connection(
        mut self,
        messages: ByDestination<u32>,
    ) -> Self {
        self.messages_per_connection = messages;
        self
    }

    pub(in crate::relay) fn with_sources(mut self, sources: ByDestination<Sources>) -> Self {
        self.sources = sources;
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

    /// How far connections to a destination are encrypted, by what its relay was
    /// told.
    #[cfg(feature = "mta-sts")]
    pub(in crate::relay) fn tls_level(&self, destination: &Destination) -> TlsLevel {
        self.opener.tls.level(destination)
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
        let sources = self.sources.get(destination);
        let key = &sources.key(key);
        let level = waived(self.opener.tls.level(destination), &delivery.content);
        // Never one that is less safe than this mail needs.
        let key = match level {
            TlsLevel::Dane | TlsLevel::DaneOnly => &format!(
                "{key} tls={level} {}",
                hosts.dane_domain().unwrap_or_default()
            ),
            _ => &format!("{key} tls={level}"),
        };
        let mut answers = Answers::new(&delivery.message.envelope.recipients);
        let mut remote = None;
        let mut on_success = OnSuccess::PassedOn;
        while !answers.open.is_empty() {
            if !delivery.lease.is_alive() {
                answers.close(&lease_lost());
                break;
            }
            let (mut connection, is_used) = match self.connection(key, sources, level, hosts).await
            {
                Ok(connection) => connection,
                Err(why) => {
                    answers.close(&why);
                    break;
                }
            };
            let recipients = answers.next_batch();
            let parcel = Parcel {
                envelope: &delivery.message.envelope,
                recipients: &recipients,
                content: &delivery.content,
                priority: delivery.message.priority,
            };
            let outcome = connection.transact(&parcel, &delivery.lease).await;
            if is_used && is_stale(&outcome) {
                // It says something of the session, not of the message.
                continue;
            }
            remote = Some(connection.host().to_owned());
            if !outcome.passed_on {
                on_success = match connection.dialect() {
                    Dialect::Smtp => OnSuccess::Relayed,
                    // Its answers come from the mailboxes.
                    Dialect::Lmtp => OnSuccess::Delivered,
                };
            }
            answers.take(outcome);
            let messages_max = *self.messages_per_connection.get(destination);
            self.pool.put(key, connection, messages_max);
        }
        Report {
            responses: answers.finish(),
            remote,
            on_success,
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
        sources: &Sources,
        level: TlsLevel,
        hosts: &dyn Hosts,
    ) -> Result<(Connection, bool), Response> {
        if let Some(connection) = self.pool.take(key) {
            return Ok((connection, true));
        }
        let mut last = Response::transient(4, 1, "Host not found");
        let found = hosts.find(self.opener.tls.trusted_dns(level)).await?;
        for host in found.iter().take(HOSTS_MAX) {
            let source = host.endpoint.ip().and_then(|ip| sources.towards(ip));
            let seen = |asked, tls| Seen {
                host,
                source,
                asked,
                tls,
            };
            let tls = match self.asked_for(host, level).await {
                Ok(tls) => tls,
                Err((why, passed_over)) => {
                    tracing::info!(host = %host.name, %why, "passed over");
                    hosts.opened(seen(None, &passed_over));
                    last = why;
                    continue;
                }
            };
            let mut came = TlsSeen::Nothing;
            let opened = self.opener.open(host, source, &tls, &mut came).await;
            let fault = host.policy.as_ref();
            let fault = fault.and_then(|policy| policy.fault(&host.name, &tls));
            let came = match fault {
                Some(fault) if came != TlsSeen::Nothing => TlsSeen::Failed(fault),
                _ => came,
            };
            hosts.opened(seen(Some(&tls), &came));
            let why = match opened {
                Ok(connection) => return Ok((connection, false)),
                Err(NoSession::Tampered(why)) => return Err(why),
                Err(NoSession::Failed(why) | NoSession::NoTls(why)) => why,
            };
            tracing::debug!(host = %host.name, endpoint = %host.endpoint, %why, "no session");
            last = match &host.policy {
                Some(policy) => policy.explain(&tls, why),
                None => why,
            };
        }
        Err(last)
    }
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

impl<'a> Answers<'a> {
    fn new(recipients: &'a [Recipient]) -> Self {
        Answers {
            recipients,
            responses: vec![None; recipients.len()],
            open: (0..recipients.len()).collect(),
        }
    }

    /// Who goes into the next transaction.
    fn next_batch(&self) -> Vec<Recipient> {
        let batch = self.open.iter().take(RECIPIENTS_MAX);
        batch
            .filter_map(|index| self.recipients.get(*index).cloned())
            .collect()
    }

    /// The answers of a transaction. Who was one too many goes into the next at
    /// once, as long as each takes somebody (RFC 5321 section 4.5.3.1.10).
    fn take(&mut self, outcome: Outcome) {
        let is_progress = outcome.responses.iter().any(Response::is_success);
        let asked = self.open.len().min(RECIPIENTS_MAX);
        let mut again = Vec::new();
        let answers = outcome.responses.into_iter().map(Some);
        let answers = answers.chain(std::iter::repeat(None));
        for (place, (index, response)) in self.open.drain(..asked).zip(answers).enumerate() {
            if is_progress && outcome.too_many.contains(&place) {
                again.push(index);
            } else if let Some(answer) = self.responses.get_mut(index) {
                *answer = response;
            }
        }
        self.open.extend(again);
    }

    /// The same answer for all that have none.
    fn close(&mut self, response: &Response) {
        for index in self.open.drain(..) {
            if let Some(answer) = self.responses.get_mut(index) {
                *answer = Some(response.clone());
            }
        }
    }

    fn finish(self) -> Vec<Response> {
        let unanswered = || Response::transient(5, 0, "The next hop gave no answer");
        let responses = self.responses.into_iter();
        responses
            .map(|response| response.unwrap_or_else(unanswered))
            .collect()
    }
}
