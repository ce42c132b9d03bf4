//! The relay to a command of this machine, such as maildrop or dovecot-lda.

mod command;
mod input;
mod run;
mod status;

use std::time::Duration;

use async_trait::async_trait;

pub use command::{PipeCommand, PipeCommandError};

use super::{Delivery, Relay};
use crate::message::{Address, OnSuccess, Report, Response};
use crate::world::World;
use status::failed_for_now;

/// How long one run may take.
const RUN_TIME_MAX: Duration = Duration::from_secs(5 * 60);
/// How long after the first another is begun: an attempt that is cut would
/// forget who was delivered.
const BEGIN_TIME_MAX: Duration = Duration::from_secs(10 * 60);

/// Runs a command for each recipient, one after the other, with the message on
/// its standard input. How the command ends is the answer for the recipient.
pub struct PipeRelay {
    command: PipeCommand,
    hostname: String,
    time_max: Duration,
    world: World,
}

impl PipeRelay {
    /// Hands mail to `command`. `hostname` is what this host calls itself.
    pub fn new(command: PipeCommand, hostname: &str, world: World) -> Self {
        PipeRelay {
            command,
            hostname: hostname.to_owned(),
            time_max: RUN_TIME_MAX,
            world,
        }
    }

    /// Sets how long one run may take before it is killed, with all that it has
    /// started. Default 5 minutes.
    #[must_use]
    pub fn with_time_max(mut self, time_max: Duration) -> Self {
        self.time_max = time_max;
        self
    }

    async fn deliver(&self, delivery: &Delivery, recipient: &Address) -> Response {
        let sender = &delivery.message.envelope.sender;
        let arguments = self.command.arguments(sender, recipient, &self.hostname);
        let arguments = match arguments {
            Ok(arguments) => arguments,
            Err(why) => return why,
        };
        let (message, content) = (delivery.message.clone(), delivery.content.clone());
        let to = recipient.clone();
        let writing =
            tokio::task::spawn_blocking(move || input::file(&message.envelope, &to, &content));
        let input = match writing.await {
            Ok(Ok(input)) => input,
            Ok(Err(error)) => {
                let text = format!("The message cannot be written to memory: {error}");
                return failed_for_now(text);
            }
            Err(_) => return failed_for_now("The delivery was cut short"),
        };
        // From here on the command may deliver.
        if !delivery.lease.is_alive() {
            return failed_for_now("The lock on the message ran out");
        }
        let program = self.command.program();
        run::run(program, &arguments, input, &self.world, self.time_max).await
    }
}

#[async_trait]
impl Relay for PipeRelay {
    async fn attempt(&self, delivery: Delivery) -> Report {
        let begin = self.world.monotonic();
        let mut responses = Vec::new();
        for recipient in &delivery.message.envelope.recipients {
            let since = self.world.monotonic().saturating_sub(begin);
            responses.push(if since < BEGIN_TIME_MAX {
                self.deliver(&delivery, &recipient.address).await
            } else {
                failed_for_now("The recipients before took too long")
            });
        }
        Report {
            responses,
            remote: None,
            on_success: OnSuccess::Delivered,
        }
    }
}
