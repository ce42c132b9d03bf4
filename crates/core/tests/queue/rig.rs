//! A queue with everything around it: a memory engine, a bus, and a relay that
//! answers as it is told.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use slimta_core::bus::{self, Client as _};
use slimta_core::message::{
    Address, Client, Content, Envelope, Message, OnSuccess, Report, Response, ReversePath,
    StoredMessage,
};
use slimta_core::queue::{Direct, Event, Queue, Schedule, Work};
use slimta_core::relay::{Delivery, Relay};
use slimta_core::storage::conformance::Between;
use slimta_core::storage::{Memory, Session, State, Storage};
use slimta_core::world::{Timestamp, World};
use tokio::task::JoinHandle;

use crate::trouble::Trouble;

pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// What the relay does with the next delivery.
pub(crate) enum Answer {
    /// A code for each recipient.
    Codes(Vec<u16>),
    /// A code for each recipient, after a while.
    Slow(Duration, Vec<u16>),
    /// Never answers.
    Hang,
    /// Fails as badly as code can.
    Panic,
}

/// Answers as it is told, then 250 for everything; remembers what it was given.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    answers: VecDeque<Answer>,
    absent: BTreeSet<String>,
    deliveries: Vec<Delivery>,
    on_success: OnSuccess,
}

impl Script {
    pub(crate) fn then(&self, answer: Answer) -> &Self {
        self.0.lock().unwrap().answers.push_back(answer);
        self
    }

    /// Nobody can be reached at this destination, whatever else was told.
    pub(crate) fn absent(&self, destination: &str) {
        self.0.lock().unwrap().absent.insert(destination.to_owned());
    }

    pub(crate) fn present(&self, destination: &str) {
        self.0.lock().unwrap().absent.remove(destination);
    }

    /// Who tells of success from now on.
    pub(crate) fn on_success(&self, who: OnSuccess) {
        self.0.lock().unwrap().on_success = who;
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.0.lock().unwrap().deliveries.clone()
    }

    /// How many deliveries were attempted there.
    pub(crate) fn attempts(&self, destination: &str) -> usize {
        let told = self.0.lock().unwrap();
        let deliveries = told.deliveries.iter();
        deliveries
            .filter(|d| d.message.destination.as_str() == destination)
            .count()
    }
}

#[async_trait]
impl Relay for Script {
    async fn attempt(&self, delivery: Delivery) -> Report {
        let recipients = delivery.message.envelope.recipients.len();
        let (answer, on_success) = {
            let mut script = self.0.lock().unwrap();
            let is_absent = script
                .absent
                .contains(delivery.message.destination.as_str());
            script.deliveries.push(delivery);
            if is_absent {
                return Report::all(Response::transient(4, 1, "No answer"), recipients);
            }
            (script.answers.pop_front(), script.on_success)
        };
        let codes = match answer {
            None => vec![250; recipients],
            Some(Answer::Codes(codes)) => codes,
            Some(Answer::Slow(time, codes)) => {
                tokio::time::sleep(time).await;
                codes
            }
            Some(Answer::Hang) => std::future::pending().await,
            Some(Answer::Panic) => panic!("the relay has a bug"),
        };
        Report {
            responses: codes
                .iter()
                .map(|c| Response::new(*c, None, "said the next hop"))
                .collect(),
            remote: Some("mx.example.org".to_owned()),
            on_success,
        }
    }
}

