//! What happens in the demo, told as it happens: one line an event.

use std::sync::Mutex;
use std::time::Duration;

use slimta_core::message::MessageId;
use slimta_core::queue::Event;
use slimta_core::world::World;

use crate::failure::Failure;
use crate::output;

/// The story so far.
pub(super) struct Story {
    world: World,
    begin: Duration,
    /// A std mutex: held for an addition.
    told: Mutex<Told>,
}

/// How often what happened.
#[derive(Default)]
struct Told {
    stored: u32,
    delivered: u32,
    deferred: u32,
    bounced: u32,
}

impl Story {
    /// Begins now.
    pub(super) fn new(world: World) -> Self {
        Story {
            begin: world.monotonic(),
            world,
            told: Mutex::default(),
        }
    }

    /// Says a line.
    pub(super) fn say(&self, what: &str, about: &str) -> Result<(), Failure> {
        let seconds = (self.world.monotonic().saturating_sub(self.begin)).as_secs_f64();
        output::line(format!("{seconds:6.3} s  {what:<9}  {about}"))
    }

    /// Tells an event.
    pub(super) fn tell(&self, event: &Event) {
        self.count(event);
        let Some((what, about)) = self.words(event) else {
            return;
        };
        // Nobody reads any more: the demo ends by itself soon.
        let _ = self.say(what, &about);
    }

    /// What has happened in all.
    pub(super) fn sum(&self) -> String {
        let told = self
            .told
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        format!(
            "{} messages stored, bounces among them; {} recipients delivered, {} deferred, {} bounced.",
            told.stored, told.delivered, told.deferred, told.bounced
        )
    }

    fn count(&self, event: &Event) {
        let mut told = self
            .told
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::Received { .. } => told.stored += 1,
            Event::Delivered { .. } => told.delivered += 1,
            Event::Deferred { .. } => told.deferred += 1,
            Event::Bounced { .. } | Event::DoubleBounced { .. } => told.bounced += 1,
            _ => {}
        }
    }

    /// What happened, in a word, and the rest of its line.
    fn words(&self, event: &Event) -> Option<(&'static str, String)> {
        Some(match event {
            Event::Received {
                id,
                sender,
                recipients,
                size,
                ..
            } => {
                let recipients = recipients.len();
                let plural = if recipients == 1 { "" } else { "s" };
                let about = format!(
                    "from <{sender}> for {recipients} recipient{plural}, {size} bytes, safe on disk"
                );
                ("stored", line(*id, &about))
            }
            Event::Attempted {
                id,
                destination,
                attempt,
            } => match attempt {
                1 => ("attempted", line(*id, &format!("at {destination}"))),
                _ => (
                    "retried",
                    line(*id, &format!("at {destination}, attempt {attempt}")),
                ),
            },
            _ => return self.outcome(event),
        })
    }

    /// The words for what became of a recipient.
    fn outcome(&self, event: &Event) -> Option<(&'static str, String)> {
        let (what, id, recipient, response, then) = match event {
            Event::Delivered {
                id,
                recipient,
                response,
                ..
            } => ("delivered", id, recipient, response, String::new()),
            Event::Deferred {
                id,
                recipient,
                response,
                due,
                ..
            } => {
                let wait = due.since(self.world.now()).as_secs_f64();
                let then = format!("; again in {wait:.1} s");
                ("deferred", id, recipient, response, then)
            }
            Event::Bounced {
                id,
                recipient,
                response,
                notice,
            } => {
                let then = match notice {
                    Some(notice) => format!("; its sender is told in {}", short(*notice)),
                    None => "; nobody wants a notice".to_owned(),
                };
                ("bounced", id, recipient, response, then)
            }
            Event::DoubleBounced {
                id,
                recipient,
                response,
            } => {
                let then = "; nobody is told".to_owned();
                ("bounced", id, recipient, response, then)
            }
            _ => return None,
        };
        Some((what, line(*id, &format!("<{recipient}>: {response}{then}"))))
    }
}

/// Something about a message.
fn line(id: MessageId, about: &str) -> String {
    format!("{}  {about}", short(id))
}

/// The end of an id, which is the part by which a few of them differ.
fn short(id: MessageId) -> String {
    let text = id.to_string();
    text.get(text.len().saturating_sub(8)..)
        .unwrap_or_default()
        .to_owned()
}
