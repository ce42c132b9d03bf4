//! A program that looks at each command, between a real client and the queue.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use slimta::edge::smtp::{Limits, SmtpEdge, Validators};
use slimta::message::{Client as Peer, EnhancedCode, Envelope, Message, Recipient, Response};

use super::rig::{Client, Listening, Queue, edge};

const GONE: &str = "451 4.3.0 Error in processing\r\n";

/// Refuses what is called `no`, and with a success what is called `odd`; never
/// answers to what is called `mute`, and notes what it was asked.
#[derive(Clone, Default)]
struct Program {
    asked: Arc<Mutex<Vec<String>>>,
    turns_away: Option<u16>,
}

impl Program {
    async fn judge(&self, command: &str, name: &str) -> Result<(), Response> {
        self.asked.lock().unwrap().push(format!("{command} {name}"));
        if name.contains("mute") {
            std::future::pending::<()>().await;
        }
        if name.contains("odd") {
            return Err(Response::success(1, 5, "Fine"));
        }
        match name.contains("no") || command == "DATA" && name.contains("late") {
            true => Err(Response::new(
                553,
                Some(EnhancedCode::new(5, 7, 27)),
                format!("not {name}"),
            )),
            false => Ok(()),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn names(envelope: &Envelope) -> String {
    let recipients = envelope.recipients.iter().map(|r| r.address.as_str());
    let mut all = vec![envelope.sender.as_str()];
    all.extend(recipients);
    all.join(" ")
}

#[async_trait::async_trait]
impl Validators for Program {
    async fn banner(&self, client: &Peer) -> Result<(), Response> {
        assert!(client.ip.is_some_and(|ip| ip.is_loopback()));
        match self.turns_away {
            Some(code) => Err(Response::new(code, None, "not you")),
            None => Ok(()),
        }
    }

    async fn ehlo(&self, client: &Peer) -> Result<(), Response> {
        self.judge("EHLO", client.ehlo.as_deref().unwrap()).await
    }

    async fn mail(&self, client: &Peer, envelope: &Envelope) -> Result<(), Response> {
        assert!(client.ehlo.is_some());
        self.judge("MAIL", &names(envelope)).await
    }

    async fn rcpt(
        &self,
        _: &Peer,
        envelope: &Envelope,
        recipient: &Recipient,
    ) -> Result<(), Response> {
        let before = names(envelope);
        let name = format!("{before} + {}", recipient.address);
        self.judge("RCPT", &name).await
    }

    async fn data(&self, _: &Peer, envelope: &Envelope) -> Result<(), Response> {
        self.judge("DATA", &names(envelope)).await
    }

    async fn message(&self, message: &Message) -> Result<(), Response> {
        let text = String::from_utf8(message.content.to_vec()).unwrap();
        self.judge("message", text.trim()).await
    }
}

async fn served(program: &Program, queue: &Arc<Queue>) -> (Listening, SmtpEdge) {
    let edge = edge(queue).with_validators(program.clone());
    (Listening::start(edge.clone()).await, edge)
}

#[tokio::test]
async fn each_command_of_a_pipeline_has_its_verdict_in_its_place() {
    let (program, queue) = (Program::default(), Queue::new());
    let (listening, _) = served(&program, &queue).await;
    let mut client = listening.client().await;
    client
        .send(
            "EHLO no.example\r\nMAIL FROM:<early@x>\r\nHELO c.example\r\nMAIL FROM:<no@x>\r\n\
             RCPT TO:<lost@x>\r\nMAIL FROM:<a@x>\r\nRCPT TO:<no@x>\r\nRCPT TO:<b@x>\r\n\
             RCPT TO:<no2@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n",
        )
        .await;
    let mut told = Vec::new();
    while told
        .last()
        .is_none_or(|last: &String| !last.starts_with("354 "))
    {
        told.push(client.reply().await);
    }
    let told: Vec<_> = told.iter().map(|reply| reply.trim_end()).collect();
    assert_eq!(
        told,
        [
            "553 5.7.27 not no.example",
            "503 5.5.1 Send EHLO or HELO first",
            "250 mail.example.net",
            "553 5.7.27 not no@x",
            "503 5.5.1 Send MAIL first",
            "250 2.1.0 Sender ok",
            "553 5.7.27 not a@x + no@x",
            "250 2.1.5 Recipient ok",
            "553 5.7.27 not a@x b@x + no2@x",
            "250 2.1.5 Recipient ok",
            "354 End data with <CR><LF>.<CR><LF>",
        ]
    );
    client.send("fine\r\n.\r\n").await;
    assert!(client.reply().await.starts_with("250 2.6.0 "));
    let asked = program.asked();
    assert_eq!(
        asked[asked.len() - 2..],
        ["DATA a@x b@x c@x", "message fine"]
    );
    let requests = queue.requests();
    assert_eq!(names(&requests[0][0].envelope), "a@x b@x c@x");
    drop(client);
    listening.stopped().await;
}

#[tokio::test]
async fn contents_are_refused_before_they_come_and_behind_them() {
    let (program, queue) = (Program::default(), Queue::new());
    let (listening, _) = served(&program, &queue).await;
    let mut client = listening.client().await;
    client.ask("EHLO c").await;
    client.ask("MAIL FROM:<late@x>").await;
    client.ask("RCPT TO:<b@x>").await;
    assert_eq!(client.ask("DATA").await, "553 5.7.27 not late@x b@x\r\n");
    client.ask("RSET").await;
    client.ask("MAIL FROM:<a@x>").await;
    client.ask("RCPT TO:<b@x>").await;
    assert!(client.ask("DATA").await.starts_with("354 "));
    assert_eq!(
        client.ask("no thanks\r\n.").await,
        "553 5.7.27 not no thanks\r\n"
    );
    assert_eq!(client.ask("DATA").await, "503 5.5.1 Send MAIL first\r\n");
    client
        .send("MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nBDAT 2 LAST\r\nno")
        .await;
    client.reply().await;
    client.reply().await;
    assert!(client.reply().await.starts_with("553 5.7.27 not no"));
    drop(client);
    listening.stopped().await;
    assert!(queue.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_takes_too_long_refuses_for_now() {
    let (program, queue) = (Program::default(), Queue::new());
    let limits = Limits {
        validation_time_max: Duration::from_secs(7),
        ..Limits::default()
    };
    let edge = edge(&queue).with_validators(program).with_limits(limits);
    let listening = Listening::start(edge).await;
    let mut client = listening.client().await;
    assert_eq!(client.ask("EHLO mute.example").await, GONE);
    client.begin().await;
    client.send("mute\r\n.\r\n").await;
    assert_eq!(client.reply().await, GONE);
    client.ask("MAIL FROM:<a@x>").await;
    assert_eq!(client.ask("RCPT TO:<mute@x>").await, GONE);
    assert!(client.ask("RCPT TO:<b@x>").await.starts_with("250 "));
    drop(client);
    listening.stopped().await;
    assert!(queue.requests().is_empty());
}

/// Nobody may hear that something was taken which was not.
#[tokio::test]
async fn a_refusal_with_a_success_is_an_error_for_now() {
    let (program, queue) = (Program::default(), Queue::new());
    let (listening, _) = served(&program, &queue).await;
    let mut client = listening.client().await;
    assert_eq!(client.ask("EHLO odd.example").await, GONE);
    client.begin().await;
    client.send("odd\r\n.\r\n").await;
    assert_eq!(client.reply().await, GONE);
    assert_eq!(client.ask("MAIL FROM:<odd@x>").await, GONE);
    client.ask("MAIL FROM:<a@x>").await;
    assert_eq!(client.ask("RCPT TO:<odd@x>").await, GONE);
    let none = "554 5.5.1 No valid recipients\r\n";
    assert_eq!(client.ask("DATA").await, none);
    drop(client);
    listening.stopped().await;
    assert!(queue.requests().is_empty());
}

#[tokio::test]
async fn who_is_turned_away_hears_why_and_may_quit() {
    let (queue, mut program) = (Queue::new(), Program::default());
    program.turns_away = Some(554);
    let (listening, edge) = served(&program, &queue).await;
    let mut client = Client::connect(listening.address).await;
    assert_eq!(client.reply().await, "554 5.0.0 not you\r\n");
    let only_quit = "503 5.5.1 Nothing but QUIT is done here\r\n";
    for command in ["EHLO c", "MAIL FROM:<a@x>", "NOOP"] {
        assert_eq!(client.ask(command).await, only_quit);
    }
    assert_eq!(client.ask("QUIT").await, "221 2.0.0 Bye\r\n");
    listening.stopped().await;

    program.turns_away = Some(421);
    let listening = Listening::start(edge.with_validators(program)).await;
    let mut client = Client::connect(listening.address).await;
    assert_eq!(client.rest().await, "421 4.0.0 not you\r\n");
    listening.stopped().await;
}
