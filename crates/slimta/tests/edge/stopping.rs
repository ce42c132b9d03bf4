//! What clients see when the edge stops.

use std::sync::Arc;
use std::time::Duration;

use slimta::bus::{self, Server};
use slimta::edge::smtp::{Limits, SmtpEdge};
use slimta::message::{Message, Response};
use slimta::world::World;
use tokio::net::TcpStream;

use super::rig::{Listening, Queue, START, edge};

const GOODBYE: &str = "421 4.3.2 Service shutting down\r\n";

#[tokio::test]
async fn idle_clients_are_sent_away_at_once() {
    let listening = Listening::start(edge(&Queue::new())).await;
    let address = listening.address;
    let (mut fresh, mut greeted) = (listening.client().await, listening.client().await);
    greeted.ask("EHLO c").await;
    greeted.ask("MAIL FROM:<a@b>").await;
    greeted.send("RCPT TO:<half").await;
    let serving = listening.stop();
    assert_eq!(fresh.rest().await, GOODBYE);
    assert_eq!(greeted.rest().await, GOODBYE);
    drop((fresh, greeted));
    serving.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_message_that_is_being_sent_may_be_finished() {
    let queue = Queue::new();
    let listening = Listening::start(edge(&queue)).await;
    let (mut idle, mut client) = (listening.client().await, listening.client().await);
    client.begin().await;
    client.send("Subject: x\r\n").await;
    let serving = listening.stop();
    // Once an idle one is told, the other has been told as well.
    assert_eq!(idle.rest().await, GOODBYE);
    drop(idle);
    client.send("\r\n.\r\nMAIL FROM:<>\r\n").await;
    let replies = format!("250 2.6.0 Message queued as 1\r\n{GOODBYE}");
    assert_eq!(client.rest().await, replies);
    drop(client);
    serving.await.unwrap();
    assert_eq!(queue.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn grace_has_an_end_for_those_who_send() {
    let queue = Queue::new();
    let listening = Listening::start(edge(&queue)).await;
    let mut client = listening.client().await;
    client.begin().await;
    client.send("Subject: x\r\n").await;
    let serving = listening.stop();
    assert_eq!(client.rest().await, GOODBYE);
    serving.await.unwrap();
    assert!(queue.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn grace_has_an_end_for_those_who_wait() {
    let (queue, edge_end) = bus::local::<Message, Response>(1);
    let limits = Limits {
        store_time_max: Duration::from_secs(600),
        ..Limits::default()
    };
    let edge = SmtpEdge::new(Arc::new(edge_end), World::simulated(START, 1))
        .with_hostname("mail.example.net")
        .with_limits(limits);
    let listening = Listening::start(edge).await;
    let mut client = listening.client().await;
    client.begin().await;
    client.send(".\r\n").await;
    let request = queue.accept().await.unwrap();
    let serving = listening.stop();
    assert_eq!(client.rest().await, GOODBYE);
    serving.await.unwrap();
    drop(request);
}

#[tokio::test]
async fn a_message_that_is_being_stored_is_answered() {
    let (queue, edge_end) = bus::local::<Message, Response>(1);
    let edge = SmtpEdge::new(Arc::new(edge_end), World::simulated(START, 1))
        .with_hostname("mail.example.net");
    let listening = Listening::start(edge).await;
    let (mut idle, mut client) = (listening.client().await, listening.client().await);
    client.begin().await;
    client.send(".\r\n").await;
    let (_, reply) = queue.accept().await.unwrap().into_parts();
    let serving = listening.stop();
    assert_eq!(idle.rest().await, GOODBYE);
    reply.send(vec![Response::success(6, 0, "queued")]).unwrap();
    let replies = format!("250 2.6.0 queued\r\n{GOODBYE}");
    assert_eq!(client.rest().await, replies);
    drop((idle, client));
    serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_does_not_keep_the_edge() {
    let listening = Listening::start(edge(&Queue::new())).await;
    let mut client = listening.client().await;
    // More replies than any socket holds: the edge cannot write them all.
    let asking = tokio::spawn(async move {
        client.send("HELP\r\n".repeat(1 << 20)).await;
        client
    });
    listening.stopped().await;
    asking.abort();
}
