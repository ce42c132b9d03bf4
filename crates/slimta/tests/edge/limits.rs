//! What a client may not exceed: places, time, memory, patience.

use std::time::Duration;

use slimta::edge::smtp::Limits;
use tokio::time::sleep;

use super::rig::{Client, Listening, Queue, edge};

const TOO_MANY: &str = "421 4.7.0 Too many connections\r\n";
const TIMED_OUT: &str = "421 4.4.2 Timed out\r\n";
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn listeners_share_their_places() {
    let limits = Limits {
        connections_max: 2,
        ..Limits::default()
    };
    let edge = edge(&Queue::new()).with_limits(limits);
    let (a, b) = (
        Listening::start(edge.clone()).await,
        Listening::start(edge).await,
    );
    let (first, mut second) = (a.client().await, b.client().await);
    for listening in [&a, &b] {
        let mut third = Client::connect(listening.address).await;
        assert_eq!(third.rest().await, TOO_MANY);
    }
    assert_eq!(second.ask("NOOP").await, "250 2.0.0 Ok\r\n");
    drop(first);
    // The place is free when the session has seen the end.
    let mut banner = TOO_MANY.to_owned();
    while banner == TOO_MANY {
        banner = Client::connect(a.address).await.reply().await;
    }
    assert!(banner.starts_with("220 "), "{banner}");
    drop(second);
    a.stopped().await;
    b.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_sent_away() {
    let listening = Listening::start(edge(&Queue::new())).await;
    let mut client = listening.client().await;
    assert_eq!(client.rest().await, TIMED_OUT);
    let mut client = listening.client().await;
    client.begin().await;
    assert_eq!(client.rest().await, TIMED_OUT);
    listening.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_minute_does_not_hold_a_place() {
    let listening = Listening::start(edge(&Queue::new())).await;
    let mut client = listening.client().await;
    for _ in 0..4 {
        sleep(MINUTE).await;
        client.send("N").await;
    }
    sleep(2 * MINUTE).await;
    assert_eq!(client.rest().await, TIMED_OUT);
    listening.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_minute_is_no_message() {
    let queue = Queue::new();
    let listening = Listening::start(edge(&queue)).await;
    let mut client = listening.client().await;
    client.begin().await;
    for _ in 0..4 {
        sleep(MINUTE).await;
        client.send("x").await;
    }
    sleep(2 * MINUTE).await;
    assert_eq!(client.rest().await, TIMED_OUT);
    listening.stopped().await;
    assert!(queue.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_that_goes_on_is_served() {
    // Little enough that a socket takes each block whole: the paused clock
    // leaps whenever a client has to wait.
    let limits = Limits {
        data_bytes_per_second_min: 10,
        ..Limits::default()
    };
    let listening = Listening::start(edge(&Queue::new()).with_limits(limits)).await;
    let mut client = listening.client().await;
    for _ in 0..3 {
        sleep(4 * MINUTE).await;
        assert_eq!(client.ask("NOOP").await, "250 2.0.0 Ok\r\n");
    }
    client.begin().await;
    let block = format!("{}\r\n", "x".repeat(98)).repeat(48);
    for _ in 0..3 {
        sleep(4 * MINUTE).await;
        client.send(&block).await;
    }
    client.send(".\r\n").await;
    assert_eq!(client.reply().await, "250 2.6.0 Message queued as 1\r\n");
    listening.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_has_an_end() {
    let listening = Listening::start(edge(&Queue::new())).await;
    let mut client = listening.client().await;
    for _ in 0..14 {
        sleep(4 * MINUTE).await;
        assert_eq!(client.ask("NOOP").await, "250 2.0.0 Ok\r\n");
    }
    sleep(4 * MINUTE).await;
    assert_eq!(client.rest().await, TIMED_OUT);
    listening.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_without_sense_waits_and_is_sent_away() {
    let listening = Listening::start(edge(&Queue::new())).await;
    let mut client = listening.client().await;
    let before = tokio::time::Instant::now();
    client.send("NONSENSE\r\n".repeat(30)).await;
    let replies = client.rest().await;
    assert_eq!(replies.matches("500 5.5.2 ").count(), 20);
    assert!(replies.ends_with("421 4.7.0 Too many errors\r\n"));
    assert!(before.elapsed() >= Duration::from_secs(9));
    listening.stopped().await;
}

#[tokio::test]
async fn messages_that_do_not_fit_are_refused() {
    let queue = Queue::new();
    let limits = Limits {
        message_bytes_max: 1000,
        memory_bytes_max: 500,
        ..Limits::default()
    };
    let listening = Listening::start(edge(&queue).with_limits(limits)).await;
    let mut client = listening.client().await;
    let greeting = client.ask("EHLO c").await;
    assert!(greeting.contains("250-SIZE 1000\r\n"), "{greeting}");
    let reply = client.ask("MAIL FROM:<a@b> SIZE=1001").await;
    assert!(reply.starts_with("552 5.3.4 "), "{reply}");
    for (size, code) in [
        (1100, "552 5.3.4 "),
        (900, "452 4.3.1 "),
        (300, "250 2.6.0 "),
    ] {
        client.begin().await;
        client.send(format!("{}\r\n.\r\n", "x".repeat(size))).await;
        let reply = client.reply().await;
        assert!(reply.starts_with(code), "{size}: {reply}");
    }
    drop(client);
    listening.stopped().await;
    assert_eq!(queue.requests().len(), 1);
}
