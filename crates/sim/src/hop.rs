//! The relay of one manager: the real one over the simulated network, watched
//! from both sides, with a bug of its own now and then.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slimta::relay::{Connector, Endpoint, SmtpRelay, Stream};
use slimta_core::message::{Report, Response};
use slimta_core::relay::{Delivery, Relay};
use slimta_oracle::Window;

use crate::books::Books;
use crate::flaky::Weather;
use crate::host::Host;
use crate::mail::{body, keys};
use crate::nature::{Hops, Nature, NextHop};
use crate::wire::{self, ATTEMPT};

/// The ways from one manager to all next hops.
pub(crate) struct Hop {
    pub(crate) manager: usize,
    pub(crate) weather: Arc<Weather>,
    pub(crate) books: Books,
    /// One a destination.
    relays: BTreeMap<&'static str, SmtpRelay>,
}

impl Hop {
    pub(crate) fn new(
        manager: usize,
        weather: Arc<Weather>,
        books: Books,
        hops: &Arc<Hops>,
    ) -> Self {
        let relay = |hop: NextHop| {
            let world = weather.chance.0.clone();
            let name = hop.name;
            let network = Network {
                hop,
                weather: weather.clone(),
                books: books.clone(),
            };
            let relay = SmtpRelay::new("192.0.2.1", 25, "manager.example", world);
            (name, relay.with_connector(network))
        };
        Hop {
            manager,
            relays: hops.seen(&weather).into_iter().map(relay).collect(),
            weather,
            books,
        }
    }

    /// Nothing comes early, and everything comes as it was sent.
    fn look(&self, delivery: &Delivery) {
        let message = &delivery.message;
        let envelope = &message.envelope;
        let of = |recipient| keys(&delivery.content, envelope, recipient);
        let keys: Vec<_> = envelope.recipients.iter().flat_map(of).collect();
        let Some((number, _)) = keys.first() else {
            return self.books.fault(format!("{} speaks of nobody", message.id));
        };
        let is_early = message.due > self.weather.chance.0.now();
        let body = body(*number);
        let is_altered =
            !envelope.sender.is_null() && !delivery.content.to_vec().ends_with(body.as_bytes());
        for key in &keys {
            if is_early {
                self.books.comes_early(key, "attempted before it was due");
            }
            if is_altered {
                self.books.is_altered(key);
            }
        }
    }

    /// What a relay that is not ours might do with its report.
    fn meddle(&self, delivery: &Delivery, report: &mut Report) {
        let chance = &self.weather.chance;
        let draw = chance.below(200);
        if self.weather.is_calm() || draw > 2 {
            return;
        }
        let id = delivery.message.id;
        self.books
            .loses_track(self.manager, Some(id), Window::ReplyLost);
        self.books
            .tell_fault(format!("the relay spoils its report on {id} ({draw})"));
        match draw {
            0 => drop(report.responses.pop()),
            1 => {
                let more = Response::new(250, None, "for nobody");
                report.responses.extend([more.clone(), more]);
            }
            _ => std::panic::resume_unwind(Box::new("the simulated relay has a bug")),
        }
    }
}

#[async_trait]
impl Relay for Hop {
    async fn attempt(&self, delivery: Delivery) -> Report {
        let attempting = self
            .books
            .attempt(self.manager, delivery.message.id, &delivery.lease);
        self.look(&delivery);
        let recipients = &delivery.message.envelope.recipients;
        let destination = delivery.message.destination.next_hop();
        let Some(relay) = self.relays.get(destination) else {
            self.books.fault(format!("nobody is at {destination}"));
            let nowhere = Response::transient(4, 1, "nobody is there");
            return Report::all(nowhere, recipients.len());
        };
        let relaying = relay.attempt(delivery.clone());
        let mut report = ATTEMPT.scope(attempting.number, relaying).await;
        attempting.compare(recipients, &report);
        self.meddle(&delivery, &mut report);
        report
    }
}

/// The way from one manager to one next hop.
struct Network {
    hop: NextHop,
    weather: Arc<Weather>,
    books: Books,
}

#[async_trait]
impl Connector for Network {
    async fn connect(&self, _: &Endpoint, _: Option<IpAddr>) -> io::Result<Box<dyn Stream>> {
        let chance = &self.weather.chance;
        chance
            .0
            .sleep(chance.time(Duration::from_millis(100)))
            .await;
        match (self.hop.nature(), chance.below(100)) {
            (Nature::Dead, _) => return Err(io::ErrorKind::ConnectionRefused.into()),
            (Nature::BlackHole, _) => std::future::pending().await,
            _ if self.weather.is_calm() => {}
            (_, 0..4) => return Err(io::ErrorKind::ConnectionRefused.into()),
            (_, 4..6) => std::future::pending().await,
            _ => {}
        }
        let (near, stream, line) = wire::connect(&self.weather, &self.books);
        let host = Host {
            stream,
            hop: self.hop.clone(),
            line,
            weather: self.weather.clone(),
            books: self.books.clone(),
            is_liar: false,
        };
        tokio::spawn(host.run());
        Ok(Box::new(near))
    }
}
