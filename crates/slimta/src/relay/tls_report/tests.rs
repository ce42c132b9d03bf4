//! What is counted goes out once the day is over, over restarts and failures.

use std::io::Read as _;
use std::net::IpAddr;
use std::sync::Mutex;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use slimta_core::bus::{self, Server as _};
use slimta_core::policy::Chain;

use super::*;
use crate::message::{Message, Response};
use crate::relay::mta_sts::TextRecords;
use crate::relay::resolver::{Answer, Exchanger, Resolver};
use crate::relay::{LookupError, Tls};
use crate::world::Timestamp;

/// 2026-11-24, an hour before midnight (UTC).
const EVENING: Timestamp = Timestamp::from_secs(1_795_561_200);

/// A DNS that knows who wants reports.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<Option<Vec<String>>>>);

impl Names {
    fn say(&self, record: Option<&str>) {
        *self.0.lock().unwrap() = record.map(|record| vec![record.to_owned()]);
    }
}

#[async_trait]
impl TextRecords for Names {
    async fn texts(&self, name: &str) -> Result<Vec<String>, LookupError> {
        match name {
            "_smtp._tls.d.example" => {
                let texts = self.0.lock().unwrap().clone();
                texts.ok_or_else(|| LookupError::Failed("SERVFAIL".to_owned()))
            }
            _ => Err(LookupError::NoSuchName),
        }
    }
}

#[async_trait]
impl Resolver for Names {
    async fn exchangers(&self, _domain: &str) -> Result<Answer<Exchanger>, LookupError> {
        Err(LookupError::NoSuchName)
    }

    async fn addresses(&self, _host: &str) -> Result<Answer<IpAddr>, LookupError> {
        Err(LookupError::NoSuchName)
    }
}

struct Scene {
    world: World,
    names: Names,
    sender: Arc<ReportSender>,
    queue: bus::LocalServer<Message, Response>,
}

impl Scene {
    fn new() -> Self {
        let world = World::simulated(EVENING, 1);
        let names = Names::default();
        names.say(Some("v=TLSRPTv1; rua=mailto:reports@d.example"));
        let (queue, client) = bus::local(10);
        let options = ReportOptions {
            hostname: "mx.us.example".to_owned(),
            contact: "tls@us.example".parse().unwrap(),
            organization: "Us \u{26}\u{fc}".to_owned(),
        };
        let sender = ReportSender::new(
            options,
            names.clone(),
            names.clone(),
            Tls::default(),
            Chain::new(),
            Arc::new(client),
            world.clone(),
        );
        Scene {
            world,
            names,
            sender: Arc::new(sender),
            queue,
        }
    }

    fn run(&self, reports: &TlsReports) -> tokio::task::JoinHandle<()> {
        let (reports, sender) = (reports.clone(), self.sender.clone());
        tokio::spawn(async move { reports.run(&sender).await })
    }

    /// The next report that comes to the queue, which answers so.
    async fn next(&self, answer: Response) -> Message {
        let (mut messages, reply) = self.queue.accept().await.unwrap().into_parts();
        reply.send(vec![answer]).unwrap();
        messages.pop().unwrap()
    }

    fn hour(&self) -> i64 {
        (self.world.now().as_secs() - EVENING.as_secs()) / 3_600
    }
}

fn stored() -> Response {
    Response::success(0, 0, "Message queued")
}

