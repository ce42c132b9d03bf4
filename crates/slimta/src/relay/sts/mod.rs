//! MTA-STS (RFC 8461): what a domain asks of the TLS with its mail exchangers, in
//! a policy that it shows on the web and names in the DNS.
//!
//! A policy is trusted from the first time on that it was fetched. Who would keep
//! it away later must do so until it is over, for it is kept, and fetched again
//! long before.

mod kept;
mod pauses;
mod policy;
mod record;
mod shelf;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

pub(super) use kept::Kept;
pub(super) use policy::is_host_name;
pub use policy::{Mode, MxPattern, Policy, PolicyError};
pub use source::{FetchError, PolicySource, WebPolicies};

use super::LookupError;
use super::mta_sts::TextRecords;
use super::mx::ascii;
use super::tls_report::{FailureTold, PolicyTold, TlsReports};
use crate::message::Destination;
use crate::queue::ByDestination;
use crate::world::{Timestamp, World};
use kept::FETCH_PAUSE;
use pauses::Pauses;
use record::{PolicyId, policy_id};
use shelf::Shelf;

/// How long a policy may take to come (RFC 8461 section 3.3).
const FETCH_TIME_MAX: Duration = Duration::from_secs(60);
/// How often an operator is told that the policy of a domain does not come.
const TELL_PAUSE: Duration = Duration::from_secs(86_400);
/// Time between two looks for policies that should be fetched again.
const REFRESH_DELAY: Duration = Duration::from_secs(600);

/// Finds the policies of domains, and keeps them. Clones share what is kept.
#[derive(Clone)]
pub struct MtaSts {
    finder: Arc<Finder>,
    heeded: Arc<ByDestination<bool>>,
}

struct Finder {
    texts: Box<dyn TextRecords>,
    source: Box<dyn PolicySource>,
    world: World,
    shelf: Arc<Shelf>,
    /// Which domains could not be asked.
    pauses: Pauses,
    /// Of which domains an operator was told that their policy does not come.
    told: Pauses,
    /// Who fetches the policy of each domain holds its lock, others wait for it.
    flights: Mutex<BTreeMap<String, Weak<Flight>>>,
    /// Who is told of those that could not be fetched.
    reports: OnceLock<TlsReports>,
}

/// A tokio mutex, because it is held while a policy is fetched.
type Flight = tokio::sync::Mutex<()>;

/// The directory of policies cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the directory {place} for the policies of MTA-STS cannot be used: {error}")]
pub struct PoliciesError {
    place: String,
    error: io::Error,
}

impl MtaSts {
    /// Finds out by `texts` whether a domain has a policy, and fetches it from
    /// `source`. Policies are forgotten with the process.
    pub fn new(texts: impl TextRecords, source: impl PolicySource, world: World) -> Self {
        MtaSts::with_shelf(Box::new(texts), Box::new(source), world, Shelf::default())
    }

    /// The same; policies are kept in this directory, one file a domain, by one
    /// process at a time. It is made if it is not there. Blocks while it is read.
    pub fn open(
        directory: &Path,
        texts: impl TextRecords,
        source: impl PolicySource,
        world: World,
    ) -> Result<Self, PoliciesError> {
        let shelf = Shelf::open(directory, world.now()).map_err(|error| PoliciesError {
            place: directory.display().to_string(),
            error,
        })?;
        let (texts, source) = (Box::new(texts), Box::new(source));
        Ok(MtaSts::with_shelf(texts, source, world, shelf))
    }

    fn with_shelf(
        texts: Box<dyn TextRecords>,
        source: Box<dyn PolicySource>,
        world: World,
        shelf: Shelf,
    ) -> Self {
        MtaSts {
            finder: Arc::new(Finder {
                texts,
                source,
                world,
                shelf: Arc::new(shelf),
                pauses: Pauses::of(FETCH_PAUSE),
                told: Pauses::of(TELL_PAUSE),
                flights: Mutex::default(),
                reports: OnceLock::new(),
            }),
            heeded: Arc::new(true.into()),
        }
    }

    /// Sets for which destinations policies are heeded. Default: for all.
    #[must_use]
    pub fn with_destinations(self, heeded: impl Into<ByDestination<bool>>) -> Self {
        MtaSts {
            heeded: Arc::new(heeded.into()),
            ..self
        }
    }

    /// Counts policies that could not be fetched, too, for all clones. Default: nobody
    /// does.
    #[must_use]
    pub fn with_reports(self, reports: TlsReports) -> Self {
        // Who was told first goes on.
        let _ = self.finder.reports.set(reports);
        self
    }

    /// Whether the policy of this destination is heeded.
    pub(super) fn is_heeded(&self, destination: &Destination) -> bool {
        *self.heeded.get(destination)
    }

    /// The policy of a domain, if it has one.
    pub(super) async fn find(&self, domain: &str) -> Option<Arc<Kept>> {
        let domain = ascii_name(domain)?;
        self.finder.find(&domain).await
    }

    /// Whether it could not be found out of late what policy a domain has.
    pub(super) fn failed_of_late(&self, domain: &str) -> bool {
        ascii_name(domain).is_some_and(|domain| self.finder.is_paused(&domain))
    }

