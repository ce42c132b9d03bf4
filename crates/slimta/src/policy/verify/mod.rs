//! Looks whether mail of strangers is from whom it says, and writes down what was
//! found (SPF: RFC 7208, DKIM: RFC 6376, DMARC: RFC 9989, ARC: RFC 8617).

mod check;
mod null_mx;
mod results;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mail_auth::MessageAuthenticator;
use slimta_core::world::World;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::{Policy, field};
use crate::message::{Message, Response};
use crate::relay::{Dns, LookupError};
use check::{Findings, check};
use null_mx::sender_without_mail;
use results::is_of;
#[cfg(feature = "dkim")]
pub(super) use results::{own_results, result_of};

/// The field that tells of what was found (RFC 8601).
const RESULTS: &str = "Authentication-Results";

type Trust = dyn Fn(IpAddr) -> bool + Send + Sync;

/// What is done about mail of strangers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifyRules {
    /// Whether mail is refused with `550 5.7.1` whose author's domain asks for
    /// that (`p=reject`). False.
    pub dmarc_reject: bool,
    /// Whether mail is refused with `550 5.7.27` whose reverse-path is of a domain that
    /// takes no mail (RFC 7505 section 4.1). False.
    pub null_mx_reject: bool,
    /// How long the look-ups for a message may take, the wait for its turn
    /// included. 15 seconds.
    pub time_max: Duration,
    /// Most messages that are looked at at the same time. Each takes a thread and
    /// a copy of the message. 10.
    pub at_once_max: usize,
}

impl Default for VerifyRules {
    fn default() -> Self {
        VerifyRules {
            dmarc_reject: false,
            null_mx_reject: false,
            time_max: Duration::from_secs(15),
            at_once_max: 10,
        }
    }
}

/// Verifies mail whose client neither has authenticated nor is trusted, and puts
/// an `Authentication-Results` field on top (RFC 8601).
///
/// It comes before whatever changes a message: a signature may cover it. Fields of
/// this kind that speak in this host's name are taken out of every message, for
/// nobody else may (section 5). What cannot be looked up in time counts as
/// `temperror`, and the message passes.
#[derive(Clone)]
pub struct VerifySenders {
    authserv_id: Arc<str>,
    authenticator: MessageAuthenticator,
    is_trusted: Arc<Trust>,
    rules: VerifyRules,
    places: Arc<Semaphore>,
    world: World,
}

impl VerifySenders {
    /// Speaks as `authserv_id`, the name of this host or of its site (RFC 8601
    /// section 2.5), asks `dns`, and trusts no address. Fails if what `dns` asks
    /// cannot be asked from here. Clones look at `at_once_max` messages together.
    pub fn new(
        authserv_id: &str,
        dns: &Dns,
        rules: VerifyRules,
        world: World,
    ) -> Result<Self, LookupError> {
        let places = rules.at_once_max.clamp(1, Semaphore::MAX_PERMITS);
        Ok(VerifySenders {
            authserv_id: authserv_id.into(),
            authenticator: MessageAuthenticator(dns.plain()?),
            is_trusted: Arc::new(|_| false),
            rules,
            places: Arc::new(Semaphore::new(places)),
            world,
        })
    }

    /// Whose mail is not looked at, by the client's address.
    #[must_use]
    pub fn with_trusted(
        mut self,
        is_trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.is_trusted = Arc::new(is_trusted);
        self
    }

    fn is_of_a_stranger(&self, message: &Message) -> bool {
        let client = &message.client;
        client.auth.is_none() && !client.ip.is_some_and(|ip| (self.is_trusted)(ip))
    }

    /// What there is to say of a message.
    async fn look(&self, message: &Message) -> Findings {
        let found = self.world.timeout(self.rules.time_max, async {
            let place = self.places.clone().acquire_owned().await.ok()?;
            let (message, runtime) = (message.clone(), Handle::current());
            let (authenticator, host) = (self.authenticator.clone(), self.authserv_id.clone());
            let rules = self.rules;
            // Hashing a long body would hold up others of the thread.
            let looking = tokio::task::spawn_blocking(move || {
                let _place = place;
                runtime.block_on(async {
                    let mut findings = check(&authenticator, &host, &message).await;
                    if rules.null_mx_reject {
                        findings.without_mail =
                            sender_without_mail(&authenticator.0, &message).await;
                    }
                    findings
                })
            });
            looking.await.ok()
        });
        found.await.flatten().unwrap_or_else(|| {
            let sender = &message.envelope.sender;
            tracing::warn!(%sender, "the sender of a message could not be verified in time");
            Findings::unknown()
        })
    }
}

#[async_trait]
impl Policy for VerifySenders {
    async fn apply(&self, mut message: Message) -> Result<Vec<Message>, Response> {
        let findings = match self.is_of_a_stranger(&message) {
            true => Some(self.look(&message).await),
            false => None,
        };
        message
            .content
            .remove_where(RESULTS, |found| is_of(&found.value(), &self.authserv_id));
        let Some(findings) = findings else {
            return Ok(vec![message]);
        };
        if let Some(domain) = findings.refused_by.filter(|_| self.rules.dmarc_reject) {
            let sender = &message.envelope.sender;
            tracing::info!(%sender, %domain, "message refused by DMARC");
            let text = format!("{domain} asks to refuse mail that is not its own (DMARC)");
            return Err(Response::permanent(7, 1, text));
        }
        if let Some(domain) = findings.without_mail {
            let sender = &message.envelope.sender;
            tracing::info!(%sender, "message refused, its sender takes no mail");
            let text = format!("Sender address has null MX: {domain} takes no mail");
            return Err(Response::permanent(7, 27, text));
        }
        let results = findings.results.written(&self.authserv_id);
        message.content.prepend(&field(RESULTS, &results)?);
        Ok(vec![message])
    }
}
