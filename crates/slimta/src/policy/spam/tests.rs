//! What becomes of mail that a filter looks at.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::super::tests::{applied, message};
use super::*;
use crate::world::Timestamp;

/// A filter that says always the same, or never answers.
struct Saying {
    verdict: Option<SpamVerdict>,
    asked: AtomicUsize,
    asked_most: AtomicUsize,
}

/// A question that is being asked.
struct Asked<'a>(&'a Saying);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl SpamScanner for Saying {
    async fn scan(&self, _: &Message) -> Result<SpamVerdict, ScanError> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.asked_most.fetch_max(asked, Ordering::Relaxed);
        let _asked = Asked(self);
        match &self.verdict {
            Some(verdict) => Ok(verdict.clone()),
            None => std::future::pending().await,
        }
    }
}

fn saying(score: Option<f64>) -> Arc<Saying> {
    let tests = ["B_2", "forged\r\nX-Evil: 1", "A"].map(str::to_owned);
    let verdict = score.and_then(|score| SpamVerdict::new(score >= 5.0, score, 5.0, tests.into()));
    Arc::new(Saying {
        verdict,
        asked: AtomicUsize::new(0),
        asked_most: AtomicUsize::new(0),
    })
}

fn scan(scanner: &Arc<Saying>, rules: SpamRules) -> SpamScan {
    let world = World::simulated(Timestamp::EPOCH, 1);
    SpamScan::new(scanner.clone(), rules, world)
}

const MESSAGE: &str = "X-Spam-Flag: NO\r\nx-spam-Report: none\r\nX-Spa: 1\r\n\r\nbody";

#[tokio::test]
async fn what_was_found_stands_on_top_and_what_others_say_is_gone() {
    let spam = scan(&saying(Some(7.25)), SpamRules::default());
    assert_eq!(
        applied(&spam, message(MESSAGE, &[])).await,
        "X-Spam-Flag: YES\r\nX-Spam-Score: 7.2\r\n\
         X-Spam-Status: Yes, score=7.2 required=5.0 tests=B_2, A\r\nX-Spa: 1\r\n\r\nbody"
    );
    let ham = scan(&saying(Some(-0.5)), SpamRules::default());
    let text = applied(&ham, message(MESSAGE, &[])).await;
    assert!(text.starts_with("X-Spam-Flag: NO\r\nX-Spam-Score: -0.5\r\nX-Spam-Status: No, "));
}

#[tokio::test]
async fn what_is_certainly_spam_is_refused() {
    let rules = SpamRules {
        reject_score: Some(10.0),
        ..SpamRules::default()
    };
    let refused = async |score| {
        let scan = scan(&saying(Some(score)), rules);
        let refused = scan.apply(message(MESSAGE, &[])).await;
        refused.err().map(|reply| reply.to_string())
    };
    assert_eq!(refused(9.99).await, None);
    let reply = "550 5.7.1 The message looks like spam";
    assert_eq!(refused(10.0).await.as_deref(), Some(reply));
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_never_answers_costs_its_time_and_no_more() {
    let rules = |on_failure| SpamRules {
        on_failure,
        at_once_max: 2,
        ..SpamRules::default()
    };
    let silent = saying(None);
    let deferring = scan(&silent, rules(OnScanFailure::Defer));
    let all = (0..5).map(|_| deferring.apply(message(MESSAGE, &[])));
    let all = futures_util::future::join_all(all).await;
    for one in all {
        let reply = one.unwrap_err().to_string();
        assert!(reply.starts_with("451 4.3.0"), "{reply}");
    }
    // No more were asked about than may be at once.
    assert_eq!(silent.asked_most.load(Ordering::Relaxed), 2);
    let accepting = scan(&silent, rules(OnScanFailure::Accept));
    let text = applied(&accepting, message(MESSAGE, &[])).await;
    assert_eq!(text, "X-Spa: 1\r\n\r\nbody");
}

#[tokio::test]
async fn a_large_message_is_not_scanned() {
    let rules = SpamRules {
        bytes_max: 10,
        ..SpamRules::default()
    };
    let filter = saying(Some(50.0));
    let text = applied(&scan(&filter, rules), message(MESSAGE, &[])).await;
    assert_eq!(text, "X-Spa: 1\r\n\r\nbody");
    assert_eq!(filter.asked_most.load(Ordering::Relaxed), 0);
}

#[test]
fn a_url_says_which_filter_and_where() {
    let error = |url: &str| open_scanner(url).err().map(|error| error.to_string());
    for url in [
        "spamd://127.0.0.1",
        "spamd:/run/spamd.sock",
        "rspamd://[::1]:11334",
    ] {
        assert_eq!(error(url), None, "{url}");
    }
    for (url, why) in [
        ("", "no spam filter"),
        ("clamd://127.0.0.1", "no spam filter"),
        ("spamd:", "spamd://127.0.0.1"),
        ("spamd://", "spamd://127.0.0.1"),
        ("spamd://h:0", "spamd://127.0.0.1"),
        ("rspamd:run/sock", "rspamd:/run/rspamd.sock"),
        ("spamd:/a\0b", "socket"),
    ] {
        let error = error(url).unwrap_or_default();
        assert!(error.contains(why), "{url}: {error}");
    }
}

proptest! {
    /// Whatever a filter answers, there is no verdict or one whose fields can stand
    /// in a message.
    #[test]
    fn any_answer_is_a_verdict_or_none(
        front in "(SPAMD/1.1 0 EX_OK|HTTP/1.1 200 OK|[ -~]{0,9})(\r\n|\n)?",
        fields in "(Spam: (True|False) ; [0-9.einfa-]{1,6} / [0-9.]{1,4}|[ -~]{0,9})?(\r\n){0,2}",
        rest in prop_oneof![
            any::<String>(),
            "[{]\"score\":[0-9e.-]{1,4},\"required_score\":[0-9]{1,3},\"action\":\"(reject|no action)\",\
             \"symbols\":[{]\"[^\"\\\\]{0,9}\":[{][}][}][}]",
        ],
    ) {
        let answer = [front, fields, rest].concat();
        for verdict in [spamd::verdict(&answer), rspamd::verdict(&answer)].into_iter().flatten() {
            let mut content = Content::new("A: 1\r\n\r\n");
            mark(&mut content, &verdict).unwrap();
            let text = String::from_utf8(content.to_vec()).unwrap();
            prop_assert_eq!(content.fields().count(), 4, "{}", text);
        }
    }
}
