//! The letters of the demo.

use std::time::Duration;

use slimta_core::message::ReversePath;

use super::story::Story;
use crate::failure::Failure;
use crate::smtp_client::{Connection, Parameters, dot_stuffed};
use crate::values::ServerAddress;

/// A server on this machine that does not answer by then never will.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
const SENDER: &str = "alice@sender.example";

/// One letter.
pub(super) struct Letter {
    subject: &'static str,
    recipients: &'static [&'static str],
}

/// What is sent: one of each fate, and one whose recipients share none.
pub(super) const LETTERS: [Letter; 4] = [
    Letter {
        subject: "A letter that is taken",
        recipients: &["bob@friends.example"],
    },
    Letter {
        subject: "A letter that has to wait",
        recipients: &["later@friends.example"],
    },
    Letter {
        subject: "A letter for nobody",
        recipients: &["nobody@friends.example"],
    },
    Letter {
        subject: "A letter for three",
        recipients: &[
            "carol@club.example",
            "later@club.example",
            "nobody@club.example",
        ],
    },
];

impl Letter {
    /// Hands it to the server, as any mail program does.
    pub(super) async fn send(&self, server: &ServerAddress, story: &Story) -> Result<(), Failure> {
        let failed = |why: String| Failure::Failed(format!("{}: {why}", server.0));
        let to = self.recipients.join(">, <");
        story.say("sends", &format!("{:?} to <{to}>", self.subject))?;
        let mut connection = Connection::open(server, "client.demo.example", ANSWER_WAIT_MAX)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let sender = ReversePath::parse(SENDER).map_err(|error| failed(error.to_string()))?;
        let data = dot_stuffed(self.content().as_bytes());
        let outcome = connection
            .send(
                &sender,
                self.recipients,
                &Parameters::default(),
                &data,
                |_| {},
            )
            .await
            .map_err(|error| failed(error.to_string()))?;
        connection.quit().await;
        match outcome
            .responses
            .iter()
            .find(|response| !response.is_success())
        {
            Some(refused) => Err(failed(format!("the server answered {refused}"))),
            None => Ok(()),
        }
    }

    fn content(&self) -> String {
        let to = self.recipients.join(", ");
        format!(
            "From: {SENDER}\nTo: {to}\nSubject: {}\n\nDear reader,\n\nso far so good.\n",
            self.subject
        )
    }
}
