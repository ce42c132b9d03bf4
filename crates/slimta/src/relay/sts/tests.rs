//! When policies are fetched, and how long they are good.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;

/// A domain of which a test says what it shows.
#[derive(Default)]
struct Domain {
    /// What the DNS says; none if it does not answer.
    texts: Mutex<Option<Vec<String>>>,
    /// What the web shows; nothing for no answer at all.
    policy: Mutex<Option<Policy>>,
    lookups: AtomicUsize,
    fetches: AtomicUsize,
}

#[derive(Clone, Default)]
struct Shown(Arc<Domain>);

#[async_trait]
impl TextRecords for Shown {
    async fn texts(&self, name: &str) -> Result<Vec<String>, LookupError> {
        self.0.lookups.fetch_add(1, Ordering::Relaxed);
        assert_eq!(name, "_mta-sts.d.example");
        let texts = self.0.texts.lock().unwrap().clone();
        match texts {
            Some(texts) if texts.is_empty() => Err(LookupError::NoRecords),
            Some(texts) => Ok(texts),
            None => Err(LookupError::Failed("SERVFAIL".to_owned())),
        }
    }
}

#[async_trait]
impl PolicySource for Shown {
    async fn fetch(&self, domain: &str) -> Result<Policy, FetchError> {
        self.0.fetches.fetch_add(1, Ordering::Relaxed);
        assert_eq!(domain, "d.example");
        let policy = self.0.policy.lock().unwrap().clone();
        match policy {
            Some(policy) => Ok(policy),
            None => std::future::pending().await,
        }
    }
}

impl Shown {
    fn id(&self, id: &str) {
        *self.0.texts.lock().unwrap() = Some(vec![format!("v=STSv1; id={id};")]);
    }

    fn texts(&self, texts: Option<Vec<String>>) {
        *self.0.texts.lock().unwrap() = texts;
    }

    fn policy(&self, mode: &str, max_age: u64) {
        let text = format!("version: STSv1\nmode: {mode}\nmx: a.example\nmax_age: {max_age}");
        *self.0.policy.lock().unwrap() = Some(Policy::parse(text.as_bytes()).unwrap());
    }

    fn nothing(&self) {
        *self.0.policy.lock().unwrap() = None;
    }

    fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::Relaxed)
    }
}

fn finder(shown: &Shown) -> MtaSts {
    let world = World::simulated(Timestamp::from_secs(1_800_000_000), 1);
    MtaSts::new(shown.clone(), shown.clone(), world)
}

async fn mode(finder: &MtaSts) -> Option<Mode> {
    finder.find("D.example").await.map(|kept| kept.mode())
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_fetched_once_and_anew_when_its_id_changes() {
    let shown = Shown::default();
    shown.id("1");
    shown.policy("enforce", 86_400);
    let finder = finder(&shown);
    for _ in 0..3 {
        assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    }
    assert_eq!(shown.fetches(), 1);
    shown.policy("none", 86_400);
    assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    shown.id("2");
    assert_eq!(mode(&finder).await, Some(Mode::None));
    assert_eq!(shown.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_domain_without_record_is_not_asked() {
    let shown = Shown::default();
    shown.policy("enforce", 86_400);
    let finder = finder(&shown);
    for texts in [vec![], vec!["v=spf1 -all".to_owned()]] {
        shown.texts(Some(texts));
        assert_eq!(mode(&finder).await, None);
    }
    assert_eq!(
        finder.find("not a host").await.map(|kept| kept.mode()),
        None
    );
    assert_eq!(shown.fetches(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_policy_holds_to_its_end_whatever_fails_meanwhile() {
    let shown = Shown::default();
    shown.id("1");
    shown.policy("enforce", 10_000);
    let finder = finder(&shown);
    assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    // The record is gone, the DNS is silent, the next policy does not come.
    shown.texts(Some(Vec::new()));
    assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    shown.texts(None);
    assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    pass(400).await;
    shown.nothing();
    shown.id("2");
    assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    assert_eq!(shown.fetches(), 2);
    shown.texts(Some(Vec::new()));
    pass(10_000 - 400 - 60 - 1).await;
    assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    pass(100).await;
    assert_eq!(mode(&finder).await, None);
}

#[tokio::test(start_paused = true)]
async fn who_fails_is_left_alone_for_a_while() {
    let shown = Shown::default();
    shown.id("1");
    let finder = finder(&shown);
    for _ in 0..3 {
        assert_eq!(mode(&finder).await, None);
    }
    assert_eq!(shown.fetches(), 1);
    shown.policy("enforce", 86_400);
    assert_eq!(mode(&finder).await, None);
    pass(301).await;
    assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    // So is a DNS that does not answer.
    shown.texts(None);
    let before = shown.0.lookups.load(Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    }
    assert_eq!(shown.0.lookups.load(Ordering::Relaxed), before + 1);
}

#[tokio::test(start_paused = true)]
async fn all_who_need_a_policy_wait_for_one_that_comes() {
    let shown = Shown::default();
    shown.id("1");
    shown.policy("enforce", 86_400);
    let finder = finder(&shown);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let finder = finder.clone();
        asking.spawn(async move { mode(&finder).await });
    }
    assert!(
        asking
            .join_all()
            .await
            .iter()
            .all(|mode| *mode == Some(Mode::Enforce))
    );
    assert_eq!(shown.fetches(), 1);
    assert!(finder.finder.flights.lock().unwrap().len() <= 1);
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_fetched_again_long_before_it_ends() {
    let shown = Shown::default();
    shown.id("1");
    shown.policy("enforce", 10_000);
    let finder = finder(&shown);
    assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    let fresh = finder.clone();
    let keeping = tokio::spawn(async move { fresh.keep_fresh().await });
    pass(100_000).await;
    // Nobody can be asked any more, and still it holds.
    shown.texts(None);
    pass(4_000).await;
    assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    assert!((15..=25).contains(&shown.fetches()), "{}", shown.fetches());
    pass(10_000).await;
    assert_eq!(mode(&finder).await, None);
    keeping.abort();
}

/// RFC 8461 section 6: who keeps the record of a domain away is told of.
#[tokio::test(start_paused = true)]
async fn a_record_that_is_gone_while_its_policy_holds_is_counted() {
    let shown = Shown::default();
    shown.id("1");
    shown.policy("enforce", 400_000);
    let directory = tempfile::tempdir().unwrap();
    let finder = finder(&shown);
    let world = finder.finder.world.clone();
    let reports = TlsReports::open(directory.path(), world).unwrap();
    let finder = finder.with_reports(reports.clone());
    let counted = async || {
        reports.save().await;
        let files = std::fs::read_dir(directory.path()).unwrap();
        let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        texts
            .filter(|text| text.contains("\"sts-policy-fetch-error\""))
            .count()
    };
    assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    shown.texts(Some(Vec::new()));
    assert_eq!(mode(&finder).await, Some(Mode::Enforce));
    let fresh = finder.clone();
    let keeping = tokio::spawn(async move { fresh.keep_fresh().await });
    pass(86_000).await;
    assert_eq!(counted().await, 0);
    pass(1_000).await;
    assert_eq!(counted().await, 1);
    // A domain that has said that it has no policy any more may take the record away.
    shown.id("2");
    shown.policy("none", 400_000);
    assert_eq!(mode(&finder).await, Some(Mode::None));
    shown.texts(Some(Vec::new()));
    pass(200_000).await;
    assert_eq!(counted().await, 1);
    keeping.abort();
}
