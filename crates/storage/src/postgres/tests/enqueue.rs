//! Mail from inside an application's transaction.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slimta_core::message::{
    Address, BodyType, Class, Client, Content, Envelope, History, Message, Report, Response,
    ReversePath,
};
use slimta_core::queue::{Direct, Queue};
use slimta_core::relay::{Delivery, Relay};
use slimta_core::storage::{Filter, Page, Session, Storage};
use slimta_core::world::{Timestamp, World};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;

use super::super::migrate::VERSION;
use super::super::{EnqueueError, Postgres, enqueue};
use super::server::Server;

/// The longest wait for what must come, on a busy machine. It is less than the
/// half minute after which a manager looks without being woken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A database with a queue's tables, which an application uses, too.
struct Site {
    server: Arc<Server>,
    url: String,
    storage: Arc<dyn Storage>,
}

impl Site {
    async fn new() -> Self {
        let server = Server::running();
        let url = server.schema();
        let storage = Arc::new(Postgres::new(&url, World::system()).unwrap());
        let site = Site {
            server,
            url,
            storage,
        };
        site.session().await;
        site.sql("CREATE TABLE orders (item text)").unwrap();
        site
    }

    async fn session(&self) -> Arc<dyn Session> {
        self.storage.connect().await.unwrap()
    }

    fn sql(&self, statements: &str) -> Result<String, String> {
        self.server.try_sql(&self.url, statements)
    }