    /// Fetches policies again that are in use and become old, until it is dropped.
    /// Who does not run it finds policies over in the end, and is then without one
    /// if somebody keeps the next away.
    pub async fn keep_fresh(&self) {
        loop {
            self.finder.world.sleep(REFRESH_DELAY).await;
            let now = self.finder.world.now();
            for (domain, used) in self.finder.shelf.due(now).await {
                self.finder.refresh(&domain, used).await;
            }
        }
    }
}

impl Finder {
    async fn find(&self, domain: &str) -> Option<Arc<Kept>> {
        let kept = self.kept(domain);
        if self.is_paused(domain) {
            return kept;
        }
        let Some(id) = self.id(domain).await else {
            return kept;
        };
        if kept.as_ref().is_some_and(|kept| kept.id == id) {
            return kept;
        }
        let flight = self.flight(domain);
        let _boarded = flight.lock().await;
        // Another may have fetched it meanwhile, or tried.
        let kept = self.kept(domain);
        let is_new = kept.as_ref().is_none_or(|kept| kept.id != id);
        if is_new && !self.is_paused(domain) {
            self.fetch(domain, id, self.world.now()).await;
        }
        self.kept(domain)
    }

    /// Fetches a policy anew, also if its id is as before: then it holds for longer.
    async fn refresh(&self, domain: &str, used: Timestamp) {
        if self.is_paused(domain) {
            return;
        }
        let Some(id) = self.id(domain).await else {
            // Who keeps the record away would else be found out when the policy is over.
            let kept = self.shelf.look_at(domain, self.world.now());
            if kept.is_some_and(|kept| kept.mode() != Mode::None) {
                let why = format!("_mta-sts.{domain} does not name it, or cannot be looked up");
                self.not_fetched(domain, &FetchError::Failed(why));
            }
            return;
        };
        let flight = self.flight(domain);
        let _boarded = flight.lock().await;
        self.fetch(domain, id, used).await;
    }

    fn kept(&self, domain: &str) -> Option<Arc<Kept>> {
        self.shelf.take_down(domain, self.world.now())
    }

    fn is_paused(&self, domain: &str) -> bool {
        self.pauses.is_paused(domain, self.world.monotonic())
    }

    /// What the DNS calls the policy that the domain has now.
    async fn id(&self, domain: &str) -> Option<PolicyId> {
        match self.texts.texts(&format!("_mta-sts.{domain}")).await {
            Ok(texts) => policy_id(&texts),
            Err(LookupError::NoSuchName | LookupError::NoRecords) => None,
            Err(error) => {
                tracing::debug!(domain, %error, "nobody says whether the domain has a policy");
                self.pauses.note(domain, self.world.monotonic());
                None
            }
        }
    }

    /// Fetches a policy and keeps it. If none comes, the one before is as good as
    /// it was; the operator is told, unless it asks for nothing.
    async fn fetch(&self, domain: &str, id: PolicyId, used: Timestamp) {
        let fetching = self.source.fetch(domain);
        let fetched = self.world.timeout(FETCH_TIME_MAX, fetching).await;
        let fetched = fetched.unwrap_or_else(|| {
            Err(FetchError::Failed(
                "it did not come within a minute".to_owned(),
            ))
        });
        let now = self.world.now();
        match fetched {
            Ok(policy) => {
                tracing::debug!(domain, id = id.as_str(), mode = ?policy.mode(), "policy fetched");
                let kept = Kept {
                    policy,
                    id,
                    fetched: now,
                    used,
                };
                self.shelf.put(domain, Arc::new(kept)).await;
            }
            Err(error) => {
                self.pauses.note(domain, self.world.monotonic());
                self.not_fetched(domain, &error);
            }
        }
    }

    /// Tells those whom it concerns that a policy did not come (RFC 8461 sections 3.3
    /// and 6).
    fn not_fetched(&self, domain: &str, error: &FetchError) {
        if let Some(reports) = self.reports.get() {
            let failure = FailureTold::of_policy(error);
            reports.count(PolicyTold::unknown(domain), Some(failure));
        }
        let now = self.world.monotonic();
        let before = self.shelf.look_at(domain, self.world.now());
        let before = before.map(|kept| kept.mode());
        if before != Some(Mode::None) && !self.told.is_paused(domain, now) {
            self.told.note(domain, now);
            tracing::warn!(domain, %error, ?before, "the domain's policy (MTA-STS) could not be fetched");
        }
    }

    fn flight(&self, domain: &str) -> Arc<Flight> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, flight| flight.strong_count() > 0);
        if let Some(flight) = flights.get(domain).and_then(Weak::upgrade) {
            return flight;
        }
        let flight = Arc::new(Flight::default());
        flights.insert(domain.to_owned(), Arc::downgrade(&flight));
        flight
    }
}

/// Who heeds what is not worth a line.
impl fmt::Debug for MtaSts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MtaSts").finish_non_exhaustive()
    }
}

/// A name as the DNS knows it: in ASCII and lower case, without the last dot. None
/// if it cannot be that of a host.
pub(super) fn ascii_name(name: &str) -> Option<String> {
    ascii(name).filter(|name| policy::is_host_name(name))
}
