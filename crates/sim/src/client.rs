//! Clients that hand mail in by SMTP, over the simulated network, and send again
//! what was not answered.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use slimta::edge::smtp::Limits;
use slimta::relay::SmtpRelay;
use slimta_core::message::{
    Class, Destination, History, MessageId, Priority, Report, StoredMessage,
};
use slimta_core::relay::{Delivery, LeaseSignal, Relay as _};
use slimta_core::world::World;

use crate::books::Books;
use crate::chance::Chance;
use crate::door::{Door, Doors, Way};
use crate::mail::{content, envelope};
use crate::run::START;

/// How often a client tries at most.
const TRIES_MAX: u64 = 3;
/// How long it waits between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// A client, with draws of its own.
pub(crate) struct Client {
    pub(crate) doors: Doors,
    pub(crate) books: Books,
    pub(crate) world: World,
    pub(crate) chance: Chance,
}

impl Client {
    /// Hands a message in at `manager`, and again at any if it does not hear
    /// that it is safe.
    pub(crate) async fn send(self, manager: usize, recipients: Vec<String>) {
        let tries = 1 + self.chance.below(TRIES_MAX);
        let mut door = self.doors.at(manager);
        let (mut open, mut mark) = (recipients, None);
        for _ in 0..tries {
            if let Some(door) = door {
                let number = self.books.copies.begin(mark);
                open = self
                    .hand_in(&door, number, *mark.get_or_insert(number), open)
                    .await;
            }
            if open.is_empty() {
                return;
            }
            self.world.sleep(self.chance.time(PAUSE_MAX)).await;
            let any = usize::try_from(self.chance.below(3)).unwrap_or(0);
            door = self.doors.at(any);
        }
    }

    /// Hands one copy in, and gives those for whom it is to be sent again.
    async fn hand_in(
        &self,
        door: &Arc<Door>,
        number: usize,
        mark: usize,
        recipients: Vec<String>,
    ) -> Vec<String> {
        let began = self.world.monotonic();
        let line = Arc::new(OnceLock::new());
        let way = Way {
            door: door.clone(),
            line: line.clone(),
        };
        let report = self
            .attempt(way, self.delivery(number, mark, &recipients))
            .await;
        let at = self.world.now().since(START).as_secs_f64();
        let heard: Vec<_> = report.responses.iter().map(|r| r.code.get()).collect();
        self.books.tell(format!(
            "{at:>12.3} client of message {mark} hears {heard:?} for copy {number}"
        ));
        let answers = recipients.into_iter().zip(&report.responses);
        let (kept, unanswered): (Vec<_>, Vec<_>) = answers.partition(|(_, r)| r.is_success());
        let kept: Vec<_> = kept.into_iter().map(|(recipient, _)| recipient).collect();
        if !kept.is_empty() {
            self.books.answered(number, &kept);
        } else if line.get().is_some_and(|line| !line.is_bad())
            && !door.is_broken()
            && self.world.monotonic() - began < Limits::default().store_time_max
        {
            self.books.unanswered(number);
        }
        let again = unanswered.into_iter();
        again
            .filter(|(_, response)| response.class() == Class::Transient)
            .map(|(recipient, _)| recipient)
            .collect()
    }

    /// The client is our own relay: it believes nothing but a reply to its
    /// final dot.
    async fn attempt(&self, way: Way, delivery: Delivery) -> Report {
        SmtpRelay::new("192.0.2.2", 25, "client.example", self.world.clone())
            .with_connector(way)
            .attempt(delivery)
            .await
    }

    fn delivery(&self, number: usize, mark: usize, recipients: &[String]) -> Delivery {
        let id = MessageId::new(&self.world);
        let now = self.world.now();
        let content = content(number, mark);
        let stored = StoredMessage {
            id,
            submission: id,
            destination: Destination::new("edge"),
            client: slimta_core::message::Client::default(),
            envelope: envelope(mark, recipients),
            received: now,
            size: content.len() as u64,
            priority: Priority::default(),
            attempts: 0,
            due: now,
            held: None,
            last_response: None,
            delay_told: false,
            history: History::default(),
        };
        Delivery {
            message: Arc::new(stored),
            content,
            now,
            lease: LeaseSignal::unleased(),
        }
    }
}
