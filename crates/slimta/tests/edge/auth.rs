//! Who clients are: checked by a program of its own, and by a file.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use slimta::edge::smtp::{
    AuthMode, Authenticator, Credentials, Limits, SendersFile, SmtpEdge, Verdict,
};
use tokio::sync::Semaphore;

use super::rig::{Client, Listening, Queue, edge};

/// `AUTH PLAIN` of ann, whose password is `secret`.
const GOOD: &str = "AUTH PLAIN AGFubgBzZWNyZXQ=";
const WRONG: &str = "AUTH PLAIN AGFubgB3cm9uZw==";
const DENIED: &str = "535 5.7.8 Authentication credentials invalid\r\n";
const DONE: &str = "235 2.7.0 Authentication successful\r\n";
const TOO_MANY: &str = "454 4.7.0 Too many failed attempts, try again later\r\n";

/// Lets a check go on when it may, and counts them.
#[derive(Clone)]
struct Program {
    asked: Arc<AtomicUsize>,
    may_go_on: Arc<Semaphore>,
}

impl Program {
    fn new(permits: usize) -> Self {
        Program {
            asked: Arc::default(),
            may_go_on: Arc::new(Semaphore::new(permits)),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Authenticator for Program {
    async fn check(&self, credentials: &Credentials) -> Verdict {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let Ok(_permit) = self.may_go_on.acquire().await else {
            return Verdict::Unavailable;
        };
        match (credentials.user(), credentials.password()) {
            ("ann", b"secret") => Verdict::Accepted,
            _ => Verdict::Denied,
        }
    }
}

/// An edge that takes mail only from who has authenticated.
fn closed(queue: &Arc<Queue>, program: &Program) -> SmtpEdge {
    edge(queue)
        .with_permit(|_| false)
        .with_authenticator(program.clone(), AuthMode::InClear)
}

async fn greeted(listening: &Listening) -> Client {
    let mut client = listening.client().await;
    let offered = client.ask("EHLO client.example.com").await;
    assert!(offered.contains("250-AUTH PLAIN LOGIN\r\n"), "{offered}");
    client
}

#[tokio::test]
async fn who_is_authenticated_may_relay_and_is_known() {
    let (queue, program) = (Queue::new(), Program::new(1));
    let listening = Listening::start(closed(&queue, &program)).await;
    let mut client = greeted(&listening).await;
    client.ask("MAIL FROM:<a@b>").await;
    let denied = "550 5.7.1 Relaying denied\r\n";
    assert_eq!(client.ask("RCPT TO:<c@d>").await, denied);
    client.ask("RSET").await;
    assert_eq!(client.ask(WRONG).await, DENIED);
    client.ask("MAIL FROM:<a@b>").await;
    assert_eq!(client.ask("RCPT TO:<c@d>").await, denied);
    client.ask("RSET").await;
    assert_eq!(client.ask(GOOD).await, DONE);
    assert!(client.ask(GOOD).await.starts_with("503 5.5.1 "));
    client.begin().await;
    client.send(".\r\n").await;
    assert!(client.reply().await.starts_with("250 2.6.0 "));
    let sender = &queue.requests()[0][0].client;
    assert_eq!(sender.auth.as_deref(), Some("ann"));
    assert_eq!(sender.protocol, "ESMTPA");
    drop(client);
    listening.stopped().await;
}

#[tokio::test]
async fn failures_at_an_address_are_few() {
    let limits = Limits {
        auth_failures_max: 2,
        ..Limits::default()
    };
    let (queue, program) = (Queue::new(), Program::new(1));
    let listening = Listening::start(closed(&queue, &program).with_limits(limits)).await;
    for _ in 0..9 {
        // What is good counts for nothing.
        assert_eq!(greeted(&listening).await.ask(GOOD).await, DONE);
    }
    let mut client = greeted(&listening).await;
    assert_eq!(client.ask(WRONG).await, DENIED);
    assert_eq!(greeted(&listening).await.ask(WRONG).await, DENIED);
    let asked = program.asked();
    for command in [WRONG, GOOD] {
        assert_eq!(client.ask(command).await, TOO_MANY);
        assert_eq!(greeted(&listening).await.ask(command).await, TOO_MANY);
    }
    assert_eq!(program.asked(), asked);
    drop(client);
    listening.stopped().await;
}

/// Many at once are no more than one after the other.
#[tokio::test]
async fn guesses_at_once_count_before_they_are_checked() {
    let limits = Limits {
        auth_failures_max: 2,
        ..Limits::default()
    };
    let (queue, program) = (Queue::new(), Program::new(0));
    let listening = Listening::start(closed(&queue, &program).with_limits(limits)).await;
    let mut first = greeted(&listening).await;
    first.send(format!("{WRONG}\r\n")).await;
    let mut second = greeted(&listening).await;
    second.send(format!("{WRONG}\r\n")).await;
    // Both are being checked before the third comes.
    while program.asked() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(greeted(&listening).await.ask(WRONG).await, TOO_MANY);
    program.may_go_on.add_permits(1);
    assert_eq!(first.reply().await, DENIED);
    assert_eq!(second.reply().await, DENIED);
    drop((first, second));
    listening.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn a_check_that_cannot_be_made_fails_for_now_and_is_no_guess() {
    let limits = Limits {
        auth_failures_max: 1,
        ..Limits::default()
    };
    let (queue, program) = (Queue::new(), Program::new(0));
    let listening = Listening::start(closed(&queue, &program).with_limits(limits)).await;
    let mut client = greeted(&listening).await;
    let later = "454 4.7.0 Temporary authentication failure\r\n";
    // In virtual time thirty seconds are soon over.
    assert_eq!(client.ask(GOOD).await, later);
    program.may_go_on.close();
    assert_eq!(client.ask(WRONG).await, later);
    assert_eq!(program.asked(), 2);
    drop(client);
    listening.stopped().await;
}

/// As swaks and smtplib do it with the binary, in `crates/server/tests`.
#[cfg(feature = "credentials")]
#[tokio::test]
async fn a_file_knows_its_users_and_a_bounded_number_is_checked_at_once() {
    use slimta::edge::smtp::{CredentialsFile, password_line};
    use slimta::world::World;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users");
    let line = password_line("ann", b"secret", &World::system()).unwrap();
    std::fs::write(&path, line).unwrap();
    let file = CredentialsFile::open(&path).unwrap();
    let check = |password: &str| {
        let (file, password) = (file.clone(), password.to_owned());
        let credentials = Credentials::new(b"ann", password.as_bytes()).unwrap();
        async move { file.check(&credentials).await }
    };
    assert_eq!(check("secret").await, Verdict::Accepted);
    assert_eq!(check("wrong").await, Verdict::Denied);
    let many: Vec<_> = (0..65).map(|_| Box::pin(check("secret"))).collect();
    let mut waiting = tokio::task::JoinSet::new();
    many.into_iter().for_each(|one| drop(waiting.spawn(one)));
    let verdicts = waiting.join_all().await;
    let count = |wanted| {
        verdicts
            .iter()
            .filter(|verdict| **verdict == wanted)
            .count()
    };
    assert_eq!(count(Verdict::Accepted), 64);
    assert_eq!(count(Verdict::Unavailable), 1);
}

/// Who has a password has the addresses of its user, and no others.
#[tokio::test]
async fn a_user_sends_from_its_own_addresses() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("senders");
    fs::write(
        &file,
        "ann: ann@own.example @lists.example\nbob: bob@own.example\n",
    )
    .unwrap();
    let (queue, program) = (Queue::new(), Program::new(9));
    let edge = edge(&queue)
        .with_authenticator(program, AuthMode::InClear)
        .with_senders(SendersFile::open(&file).unwrap());
    let listening = Listening::start(edge).await;
    let mut client = greeted(&listening).await;
    let other = "MAIL FROM:<bob@own.example>";
    let taken = "250 2.1.0 Sender ok\r\n";
    // As all whose address is permitted, as long as nobody knows who it is.
    assert_eq!(client.ask(other).await, taken);
    client.ask("RSET").await;
    assert_eq!(client.ask(GOOD).await, DONE);
    let refused = "553 5.7.1 Your user name may not send from this address\r\n";
    assert_eq!(client.ask(other).await, refused);
    assert!(client.ask("RCPT TO:<c@d>").await.starts_with("503 5.5.1 "));
    for own in ["Ann@OWN.example", "news@lists.example", ""] {
        assert_eq!(client.ask(&format!("MAIL FROM:<{own}>")).await, taken);
        client.ask("RSET").await;
    }
    drop(client);
    listening.stopped().await;
}
