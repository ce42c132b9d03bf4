//! Messages on their way from a client to the queue, and the answers back.

use std::sync::Arc;

use slimta::bus::{self, BusError};
use slimta::edge::smtp::SmtpEdge;
use slimta::message::{EnhancedCode, Message, Priority, Response};
use slimta::policy::{self, Policy};
use slimta::world::World;

use super::rig::{Client, Listening, Queue, START, edge};

const MESSAGE: &str = "Subject: x\r\n\r\n..text\r\n.\r\n";

#[tokio::test]
async fn a_message_reaches_the_queue_and_the_answer_its_client() {
    let queue = Queue::new();
    let listening = Listening::start(edge(&queue)).await;
    let mut client = listening.client().await;
    client.begin().await;
    client.send(MESSAGE).await;
    assert_eq!(client.reply().await, "250 2.6.0 Message queued as 1\r\n");
    assert_eq!(client.ask("QUIT").await, "221 2.0.0 Bye\r\n");
    assert_eq!(client.rest().await, "");
    listening.stopped().await;
    let requests = queue.requests();
    let [message] = requests[0].as_slice() else {
        panic!("{requests:?}")
    };
    assert_eq!(message.client.protocol, "ESMTP");
    assert_eq!(message.client.ehlo.as_deref(), Some("client.example.com"));
    assert_eq!(message.client.ip, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(message.client.receiver.as_deref(), Some("mail.example.net"));
    assert_eq!(message.envelope.sender.as_str(), "a@example.com");
    assert_eq!(message.envelope.recipients.len(), 1);
    assert_eq!(message.content.to_vec(), b"Subject: x\r\n\r\n.text\r\n");
    assert!(message.timestamp >= START);
}

#[tokio::test]
async fn only_a_client_whose_mail_is_taken_says_what_goes_first() {
    let queue = Queue::new();
    let listening = Listening::start(edge(&queue)).await;
    let mut client = listening.client().await;
    assert!(client.ask("EHLO c").await.contains("MT-PRIORITY MIXER"));
    client.ask("MAIL FROM:<> MT-PRIORITY=4").await;
    client.ask("RCPT TO:<b@example.org>").await;
    client.ask("DATA").await;
    client.send(MESSAGE).await;
    client.reply().await;
    assert_eq!(queue.requests()[0][0].priority, Priority::High);
    drop(client);
    listening.stopped().await;

    let listening = Listening::start(edge(&queue).with_permit(|_| false)).await;
    let mut client = listening.client().await;
    assert!(client.ask("EHLO c").await.contains("MT-PRIORITY MIXER"));
    let lowered = client.ask("MAIL FROM:<> MT-PRIORITY=4").await;
    assert!(lowered.starts_with("250 2.3.6 0 "), "{lowered}");
    drop(client);
    listening.stopped().await;
}

#[tokio::test]
async fn messages_that_are_pipelined_are_answered_in_order() {
    let queue = Queue::new();
    let listening = Listening::start(edge(&queue)).await;
    let mut client = listening.client().await;
    let mail = format!("MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n{MESSAGE}");
    client.send(format!("EHLO c\r\n{mail}{mail}QUIT\r\n")).await;
    client.reply().await;
    let replies = client.rest().await;
    let codes: Vec<&str> = replies.lines().map(|line| &line[..3]).collect();
    let expected = [
        "250", "250", "354", "250", "250", "250", "354", "250", "221",
    ];
    assert_eq!(codes, expected);
    assert!(replies.contains("queued as 1\r\n") && replies.contains("queued as 2\r\n"));
    listening.stopped().await;
    assert_eq!(queue.requests().len(), 2);
}

#[tokio::test]
async fn a_large_message_arrives_as_it_was_sent() {
    let queue = Queue::new();
    let listening = Listening::start(edge(&queue)).await;
    let mut client = listening.client().await;
    client.begin().await;
    let line = format!("{}\r\n", "\u{e5}x".repeat(30));
    let content = line.repeat((20 << 20) / line.len());
    client.send(format!("{content}.\r\n")).await;
    assert_eq!(client.reply().await, "250 2.6.0 Message queued as 1\r\n");
    let requests = queue.requests();
    assert!(requests[0][0].content.to_vec() == content.as_bytes());
    drop(client);
    listening.stopped().await;
}

#[tokio::test]
async fn strangers_may_not_relay() {
    let queue = Queue::new();
    let listening = Listening::start(edge(&queue).with_permit(|_| false)).await;
    let mut client = listening.client().await;
    client.ask("EHLO c").await;
    client.ask("MAIL FROM:<a@example.com>").await;
    for path in [
        "b@example.org",
        "b%example.org@mail.example.net",
        "\"b@example.org\"@mail.example.net",
        "@mail.example.net:b@example.org",
        "b@[127.0.0.1]",
        "postmaster",
    ] {
        let reply = client.ask(&format!("RCPT TO:<{path}>")).await;
        assert_eq!(reply, "550 5.7.1 Relaying denied\r\n", "{path}");
    }
    assert_eq!(
        client.ask("DATA").await,
        "554 5.5.1 No valid recipients\r\n"
    );
    drop(client);
    listening.stopped().await;
    assert!(queue.requests().is_empty());
}

#[tokio::test]
async fn clients_on_this_machine_are_no_strangers() {
    let queue = Queue::new();
    let listening = Listening::start(edge(&queue)).await;
    let mut client = listening.client().await;
    client.begin().await;
    drop(client);
    listening.stopped().await;
}

/// Sends one message and gives the answer to its data.
async fn answer(edge: SmtpEdge) -> String {
    let listening = Listening::start(edge).await;
    let mut client = listening.client().await;
    client.begin().await;
    client.send(MESSAGE).await;
    let reply = client.reply().await;
    drop(client);
    listening.stopped().await;
    reply
}

/// Makes two messages of one.
struct Twice;

#[async_trait::async_trait]
impl Policy for Twice {
    async fn apply(&self, message: Message) -> Result<Vec<Message>, Response> {
        Ok(vec![message.clone(), message])
    }
}

/// Refuses, drops, or breaks.
enum Odd {
    Refusing,
    Dropping,
    Panicking,
}

#[async_trait::async_trait]
impl Policy for Odd {
    async fn apply(&self, _: Message) -> Result<Vec<Message>, Response> {
        match self {
            Odd::Refusing => {
                let code = EnhancedCode::new(5, 7, 1);
                Err(Response::new(554, Some(code), "Not today"))
            }
            Odd::Dropping => Ok(Vec::new()),
            Odd::Panicking => panic!("a policy is a stranger's code"),
        }
    }
}

#[tokio::test]
async fn parts_of_a_message_are_sent_as_one_and_the_first_failure_is_told() {
    let queue = Queue::that(|messages| {
        assert_eq!(messages.len(), 2);
        let full = EnhancedCode::new(4, 3, 1);
        let failed = Response::new(450, Some(full), "Message queuing failed");
        Ok(vec![Response::success(6, 0, "queued"), failed])
    });
    let reply = answer(edge(&queue).with_policy(Twice)).await;
    assert_eq!(reply, "450 4.3.1 Message queuing failed\r\n");
    assert_eq!(queue.requests().len(), 1);
}

#[tokio::test]
async fn a_policy_may_edit() {
    let queue = Queue::new();
    let world = World::simulated(START, 1);
    let policy = policy::standard("mail.example.net", world);
    let reply = answer(edge(&queue).with_policy(policy)).await;
    assert_eq!(reply, "250 2.6.0 Message queued as 1\r\n");
    let content = queue.requests()[0][0].content.to_vec();
    let content = String::from_utf8(content).unwrap();
    let stamp = "Received: from client.example.com (unknown [127.0.0.1])";
    assert!(content.starts_with(stamp), "{content}");
}

#[tokio::test]
async fn a_policy_that_refuses_gives_the_reply() {
    let queue = Queue::new();
    let reply = answer(edge(&queue).with_policy(Odd::Refusing)).await;
    assert_eq!(reply, "554 5.7.1 Not today\r\n");
    let reply = answer(edge(&queue).with_policy(Odd::Dropping)).await;
    assert_eq!(reply, "250 2.0.0 Message accepted\r\n");
    assert!(queue.requests().is_empty());
}

#[tokio::test]
async fn a_policy_that_breaks_takes_only_its_client_along() {
    let queue = Queue::new();
    let listening = Listening::start(edge(&queue).with_policy(Odd::Panicking)).await;
    let (mut other, mut client) = (listening.client().await, listening.client().await);
    client.begin().await;
    client.send(MESSAGE).await;
    assert_eq!(client.rest().await, "");
    assert_eq!(other.ask("NOOP").await, "250 2.0.0 Ok\r\n");
    drop(other);
    listening.stopped().await;
    assert!(queue.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn trouble_with_the_queue_is_a_failure_for_now() {
    let dropped = "451 4.3.0 Error in processing\r\n";
    for (error, reply) in [
        (BusError::Dropped, dropped),
        (
            BusError::WrongCount {
                asked: 1,
                answered: 0,
            },
            dropped,
        ),
        (
            BusError::Closed,
            "451 4.3.2 The queue is not there, try again later\r\n",
        ),
    ] {
        let queue = Queue::that(move |_| Err(error));
        assert_eq!(answer(edge(&queue)).await, reply);
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_never_answers_is_not_waited_for_for_ever() {
    let (_queue_end, edge_end) = bus::local::<Message, Response>(1);
    let edge = SmtpEdge::new(Arc::new(edge_end), World::simulated(START, 1))
        .with_hostname("mail.example.net");
    let busy = "451 4.3.2 The queue is busy, try again later\r\n";
    assert_eq!(answer(edge.clone()).await, busy);
    // The first request still fills the bus.
    assert_eq!(answer(edge).await, busy);
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_end_leaves_nothing() {
    let queue = Queue::new();
    let listening = Listening::start(edge(&queue)).await;
    let mail = "EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n";
    let data = format!("{mail}DATA\r\n{MESSAGE}");
    let chunks = format!("{mail}BDAT 4\r\n12\r\nBDAT 4 LAST\r\n34\r\n");
    for text in [data, chunks] {
        for end in 0..text.len() {
            let mut client = Client::connect(listening.address).await;
            client.send(&text[..end]).await;
        }
    }
    listening.stopped().await;
    assert!(queue.requests().is_empty());
}

#[tokio::test]
async fn a_client_that_hangs_up_after_the_end_has_its_message_kept() {
    let queue = Queue::new();
    let listening = Listening::start(edge(&queue)).await;
    let mut client = listening.client().await;
    client.begin().await;
    client.send(MESSAGE).await;
    drop(client);
    queue.asked.notified().await;
    listening.stopped().await;
    assert_eq!(queue.requests().len(), 1);
}