pub(crate) struct Rig {
    pub(crate) world: World,
    pub(crate) storage: Arc<Memory>,
    pub(crate) session: Arc<dyn Session>,
    pub(crate) edge: bus::LocalClient<Message, Response>,
    pub(crate) relay: Script,
    pub(crate) queue: Queue,
    /// What goes wrong between the queue and its storage.
    pub(crate) trouble: Arc<Trouble>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Rig {
    /// A queue that stores and relays.
    pub(crate) async fn new() -> Rig {
        let relay = Script::default();
        Rig::over(Some(Arc::new(Direct(relay.clone()))), relay).await
    }

    /// A queue that tries every hour, for two days, and tells of a delay after
    /// `notice`.
    pub(crate) async fn hourly(notice: Duration) -> Rig {
        let mut rig = Rig::new().await;
        let hourly: Schedule = "1h..;until=2d".parse().unwrap();
        rig.queue = rig
            .queue
            .clone()
            .with_retry_algorithm(hourly)
            .with_delay_notice(Some(notice));
        rig
    }

    /// A queue that only stores.
    pub(crate) async fn store_only() -> Rig {
        Rig::over(None, Script::default()).await
    }

    /// A queue over any relay bus.
    pub(crate) async fn over(
        relay_bus: Option<slimta_core::queue::RelayBus>,
        relay: Script,
    ) -> Rig {
        let world = World::simulated(START, 42);
        let storage = Arc::new(Memory::new(world.clone()));
        let session = storage.connect().await.unwrap();
        let (server, edge) = bus::local(16);
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let seen = events.clone();
        let trouble = Arc::new(Trouble::default());
        let troubled = Between::new(storage.clone(), trouble.clone());
        let queue = Queue::new(Some(Arc::new(server)), relay_bus, Arc::new(troubled))
            .with_world(world.clone())
            .with_hostname("queue.example.net")
            .with_observer(move |event: &Event| seen.lock().unwrap().push(event.clone()));
        Rig {
            world,
            storage,
            session,
            edge,
            relay,
            queue,
            trouble,
            events,
        }
    }

    /// Hands messages to the edge bus and takes the work; gives it with where
    /// the responses will arrive.
    pub(crate) async fn request(
        &self,
        messages: Vec<Message>,
    ) -> (Work, JoinHandle<Result<Vec<Response>, bus::BusError>>) {
        let edge = self.edge.clone();
        let asking = tokio::spawn(async move { edge.send(messages).await });
        (self.queue.accept().await.unwrap(), asking)
    }

    /// Hands one message to the edge bus, runs all of its work, gives the
    /// response.
    pub(crate) async fn enqueue(&self, message: Message) -> Response {
        let (work, asking) = self.request(vec![message]).await;
        work.run().await;
        asking.await.unwrap().unwrap().remove(0)
    }

    /// Runs what is due; false when nothing is.
    pub(crate) async fn retry(&self) -> bool {
        match self.queue.retry().await.unwrap() {
            Some(work) => {
                work.run().await;
                true
            }
            None => false,
        }
    }

    /// All stored messages, in the order of their ids.
    pub(crate) async fn stored(&self) -> Vec<StoredMessage> {
        let pages = self.queue.get_all_messages(&self.session);
        let listed = pages.collect().await.unwrap().messages;
        listed.into_iter().map(|l| l.message).collect()
    }

    /// Whether a lease is held on the only stored message.
    pub(crate) async fn is_leased(&self) -> bool {
        let id = self.stored().await[0].id;
        self.session
            .load(id)
            .await
            .unwrap()
            .unwrap()
            .lease
            .is_some()
    }

    /// Where the stored messages stand.
    pub(crate) async fn states(&self) -> Vec<State> {
        let pages = self.queue.get_all_messages(&self.session);
        let listed = pages.collect().await.unwrap().messages;
        listed
            .iter()
            .map(slimta_core::storage::Listed::state)
            .collect()
    }

    /// The names of all events so far.
    pub(crate) fn events(&self) -> Vec<String> {
        let name = |event: &Event| {
            let text = format!("{event:?}");
            text.split([' ', '{']).next().unwrap().to_owned()
        };
        self.events.lock().unwrap().iter().map(name).collect()
    }
}

/// A message from `sender` (empty: the null reverse-path).
pub(crate) fn message(sender: &str, recipients: &[&str]) -> Message {
    let sender = match sender {
        "" => ReversePath::Null,
        mailbox => ReversePath::Mailbox(mailbox.parse::<Address>().unwrap()),
    };
    let recipients = recipients.iter().map(|r| r.parse::<Address>().unwrap());
    let content = Content::new("Subject: hello\r\n\r\nHello.\r\n".as_bytes().to_vec());
    Message::new(
        Client::default(),
        Envelope::new(sender, recipients),
        content,
        START,
    )
}

/// Always tries again after `delay`.
pub(crate) fn every(
    delay: Duration,
    world: &World,
) -> impl Fn(&StoredMessage, &Response) -> Option<Timestamp> + Send + Sync + 'static {
    let world = world.clone();
    move |_, _| Some(world.now().after(delay))
}
