//! What the clients of one address, or of one user, may do together.

use std::time::Duration;

use slimta::edge::smtp::{AuthMode, Authenticator, Credentials, Limits, Role, Verdict};
use tokio::time::Instant;

use super::rig::{Client, Listening, Queue, edge};

const CROWDED: &str = "421 4.7.0 Too many connections from your address\r\n";
const HASTY: &str = "421 4.7.0 Too many new connections from your address\r\n";

#[tokio::test]
async fn an_address_has_places_of_its_own_and_who_is_permitted_needs_none() {
    let limits = Limits {
        connections_per_address_max: 2,
        ..Limits::default()
    };
    let edge = edge(&Queue::new()).with_limits(limits);
    let strict = Listening::start(edge.clone().with_permit(|_| false)).await;
    let (first, mut second) = (strict.client().await, strict.client().await);
    let mut third = Client::connect(strict.address).await;
    assert_eq!(third.reply().await, CROWDED);
    assert_eq!(third.rest().await, "");
    let friendly = Listening::start(edge).await;
    let friends = [friendly.client().await, friendly.client().await];
    assert_eq!(second.ask("NOOP").await, "250 2.0.0 Ok\r\n");
    drop(first);
    // The place is free when the session has seen the end.
    let mut banner = CROWDED.to_owned();
    while banner == CROWDED {
        banner = Client::connect(strict.address).await.reply().await;
    }
    assert!(banner.starts_with("220 "), "{banner}");
    drop((second, friends));
    strict.stopped().await;
    friendly.stopped().await;
}

#[tokio::test]
async fn who_comes_anew_too_often_is_sent_away() {
    let limits = Limits {
        connection_rate_per_address: Some("3/h".parse().unwrap()),
        ..Limits::default()
    };
    let edge = edge(&Queue::new()).with_limits(limits);
    let listening = Listening::start(edge.with_permit(|_| false)).await;
    for _ in 0..3 {
        drop(listening.client().await);
    }
    let mut fourth = Client::connect(listening.address).await;
    assert_eq!(fourth.reply().await, HASTY);
    assert_eq!(fourth.rest().await, "");
    listening.stopped().await;
}

/// `AUTH PLAIN` of ann and of bob.
const ANN: &str = "AUTH PLAIN AGFubgBzZWNyZXQ=";
const BOB: &str = "AUTH PLAIN AGJvYgBzZWNyZXQ=";

/// What a user hears who begins a message for two.
async fn told_to(user: &str, listening: &Listening) -> Vec<String> {
    let mut client = listening.client().await;
    client.ask("EHLO c").await;
    client.ask(user).await;
    let mut told = Vec::new();
    for command in ["MAIL FROM:<a@x>", "RCPT TO:<b@x>", "RCPT TO:<c@x>"] {
        let reply = client.ask(command).await;
        told.push(reply.trim_end().to_owned());
    }
    // Refused for now is not sent away.
    assert_eq!(client.ask("RSET").await, "250 2.0.0 Ok\r\n");
    told
}

struct Anybody;

#[async_trait::async_trait]
impl Authenticator for Anybody {
    async fn check(&self, _: &Credentials) -> Verdict {
        Verdict::Accepted
    }
}

/// Over all connections of an address, whoever authenticates there.
#[tokio::test]
async fn messages_and_recipients_of_an_address_are_counted() {
    let limits = Limits {
        message_rate_per_address: Some("2/h".parse().unwrap()),
        recipient_rate_per_address: Some("3/h".parse().unwrap()),
        ..Limits::default()
    };
    let edge = edge(&Queue::new())
        .with_limits(limits)
        .with_permit(|_| false)
        .with_authenticator(Anybody, AuthMode::InClear);
    let listening = Listening::start(edge).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        told.extend(told_to(ANN, &listening).await);
    }
    let (sender, recipient) = ("250 2.1.0 Sender ok", "250 2.1.5 Recipient ok");
    let messages = "450 4.7.1 Too many messages from your address, try again later";
    let recipients = "450 4.7.1 Too many recipients from your address, try again later";
    let first = "503 5.5.1 Send MAIL first";
    let expected = [
        [sender, recipient, recipient],
        [sender, recipient, recipients],
        [messages, first, first],
    ];
    assert_eq!(told, expected.concat());
    listening.stopped().await;
}

/// Whoever has ann's password has no more than ann, and takes nothing from bob.
#[tokio::test]
async fn messages_and_recipients_of_a_user_are_counted_wherever_they_come_from() {
    let limits = Limits {
        message_rate_per_address: Some("1/h".parse().unwrap()),
        message_rate_per_user: Some("2/h".parse().unwrap()),
        recipient_rate_per_user: Some("3/h".parse().unwrap()),
        ..Limits::default()
    };
    let edge = edge(&Queue::new())
        .with_limits(limits)
        .with_authenticator(Anybody, AuthMode::InClear);
    let strict = Listening::start(edge.clone().with_permit(|_| false)).await;
    let friendly = Listening::start(edge).await;
    let mut told = Vec::new();
    for (listening, user) in [
        (&strict, ANN),
        (&friendly, ANN),
        (&strict, ANN),
        (&strict, BOB),
    ] {
        told.extend(told_to(user, listening).await);
    }
    let (sender, recipient) = ("250 2.1.0 Sender ok", "250 2.1.5 Recipient ok");
    let messages = "450 4.7.1 Too many messages by your user name, try again later";
    let recipients = "450 4.7.1 Too many recipients by your user name, try again later";
    let first = "503 5.5.1 Send MAIL first";
    let expected = [
        [sender, recipient, recipient],
        [sender, recipient, recipients],
        [messages, first, first],
        [sender, recipient, recipient],
    ];
    assert_eq!(told, expected.concat());
    strict.stopped().await;
    friendly.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn who_speaks_before_it_is_greeted_is_turned_away() {
    let wait = Duration::from_secs(6);
    let limits = Limits {
        greeting_wait: Some(wait),
        ..Limits::default()
    };
    let edge = edge(&Queue::new()).with_limits(limits);
    let strict = Listening::start(edge.clone().with_permit(|_| false)).await;
    let mut hasty = Client::connect(strict.address).await;
    hasty
        .send("EHLO client.example.com\r\nMAIL FROM:<a@b>\r\n")
        .await;
    assert_eq!(hasty.reply().await, "554 5.5.1 Wait for the greeting\r\n");
    assert!(
        hasty
            .ask("EHLO client.example.com")
            .await
            .starts_with("503 5.5.1 ")
    );
    assert_eq!(hasty.ask("QUIT").await, "221 2.0.0 Bye\r\n");

    let begin = Instant::now();
    let mut patient = strict.client().await;
    assert!(begin.elapsed() >= wait);
    assert!(
        patient
            .ask("EHLO client.example.com")
            .await
            .starts_with("250-")
    );
    drop(patient);
    strict.stopped().await;

    // Nobody waits who is permitted, nor who submits.
    let submission = edge
        .clone()
        .with_permit(|_| false)
        .with_role(Role::Submission);
    for kind in [edge, submission] {
        let listening = Listening::start(kind).await;
        let begin = Instant::now();
        drop(listening.client().await);
        assert!(begin.elapsed() < wait);
        listening.stopped().await;
    }
}