    async fn application(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn stored(&self) -> usize {
        let page = Page {
            after: None,
            limit: 100,
        };
        let session = self.session().await;
        let listing = session.list(&Filter::default(), page).await.unwrap();
        assert_eq!(listing.unreadable, []);
        listing.messages.len()
    }

    /// Runs a manager, which has done its first work; gives what it hands on.
    async fn manager(&self) -> Manager {
        let (arrived, arrivals) = unbounded_channel();
        let relay = Arc::new(Direct(Listening(arrived)));
        let queue = Queue::new(None, Some(relay), self.storage.clone());
        let running = tokio::spawn(async move {
            queue.run(std::future::pending()).await.unwrap();
        });
        let mut manager = Manager { running, arrivals };
        let first = "SELECT slimta_enqueue('', ARRAY['first@example.org'], 'x')";
        self.application().await.simple_query(first).await.unwrap();
        manager.next().await;
        manager
    }
}

struct Manager {
    running: JoinHandle<()>,
    arrivals: UnboundedReceiver<Delivery>,
}

impl Manager {
    async fn next(&mut self) -> Delivery {
        let waiting = tokio::time::timeout(PATIENCE, self.arrivals.recv());
        waiting.await.unwrap().unwrap()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// A relay that takes all mail and tells of it.
struct Listening(UnboundedSender<Delivery>);

#[async_trait]
impl Relay for Listening {
    async fn attempt(&self, delivery: Delivery) -> Report {
        let recipients = delivery.message.envelope.recipients.len();
        let _ = self.0.send(delivery);
        Report::all(Response::success(0, 0, "Taken"), recipients)
    }
}

fn message(recipients: &[&str]) -> Message {
    let sender = ReversePath::parse("shop@example.com").unwrap();
    let recipients = recipients.iter().map(|text| text.parse().unwrap());
    Message::new(
        Client::default(),
        Envelope::new(sender, recipients),
        Content::new("Subject: Your order\r\n\r\nThank you.\r\n"),
        Timestamp::EPOCH,
    )
}

#[tokio::test]
async fn what_is_committed_is_sent_at_once_and_what_is_rolled_back_never_was() {
    let site = Site::new().await;
    let mut manager = site.manager().await;
    let mut application = site.application().await;

    let mut transaction = application.transaction().await.unwrap();
    transaction
        .execute("INSERT INTO orders VALUES ('rolled back')", &[])
        .await
        .unwrap();
    enqueue(&mut transaction, message(&["lost@example.org"]))
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    let mut transaction = application.transaction().await.unwrap();
    transaction
        .execute("INSERT INTO orders VALUES ('committed')", &[])
        .await
        .unwrap();
    let recipients = ["a@Example.ORG", "b@example.net", "c@example.org"];
    let id = enqueue(&mut transaction, message(&recipients))
        .await
        .unwrap();
    assert!(manager.arrivals.try_recv().is_err(), "before the commit");
    transaction.commit().await.unwrap();

    let mut arrived = [manager.next().await, manager.next().await];
    arrived.sort_by_key(|delivery| delivery.message.destination.clone());
    let [net, org] = &arrived;
    assert_eq!(org.message.id, id);
    assert_eq!(org.message.submission, net.message.submission);
    assert_eq!(net.message.destination.as_str(), "example.net");
    assert_eq!(org.message.envelope.recipients.len(), 2);
    assert_eq!(org.content, message(&[]).content);
    assert_eq!(site.sql("SELECT item FROM orders").unwrap(), "committed");
    assert!(manager.arrivals.try_recv().is_err(), "no mail but this");
}

#[cfg(feature = "sqlx")]
#[tokio::test]
async fn sqlx_sends_mail_with_the_commit() {
    use sqlx_core::connection::Connection as _;
    let site = Site::new().await;
    let mut manager = site.manager().await;
    let mut application = sqlx_postgres::PgConnection::connect(&site.url)
        .await
        .unwrap();
    let mut transaction = application.begin().await.unwrap();
    let lost = super::super::sqlx::enqueue(&mut transaction, message(&["lost@example.org"]));
    lost.await.unwrap();
    transaction.rollback().await.unwrap();
    let mut transaction = application.begin().await.unwrap();
    let sent = super::super::sqlx::enqueue(&mut transaction, message(&["kept@example.org"]));
    let id = sent.await.unwrap();
    transaction.commit().await.unwrap();
    let delivery = manager.next().await;
    assert_eq!(delivery.message.id, id);
    assert_eq!(delivery.content, message(&[]).content);
}

#[tokio::test]
async fn what_cannot_be_queued_leaves_the_transaction_usable() {
    let site = Site::new().await;
    let mut application = site.application().await;
    let mut transaction = application.transaction().await.unwrap();
    for recipients in [[].as_slice(), &["postmaster"]] {
        let refused = enqueue(&mut transaction, message(recipients)).await;
        assert!(matches!(refused, Err(EnqueueError::Invalid(_))));
    }
    transaction
        .execute("UPDATE slimta_version SET version = 99", &[])
        .await
        .unwrap();
    let refused = enqueue(&mut transaction, message(&["a@b.example"])).await;
    assert!(matches!(refused, Err(EnqueueError::Version { found: 99 })));
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn plain_sql_sends_mail_with_the_commit() {
    let site = Site::new().await;
    let mut manager = site.manager().await;
    let call = "SELECT slimta_enqueue('shop@example.com', ARRAY['grå@a.example', 'b@B.example',
        'c@a.example'], 'Subject: Grüße' || E'\n\nThank\nyou.\r\n')";
    let application = site.application().await;
    let run = async |statements: String| application.simple_query(&statements).await.unwrap();
    run(format!("BEGIN; {call}; ROLLBACK")).await;
    let order = "INSERT INTO orders VALUES ('a book')";
    run(format!("BEGIN; {order}; {call}; COMMIT")).await;

    let mut arrived = [manager.next().await, manager.next().await];
    arrived.sort_by_key(|delivery| delivery.message.destination.clone());
    let [a, b] = &arrived;
    let first = a.message.submission;
    assert!([a, b].iter().any(|delivery| delivery.message.id == first));
    assert_eq!(first.as_bytes()[6] >> 4, 7, "a UUID of version 7");
    let envelope = &a.message.envelope;
    let to: Vec<_> = envelope
        .recipients
        .iter()
        .map(|r| r.address.as_str())
        .collect();
    assert_eq!(to, ["grå@a.example", "c@a.example"]);
    assert_eq!(envelope.sender.as_str(), "shop@example.com");
    assert!(envelope.smtputf8);
    assert_eq!(envelope.body, BodyType::EightBitMime);
    assert_eq!(b.message.destination.as_str(), "b.example");
    let text = "Subject: Grüße\r\n\r\nThank\r\nyou.\r\n";
    assert_eq!(a.content, Content::new(text));
    assert_eq!(a.message.size, text.len() as u64);
    assert!(manager.arrivals.try_recv().is_err(), "no mail but this");
}

#[tokio::test]
async fn large_and_binary_contents_from_sql_arrive_whole() {
    let site = Site::new().await;
    let body: Vec<u8> = (0..200_000_u32)
        .map(|i| (i % 255 + 1) as u8)
        .filter(|byte| !b"\r\n".contains(byte))
        .collect();
    let content = [b"A: b\r\n\r\n", body.as_slice(), b"\r\n"].concat();
    let mut manager = site.manager().await;
    let application = site.application().await;
    let call = "SELECT slimta_enqueue(NULL, ARRAY['a@b.example'], $1::bytea)";
    application.execute(call, &[&content]).await.unwrap();
    let delivery = manager.next().await;
    assert!(delivery.message.envelope.sender.is_null());
    assert!(delivery.content == Content::new(content));
}

#[tokio::test]
async fn a_message_from_sql_is_deferred_like_any_other() {
    let site = Site::new().await;
    let call = "SELECT slimta_enqueue('a@b.example', ARRAY['c@d.example'], 'A: b')";
    let id = site.sql(call).unwrap().parse().unwrap();
    let session = site.session().await;
    let leased = session.lock(id, PATIENCE).await.unwrap().unwrap();
    let response = Response::new(450, None, "Later");
    assert_eq!(response.class(), Class::Transient);
    let settlement = slimta_core::storage::Settlement {
        lease: leased.lease,
        change: slimta_core::storage::Change::Defer(slimta_core::storage::Deferral {
            recipients: leased.message.envelope.recipients.clone(),
            attempts: 1,
            due: Timestamp::EPOCH,
            response: response.clone(),
            delay_told: false,
            history: History::default(),
        }),
        notices: Vec::new(),
    };
    let settled = session.settle(&[settlement]).await.unwrap();
    assert_eq!(settled, [Ok(slimta_core::storage::Settled::Done)]);
    let loaded = session.load(id).await.unwrap().unwrap().message;
    assert_eq!(loaded.last_response, Some(response));
    assert_eq!(loaded.envelope, leased.message.envelope);
    let content = session.contents(id).await.unwrap().unwrap();
    assert_eq!(content, Content::new("A: b"));
}

#[tokio::test]
async fn sql_is_told_what_is_wrong_with_its_arguments() {
    let site = Site::new().await;
    let cases = [
        ("'a@b'", "ARRAY[]::text[]", "'x'", "there are no recipients"),
        ("'a@b'", "NULL", "'x'", "there are no recipients"),
        ("'a@b'", "ARRAY['a@b', NULL]", "'x'", "recipient 2 is empty"),
        (
            "'a b@c'",
            "ARRAY['a@b']",
            "'x'",
            "the sender has a local-part that is not valid",
        ),
        ("'A <a@b>'", "ARRAY['a@b']", "'x'", "without a display name"),
        (
            "'a@b'",
            "ARRAY['nobody']",
            "'x'",
            "recipient 1 has no domain: \"nobody\"",
        ),
        (
            "'a@b'",
            "ARRAY[E'a@b\\r\\nRCPT TO:<c@d>']",
            "'x'",
            "recipient 1 has a local-part",
        ),
        ("'a@b'", "ARRAY['a@b']", "''", "there are no contents"),
        (
            "'a@b'",
            "ARRAY['a@b']",
            "NULL::text",
            "there are no contents",
        ),
        (
            "'a@b'",
            "ARRAY['a@b']",
            "'a\nb'::bytea",
            "Lines end with CR LF",
        ),
        (
            "'a@b'",
            "ARRAY['a@b']",
            "E'a\\rb'",
            "a CR or LF that does not belong",
        ),
        (
            "'a@b'",
            "ARRAY['a@b']",
            "'a\\000b'::bytea",
            "the contents have a NUL",
        ),
    ];
    for (sender, recipients, content, complaint) in cases {
        let call = format!("SELECT slimta_enqueue({sender}, {recipients}, {content})");
        let error = site.sql(&call).unwrap_err();
        assert!(error.contains(complaint), "{call}: {error}");
    }
    assert_eq!(site.stored().await, 0);
}

/// What SQL takes can be read, and what it refuses is wrong, or of the two kinds
/// that only the library takes.
#[tokio::test]
async fn sql_and_the_library_agree_on_addresses() {
    let site = Site::new().await;
    let application = site.application().await;
    let longest = format!("{}@{}.example", "a".repeat(256), "b".repeat(63));
    let label = format!("a@{}.example", "b".repeat(64));
    let local = format!("{}@example.com", "a".repeat(257));
    let domain = format!("a@{}example", "b.".repeat(125));
    let texts = [
        "a@b",
        "User.Name+tag@Example.COM",
        "\"quoted @ \\\" local\"@example.com",
        "\"\"@example.com",
        "\"a@b\"@c.d",
        "!#$%&'*+-/=?^_`{|}~@a_b.c-d",
        "grå@exämple.org",
        "x@[192.0.2.1]",
        "PostMaster",
        "nobody",
        "@b",
        "a..b@c",
        ".a@b",
        "a.@b",
        "a b@c",
        "a\r\nb@c",
        "\"a\u{1}\"@c",
        "\"a\\\"@c",
        "\"@c",
        "a@",
        "a@b.",
        "a@.b",
        "a@b..c",
        "a@-b",
        "a@b-",
        "a@b-.c",
        "a@b c",
        "a@b\r\n",
        "a@b\n",
        "a@[1.2.3]",
        "(a)@b",
        "a,b@c",
        "a:b@c",
        "a;b@c",
        "<a@b>",
        "a\\b@c",
        "a[b@c",
        "a]b@c",
        "a\u{7f}@b",
        "a\u{85}@b",
        "a\u{2028}@b",
        "a\u{a0}@b",
        "a@b\u{2029}",
        "a@\u{9f}",
        "a@b\u{e9}",
        "a@b!c",
        "a@b^c",
        "a@b`c",
        "a@b/c",
        "a@b:c",
        "\"a\"b@c",
        "a\"b\"@c",
        "\"a\\é\"@c",
        "\"é\"@c",
        &longest,
        &label,
        &local,
        &domain,
    ];
    for text in texts {
        let call = "SELECT slimta_check_address('it', $1)";
        let taken = application.execute(call, &[&text]).await.is_ok();
        let is_address = Address::parse(text).is_ok();
        let is_left_out = text.contains('[') || !text.contains('@');
        assert_eq!(taken, is_address && !is_left_out, "{text:?}");
    }
}

#[tokio::test]
async fn who_may_call_the_function_is_granted_and_its_tables_stay_its_own() {
    let site = Site::new().await;
    let schema = site.url.rsplit('D').next().unwrap();
    let role = format!("app_{schema}");
    site.sql(&format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role}"
    ))
    .unwrap();
    let url = site.server.url().replace("slimta@", &format!("{role}@"));
    let call = format!("SELECT {schema}.slimta_enqueue('', ARRAY['a@b.example'], 'x')");
    let refused = site.server.try_sql(&url, &call).unwrap_err();
    assert!(refused.contains("permission denied"), "{refused}");
    site.sql(&format!(
        "GRANT EXECUTE ON FUNCTION slimta_enqueue(text, text[], text) TO {role}"
    ))
    .unwrap();
    // A table of the caller's own is not taken for ours.
    let decoy = "CREATE TEMP TABLE slimta_messages (id uuid)";
    site.server
        .try_sql(&url, &format!("{decoy}; {call}"))
        .unwrap();
    assert_eq!(site.stored().await, 1);
    site.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .unwrap();
}

/// Tables of version 1 with mail in them are brought up to date.
#[tokio::test]
async fn tables_of_the_first_version_are_brought_up_to_date() {
    let server = Server::running();
    let url = server.schema();
    let first = include_str!("../schema/1.sql");
    let begin = "CREATE TABLE slimta_version (version integer NOT NULL);
        INSERT INTO slimta_version VALUES (1);";
    server.try_sql(&url, &format!("{begin} {first}")).unwrap();
    let storage = Postgres::new(&url, World::system()).unwrap();
    storage.connect().await.unwrap();
    let asked = "SELECT version FROM slimta_version";
    assert_eq!(server.try_sql(&url, asked).unwrap(), VERSION.to_string());
    let again = Postgres::new(&url, World::system()).unwrap();
    assert!(again.connect().await.is_ok());
}
