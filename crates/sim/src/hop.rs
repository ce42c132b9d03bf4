//! Next hops, good and bad.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slimta_core::message::{Report, Response};
use slimta_core::relay::{Delivery, Relay};

use crate::books::{Books, content, keys};
use crate::flaky::Weather;
use crate::ledger::Window;

/// All next hops, as one manager reaches them.
pub(crate) struct Hop {
    pub(crate) manager: usize,
    pub(crate) weather: Arc<Weather>,
    pub(crate) books: Books,
}

/// How a hop ends what it was asked.
enum Ending {
    /// Says what it did.
    Says,
    /// The connection breaks after the final dot.
    ReplyLost,
    /// Answers for more recipients than there are.
    Babbles,
    /// The relay's code fails.
    Panics,
}

#[async_trait]
impl Relay for Hop {
    async fn attempt(&self, delivery: Delivery) -> Report {
        let _attempting = self.books.attempt(delivery.message.id, &delivery.lease);
        self.look(&delivery);
        if let Some(report) = self.on_the_way(&delivery).await {
            return report;
        }
        let codes = self.codes(&delivery);
        if !delivery.lease.is_alive() {
            return self.says(&vec![421; codes.len()]);
        }
        self.take(&delivery, &codes);
        self.end(&delivery, codes).await
    }
}

impl Hop {
    fn calm(&self) -> bool {
        self.weather.calm.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn says(&self, codes: &[u16]) -> Report {
        let said = |code: &u16| Response::new(*code, None, "said the next hop");
        Report {
            responses: codes.iter().map(said).collect(),
            remote: Some("hop.example".to_owned()),
        }
    }

    /// Nothing comes early, and everything comes as it was sent.
    fn look(&self, delivery: &Delivery) {
        let message = &delivery.message;
        if message.due > self.weather.chance.0.now() {
            self.books
                .fault(format!("{} is attempted before it is due", message.id));
        }
        let number = keys(
            &delivery.content,
            &message.envelope,
            match message.envelope.recipients.first() {
                Some(recipient) => recipient,
                None => {
                    return self
                        .books
                        .fault(format!("{} has no recipients", message.id));
                }
            },
        );
        match number.first() {
            None => self.books.fault(format!("{} speaks of nobody", message.id)),
            Some((number, _))
                if !message.envelope.sender.is_null() && delivery.content != content(*number) =>
            {
                self.books.fault(format!("{} was altered", message.id));
            }
            Some(_) => {}
        }
    }

    /// What happens before the final dot; a report if it ends there.
    async fn on_the_way(&self, delivery: &Delivery) -> Option<Report> {
        let chance = &self.weather.chance;
        chance
            .0
            .sleep(chance.time(Duration::from_millis(500)))
            .await;
        if self.calm() {
            return None;
        }
        let recipients = delivery.message.envelope.recipients.len();
        match chance.below(100) {
            0..5 => Some(self.says(&vec![421; recipients])),
            5..7 => {
                chance.0.sleep(Duration::from_secs(7200)).await;
                Some(self.says(&vec![421; recipients]))
            }
            7..22 => {
                chance.0.sleep(chance.time(Duration::from_secs(300))).await;
                None
            }
            _ => None,
        }
    }

    /// A code for each recipient, or for one too few: that one is not served.
    fn codes(&self, delivery: &Delivery) -> Vec<u16> {
        let envelope = &delivery.message.envelope;
        let code = |_| match self.weather.chance.below(100) {
            _ if self.calm() => 250,
            0..15 => 450,
            // What is refused twice is told to nobody, by design.
            15..30 if !envelope.sender.is_null() => 550,
            _ => 250,
        };
        let mut codes: Vec<u16> = envelope.recipients.iter().map(code).collect();
        if self.weather.chance.permille(30) && !self.calm() {
            codes.pop();
        }
        codes
    }

    fn take(&self, delivery: &Delivery, codes: &[u16]) {
        let (id, envelope) = (delivery.message.id, &delivery.message.envelope);
        let notice = envelope.sender.is_null();
        for (recipient, code) in envelope.recipients.iter().zip(codes) {
            if *code == 250 {
                let keys = keys(&delivery.content, envelope, recipient);
                self.books.takes(self.manager, id, keys, notice);
            }
        }
    }

    async fn end(&self, delivery: &Delivery, mut codes: Vec<u16>) -> Report {
        let chance = &self.weather.chance;
        let ending = match chance.below(100) {
            _ if self.calm() => Ending::Says,
            0..4 => Ending::ReplyLost,
            4..6 => Ending::Babbles,
            6..7 => Ending::Panics,
            _ => Ending::Says,
        };
        let slow = if chance.permille(50) && !self.calm() {
            400_000
        } else {
            500
        };
        chance
            .0
            .sleep(chance.time(Duration::from_millis(slow)))
            .await;
        let lost = |window| {
            self.books
                .loses_track(self.manager, Some(delivery.message.id), window)
        };
        match ending {
            Ending::Says => {}
            Ending::ReplyLost => {
                lost(Window::ReplyLost);
                codes.fill(421);
            }
            Ending::Babbles => {
                lost(Window::ReplyLost);
                codes.extend([250; 2]);
            }
            Ending::Panics => {
                lost(Window::Crash);
                std::panic::resume_unwind(Box::new("the simulated relay has a bug"));
            }
        }
        self.says(&codes)
    }
}
