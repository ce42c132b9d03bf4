//! Asks a spam filter about each message before it is taken.

mod conversation;
mod place;
mod rspamd;
mod scanner;
mod spamd;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{Policy, field};
use crate::message::{Content, Message, Response};
use crate::world::World;

pub use place::ScannerUrlError;
pub use scanner::{ScanError, SpamScanner, SpamVerdict, open_scanner};

/// What is so named in a message speaks for a filter of ours.
const OWN_FIELDS: &str = "X-Spam";
/// Most tests that a field names.
const TESTS_MAX: usize = 100;

/// What becomes of mail that could not be scanned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnScanFailure {
    /// It is taken as it is.
    Accept,
    /// The client hears `451 4.3.0` and keeps it.
    #[default]
    Defer,
}

/// How mail is scanned, and what is done with spam.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SpamRules {
    /// Messages with this score or a higher one are refused with `550 5.7.1`;
    /// none refuses nothing. None.
    pub reject_score: Option<f64>,
    /// What becomes of mail that could not be scanned. Deferred.
    pub on_failure: OnScanFailure,
    /// How long a message may take, the wait for its turn included. 20 seconds.
    pub time_max: Duration,
    /// Larger messages, in bytes, are not scanned. 512 KiB.
    pub bytes_max: usize,
    /// Most scans at the same time; more wait for their turn. 10.
    pub at_once_max: usize,
}

impl Default for SpamRules {
    fn default() -> Self {
        SpamRules {
            reject_score: None,
            on_failure: OnScanFailure::default(),
            time_max: Duration::from_secs(20),
            bytes_max: 512 << 10,
            at_once_max: 10,
        }
    }
}

/// Scans each message: refuses what is certainly spam, and says in fields of the
/// others what was found, in the words of SpamAssassin: `X-Spam-Flag`,
/// `X-Spam-Score` and `X-Spam-Status`.
///
/// Fields whose names begin with `X-Spam` are taken out of every message first:
/// only those of this host are to be believed. A filter that is slow or away
/// holds up the messages that are to be scanned for their time at most, and
/// nothing else.
#[derive(Clone)]
pub struct SpamScan {
    scanner: Arc<dyn SpamScanner>,
    rules: SpamRules,
    world: World,
    places: Arc<Semaphore>,
}

impl SpamScan {
    /// Asks this filter.
    pub fn new(scanner: Arc<dyn SpamScanner>, rules: SpamRules, world: World) -> Self {
        let places = rules.at_once_max.clamp(1, Semaphore::MAX_PERMITS);
        SpamScan {
            scanner,
            rules,
            world,
            places: Arc::new(Semaphore::new(places)),
        }
    }

    async fn scan(&self, message: &Message) -> Result<SpamVerdict, ScanError> {
        let in_turn = async {
            let _place = self.places.acquire().await.map_err(|_| ScanError::Late)?;
            self.scanner.scan(message).await
        };
        let scanned = self.world.timeout(self.rules.time_max, in_turn).await;
        scanned.unwrap_or(Err(ScanError::Late))
    }

    fn refuses(&self, verdict: &SpamVerdict) -> bool {
        let least = self.rules.reject_score;
        least.is_some_and(|least| verdict.score >= least)
    }
}

#[async_trait]
impl Policy for SpamScan {
    async fn apply(&self, mut message: Message) -> Result<Vec<Message>, Response> {
        remove_own_fields(&mut message.content);
        let sender = &message.envelope.sender;
        let bytes = message.content.len();
        if bytes > self.rules.bytes_max {
            tracing::debug!(%sender, bytes, "message is too large to be scanned for spam");
            return Ok(vec![message]);
        }
        match self.scan(&message).await {
            Ok(verdict) if self.refuses(&verdict) => {
                tracing::info!(%sender, score = verdict.score, "message refused as spam");
                Err(Response::permanent(7, 1, "The message looks like spam"))
            }
            Ok(verdict) => {
                mark(&mut message.content, &verdict)?;
                Ok(vec![message])
            }
            Err(error) => {
                let is_taken = self.rules.on_failure == OnScanFailure::Accept;
                tracing::warn!(%sender, %error, is_taken, "message could not be scanned for spam");
                match self.rules.on_failure {
                    OnScanFailure::Accept => Ok(vec![message]),
                    OnScanFailure::Defer => {
                        let text = "The message cannot be looked at now, try again later";
                        Err(Response::transient(3, 0, text))
                    }
                }
            }
        }
    }
}

/// Takes out what others say in our place.
fn remove_own_fields(content: &mut Content) {
    let is_own = |name: &str| {
        let front = name.get(..OWN_FIELDS.len());
        front.is_some_and(|front| front.eq_ignore_ascii_case(OWN_FIELDS))
    };
    let names = content.fields().map(|field| field.name());
    let names: Vec<_> = names
        .filter(|name| is_own(name))
        .map(str::to_owned)
        .collect();
    for name in names {
        content.remove(&name);
    }
}

/// Says on top of a message what was found.
fn mark(content: &mut Content, verdict: &SpamVerdict) -> Result<(), Response> {
    let (flag, is_spam) = if verdict.is_spam {
        ("YES", "Yes")
    } else {
        ("NO", "No")
    };
    let (score, threshold) = (verdict.score, verdict.threshold);
    let tests = tests(&verdict.tests);
    let status = format!("{is_spam}, score={score:.1} required={threshold:.1} tests={tests}");
    content.prepend(&field("X-Spam-Status", &status)?);
    content.prepend(&field("X-Spam-Score", &format!("{score:.1}"))?);
    content.prepend(&field("X-Spam-Flag", flag)?);
    Ok(())
}

/// The names of tests as one word that can be folded: a filter may take parts of
/// them from the message.
fn tests(names: &[String]) -> String {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = names.iter().filter(|name| name.len() <= 64);
    let names = names.filter(|name| !name.is_empty() && name.chars().all(is_of_a_name));
    let names: Vec<_> = names.take(TESTS_MAX).map(String::as_str).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}
