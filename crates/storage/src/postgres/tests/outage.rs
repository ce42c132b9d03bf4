//! A database that is away, or silent. Time is moved by hand, so that what is
//! answered at once is answered while no time passes.

use std::sync::Arc;
use std::time::Duration;

use slimta_core::message::{Client, Content, Envelope, Message, ReversePath, Submission};
use slimta_core::queue::{ByDomain, split};
use slimta_core::storage::conformance::ManualClock;
use slimta_core::storage::{
    Change, Filter, FirstLeases, Page, Session, Settled, Settlement, Storage, StorageError,
};
use slimta_core::world::{SeededRandom, World};

use super::super::Postgres;
use super::proxy::{Fault, Proxy};
use super::server::{Server, Stop};

/// The longest wait for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the database may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// How often a test looks, and how many times before it lets time pass: what is
/// under way meanwhile must have an end.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const LOOKS: u32 = 100;
const LEASE: Duration = Duration::from_secs(120);

/// A session behind a network.
struct Site {
    clock: ManualClock,
    world: World,
    proxy: Arc<Proxy>,
    server: Arc<Server>,
    url: String,
    _storage: Postgres,
    session: Arc<dyn Session>,
}

impl Site {
    async fn new(server: Arc<Server>) -> Self {
        let clock = ManualClock::new();
        let world = World::new(clock.clone(), SeededRandom::new(1));
        let url = server.schema();
        let proxy = Arc::new(Proxy::before(server.port()));
        let (direct, through) = (server.port().to_string(), proxy.port().to_string());
        let storage = Postgres::new(&url.replace(&direct, &through), world.clone()).unwrap();
        let session = storage.connect().await.unwrap();
        Site {
            clock,
            world,
            proxy,
            server,
            url,
            _storage: storage,
            session,
        }
    }

    fn mail(&self) -> Submission {
        mail(&self.world)
    }

    /// Asks while the database is silent, until it has been so for too long.
    async fn ask<T: Send + 'static>(
        &self,
        asking: impl Future<Output = Result<T, StorageError>> + Send + 'static,
    ) -> StorageError {
        let asking = tokio::spawn(asking);
        let proxy = self.proxy.clone();
        let held = tokio::task::spawn_blocking(move || proxy.until_held());
        soon(held).await.unwrap();
        assert!(!asking.is_finished());
        let waiting = async {
            // What is held may have been sent before its sender began to wait.
            for looks in 0_u32.. {
                if asking.is_finished() {
                    return;
                }
                if looks.is_multiple_of(LOOKS) {
                    self.clock.pass(SILENCE_MAX);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        soon(waiting).await;
        asking.await.unwrap().err().unwrap()
    }

    async fn store(&self, submission: Submission) -> Result<(), StorageError> {
        soon(self.session.store(submission, None)).await.map(drop)
    }

    /// Lets time pass until the database is found again.
    async fn back(&self) {
        let looking = async {
            for tries in 0_u32.. {
                if self.session.stats().await.is_ok() {
                    return;
                }
                if tries.is_multiple_of(LOOKS) {
                    self.clock.pass(SILENCE_MAX);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        soon(looking).await;
    }

    async fn stored(&self) -> usize {
        let (all, page) = (Filter::default(), Page::first(100));
        let listing = self.session.list(&all, page).await;
        listing.unwrap().messages.len()
    }
}

fn mail(world: &World) -> Submission {
    let envelope = Envelope::new(ReversePath::Null, ["a@example.org".parse().unwrap()]);
    let content = Content::new("Subject: hello\r\n\r\n");
    let message = Message::new(Client::default(), envelope, content, world.now());
    let router = ByDomain {
        local_domain: String::new(),
    };
    split(message, &router, world, world.now()).unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    let waiting = tokio::time::timeout(PATIENCE, future).await;
    waiting.expect("it takes no time but that which is made to pass")
}

#[track_caller]
fn says(error: &StorageError, what: &str) {
    let told = error.to_string();
    assert!(matches!(error, StorageError::Unavailable(_)), "{told}");
    assert!(told.contains(what), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_a_silent_database_is_told_to_try_later_and_then_at_once() {
    for fault in [Fault::BlackHole, Fault::AnswersLost, Fault::QuestionsLost] {
        let site = Site::new(Server::running()).await;
        site.store(site.mail()).await.unwrap();
        site.proxy.set(fault);
        let (session, submission) = (site.session.clone(), site.mail());
        let again = submission.clone();
        let error = site.ask(async move { session.store(submission, None).await });
        says(&error.await, "no answer from postgres://127.0.0.1:");
        let error = site.store(site.mail()).await.unwrap_err();
        says(&error, "no answer from postgres://127.0.0.1:");

        site.proxy.set(Fault::None);
        site.back().await;
        // Whether it had been stored or not: now it is, once.
        site.store(again).await.unwrap();
        site.store(site.mail()).await.unwrap();
        assert_eq!(site.stored().await, 3, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_recorded_when_the_database_is_back() {
    let site = Site::new(Server::running()).await;
    let lease = Some(FirstLeases {
        count: 1,
        lease: LEASE,
    });
    let mut leased = site.session.store(site.mail(), lease).await.unwrap();
    let settlement = Arc::new([Settlement {
        lease: leased.remove(0).lease,
        change: Change::Remove,
        notices: Vec::new(),
    }]);
    site.proxy.set(Fault::QuestionsLost);
    let (session, offered) = (site.session.clone(), settlement.clone());
    let error = site.ask(async move { session.settle(&*offered).await });
    says(&error.await, "no answer");
    site.proxy.set(Fault::None);
    site.back().await;
    let settled = site.session.settle(&*settlement).await.unwrap();
    // What was held back by the network reaches a connection that is closed.
    assert_eq!(settled, [Ok(Settled::Done)]);
    assert_eq!(site.stored().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_cuts_and_delays_does_no_harm() {
    let site = Site::new(Server::running()).await;
    site.proxy.set(Fault::Cut);
    let error = site.store(site.mail()).await.unwrap_err();
    says(&error, "");
    site.proxy.set(Fault::Delay(Duration::from_millis(20)));
    site.back().await;
    site.store(site.mail()).await.unwrap();
    assert_eq!(site.stored().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_found_again_and_heard() {
    for how in [Stop::Fast, Stop::Immediate] {
        let site = Site::new(Arc::new(Server::with(&[]))).await;
        let kept = site.mail();
        site.store(kept.clone()).await.unwrap();
        site.server.stop(how);
        let told = loop {
            // The first calls may still use connections that were open.
            let error = site.store(site.mail()).await.unwrap_err().to_string();
            if error.contains("no connection to") {
                break error;
            }
        };
        assert!(told.contains("postgres://127.0.0.1:"), "{told}");
        site.server.start();
        site.back().await;
        let loaded = site.session.load(kept.messages[0].id).await.unwrap();
        assert!(loaded.is_some());

        // Others are heard again.
        let other = Postgres::new(&site.url, World::system()).unwrap();
        let other = other.connect().await.unwrap();
        let seen = site.session.changed(0).await.unwrap();
        let hearing = async {
            // Listening begins a pause after the outage.
            while tokio::time::timeout(LOOK_EVERY * LOOKS, site.session.changed(seen))
                .await
                .is_err()
            {
                site.clock.pass(SILENCE_MAX);
                other.store(mail(&World::system()), None).await.unwrap();
            }
        };
        soon(hearing).await;
    }
}