/// The JSON that a mail carries.
fn json(message: &Message) -> serde_json::Value {
    let body = String::from_utf8(message.content.body_bytes().to_vec()).unwrap();
    let (_, part) = body.split_once("filename=").unwrap();
    let (_, part) = part.split_once("\r\n\r\n").unwrap();
    let (part, _) = part.split_once("\r\n--").unwrap();
    assert!(part.lines().all(|line| line.len() <= 76));
    let packed = STANDARD.decode(part.replace("\r\n", "")).unwrap();
    let mut text = String::new();
    let mut unpacked = flate2::read::GzDecoder::new(packed.as_slice());
    unpacked.read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_day_is_told_by_mail_within_four_hours_after_it() {
    let scene = Scene::new();
    let reports = TlsReports::new(scene.world.clone());
    for domain in ["d.example", "other.example", "d.example"] {
        reports.count(PolicyTold::unknown(domain), None);
    }
    let running = scene.run(&reports);
    let mail = scene.next(stored()).await;
    assert!((1..=5).contains(&scene.hour()), "{}", scene.hour());
    let field = |name: &str| mail.content.field(name).unwrap().value().into_owned();
    assert_eq!(field("From"), "<tls@us.example>");
    assert_eq!(field("To"), "<reports@d.example>");
    assert_eq!(field("TLS-Report-Domain"), "d.example");
    // The domain of the contact, as the report has it.
    assert_eq!(field("TLS-Report-Submitter"), "us.example");
    assert_eq!(field("TLS-Required"), "No");
    assert!(field("Content-Type").starts_with("multipart/report; report-type=\"tlsrpt\";"));
    assert!(field("Subject").starts_with("Report Domain: d.example Submitter: us.example"));
    let body = String::from_utf8(mail.content.body_bytes().to_vec()).unwrap();
    assert!(body.contains("filename=\"us.example!d.example!1795478400!1795564799.json.gz\""));
    assert_eq!(mail.envelope.sender.as_str(), "");
    assert_eq!(
        mail.envelope.recipients[0].address.as_str(),
        "reports@d.example"
    );
    assert!(mail.content.to_vec().is_ascii());
    let told = json(&mail);
    assert_eq!(told["organization-name"], "Us &\u{fc}");
    assert_eq!(told["contact-info"], "tls@us.example");
    assert_eq!(told["date-range"]["start-datetime"], "2026-11-24T00:00:00Z");
    assert_eq!(told["date-range"]["end-datetime"], "2026-11-24T23:59:59Z");
    assert_eq!(told["report-id"], "2026-11-24_d.example@mx.us.example");
    let policy = &told["policies"][0];
    assert_eq!(policy["policy"]["policy-type"], "sts");
    assert_eq!(policy["policy"]["policy-domain"], "d.example");
    assert_eq!(policy["summary"]["total-successful-session-count"], 2);
    assert_eq!(policy["summary"]["total-failure-session-count"], 0);
    // Nothing more is told of that day, nor of a day of which nothing was seen.
    tokio::select! {
        biased;
        () = scene.world.sleep(Duration::from_secs(3 * 86_400)) => {}
        again = scene.next(stored()) => panic!("{again:?}"),
    }
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_told_is_tried_again_and_once_given_up() {
    let scene = Scene::new();
    scene.names.say(None);
    let reports = TlsReports::new(scene.world.clone());
    reports.count(PolicyTold::unknown("d.example"), None);
    let running = scene.run(&reports);
    scene.world.sleep(Duration::from_secs(8 * 3_600)).await;
    scene.names.say(Some(
        "v=TLSRPTv1; rua=mailto:a@d.example,mailto:b@d.example",
    ));
    let to = |mail: Message| mail.envelope.recipients[0].address.to_string();
    assert_eq!(to(scene.next(stored()).await), "a@d.example");
    let busy = Response::transient(3, 2, "The queue is busy");
    assert_eq!(to(scene.next(busy).await), "b@d.example");
    // Who has it gets it no more.
    assert_eq!(to(scene.next(stored()).await), "b@d.example");
    assert!((9..=10).contains(&scene.hour()), "{}", scene.hour());

    scene.names.say(None);
    reports.count(PolicyTold::unknown("d.example"), None);
    scene.world.sleep(Duration::from_secs(4 * 86_400)).await;
    scene.names.say(Some("v=TLSRPTv1; rua=mailto:a@d.example"));
    tokio::select! {
        biased;
        () = scene.world.sleep(Duration::from_secs(86_400)) => {}
        late = scene.next(stored()) => panic!("{late:?}"),
    }
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn counts_outlive_a_restart_and_are_gone_when_they_are_told() {
    let scene = Scene::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("reports");
    let open = || TlsReports::open(&path, scene.world.clone()).unwrap();
    for _ in 0..3 {
        let reports = open();
        reports.count(PolicyTold::unknown("d.example"), None);
        reports.save().await;
    }
    assert!(path.join("2026-11-24.json").exists());
    std::fs::write(path.join("2026-11-20.json"), "garbage").unwrap();
    let reports = open();
    let running = scene.run(&reports);
    let told = json(&scene.next(stored()).await);
    assert_eq!(
        told["policies"][0]["summary"]["total-successful-session-count"],
        3
    );
    scene.world.sleep(Duration::from_secs(120)).await;
    running.abort();
    assert!(!path.join("2026-11-24.json").exists());
}
