//! Reads that must cost no more when much is queued: what they say is what
//! counting and looking at every row would say.

use std::sync::Arc;
use std::time::Duration;

use slimta_core::message::Destination;
use slimta_core::storage::{Action, Due, Filter, Page, Session, Storage};
use slimta_core::world::World;

use super::super::Postgres;
use super::server::Server;

const LEASE: Duration = Duration::from_secs(120);

struct Site {
    server: Arc<Server>,
    url: String,
    storage: Postgres,
}

impl Site {
    async fn new() -> Self {
        let server = Server::running();
        let url = server.schema();
        let storage = Postgres::new(&url, World::system()).unwrap();
        storage.connect().await.unwrap();
        Site {
            server,
            url,
            storage,
        }
    }

    async fn session(&self) -> Arc<dyn Session> {
        self.storage.connect().await.unwrap()
    }

    fn sql(&self, statements: &str) -> String {
        self.server.try_sql(&self.url, statements).unwrap()
    }

    /// Queues so many messages, to seven destinations by turns.
    fn fill(&self, messages: usize) {
        self.sql(&format!(
            "DO $$ BEGIN FOR n IN 1..{messages} LOOP
                 PERFORM slimta_enqueue('', ARRAY['a@d' || n % 7 || '.example'], 'x');
             END LOOP; END $$"
        ));
    }

    /// The due destinations as every row says, page by page as the engine says.
    async fn compare_due(&self) {
        let truth = self.sql(
            "SELECT string_agg(destination || ' ' || since, ',' ORDER BY since, destination)
             FROM (SELECT destination, min(due) AS since FROM slimta_messages
                 WHERE due <= extract(epoch FROM now()) * 1000 GROUP BY destination) AS due",
        );
        let session = self.session().await;
        let mut found: Vec<Due> = Vec::new();
        loop {
            let page = session.due_destinations(found.last(), 3).await.unwrap();
            let is_last = page.len() < 3;
            found.extend(page);
            if is_last {
                break;
            }
        }
        let found: Vec<_> = found
            .iter()
            .map(|due| format!("{} {}", due.destination, due.since.as_millis()))
            .collect();
        assert_eq!(found.join(","), truth);
    }

    /// The counts, as kept and as counted.
    async fn compare_counts(&self) {
        let stats = self.session().await.stats().await.unwrap();
        let kept = (stats.messages, stats.active, stats.deferred, stats.held);
        let counted = self.sql(
            "SELECT count(*), count(*) FILTER (WHERE leased OR NOT is_held AND attempts = 0),
                 count(*) FILTER (WHERE NOT leased AND NOT is_held AND attempts > 0),
                 count(*) FILTER (WHERE NOT leased AND is_held)
             FROM (SELECT *, coalesce(lease_end, 0) > extract(epoch FROM now()) * 1000 AS leased
                 FROM slimta_messages) AS m",
        );
        let kept = format!("{}|{}|{}|{}", kept.0, kept.1, kept.2, kept.3);
        assert_eq!(kept, counted);
        let bytes = self.sql("SELECT sum(bytes) FROM slimta_submissions");
        assert_eq!(stats.bytes.to_string(), bytes);
    }
}

#[tokio::test]
async fn due_destinations_are_the_same_whether_few_or_many_are_due() {
    let site = Site::new().await;
    site.fill(40);
    site.compare_due().await;
    site.fill(600);
    site.compare_due().await;
    // What waits is not due.
    site.sql("UPDATE slimta_messages SET due = due + 3600000 WHERE destination < 'd5'");
    site.compare_due().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_those_of_all_rows_whoever_changes_them() {
    let site = Site::new().await;
    site.fill(100);
    let working = (0..4).map(async |number| {
        let session = site.session().await;
        let destination = Destination::new(format!("d{number}.example"));
        let leased = session.claim(&destination, 5, LEASE).await.unwrap();
        let filter = Filter {
            destination: Some(destination),
            ..Filter::default()
        };
        let page = Page::first(3 + number);
        let hold = Action::Hold("to see".to_owned());
        session.act(&filter, page, &hold).await.unwrap();
        session.act(&filter, page, &Action::Delete).await.unwrap();
        let _ = session.unlock(&leased[0].lease).await.unwrap();
    });
    futures_util::future::join_all(working).await;
    site.sql(
        "UPDATE slimta_messages SET attempts = 3 WHERE destination IN ('d4.example', 'd2.example')",
    );
    site.compare_counts().await;
    let rows = || site.sql("SELECT count(*) FROM slimta_counts");
    assert_ne!(rows(), "1");
    site.sql("SELECT slimta_add_up()");
    assert_eq!(rows(), "1");
    site.compare_counts().await;
    site.sql("DELETE FROM slimta_messages");
    assert_eq!(site.session().await.stats().await.unwrap().messages, 0);
}

/// What comes together is added up by those who add to it.
#[tokio::test]
async fn changes_of_the_counts_do_not_pile_up() {
    let site = Site::new().await;
    site.fill(3000);
    let rows: usize = site
        .sql("SELECT count(*) FROM slimta_counts")
        .parse()
        .unwrap();
    // Two a message, and one time in a hundred they are added up.
    assert!(rows < 4000, "{rows}");
    site.compare_counts().await;
}
