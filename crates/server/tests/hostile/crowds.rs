//! Crowds of clients: slow ones that hold a place each, and as many idle ones
//! as a large site has.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::hop::{Hop, LineEnds};
use crate::memory::stayed_below;
use crate::rig::{Store, until_after};
use crate::wire::Wire;

const TOO_MANY: &str = "421 4.7.0 Too many connections\r\n";
const SLOW: usize = 600;
const IDLE: usize = 10_000;
const WORKING: usize = 1000;
const MESSAGES_EACH: usize = 2;
const MEMORY_MIB_MAX: u64 = 300;
/// What this process needs besides clients.
const OWN_DESCRIPTORS: usize = 500;
const REPLY_PATIENCE: Duration = Duration::from_secs(30);
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);

/// What slow clients have said before they fell silent.
const SLOW_BEGINNINGS: [&str; 6] = [
    "",
    "EHL",
    "EHLO client.test.example\r\nMAIL FROM:<a@from.exa",
    "EHLO c\r\nMAIL FROM:<a@from.example>\r\nRCPT TO:<b@to.example>\r\nDATA\r\n",
    "EHLO c\r\nMAIL FROM:<a@from.example>\r\nRCPT TO:<b@to.example>\r\nDATA\r\nSubject: slo",
    "EHLO c\r\nMAIL FROM:<a@from.example>\r\nRCPT TO:<b@to.example>\r\nBDAT 1000000\r\nSubj",
];

#[test]
fn an_honest_client_is_served_beside_hundreds_of_slow_ones() {
    let (hop, store) = (Hop::taking(LineEnds::Strict), Store::new());
    let server = store.serve(&["--relay", &hop.url()]);
    let mut slow: Vec<_> = (0..SLOW).map(|_| Wire::connect(server.address)).collect();
    for (client, beginning) in slow.iter_mut().zip(SLOW_BEGINNINGS.iter().cycle()) {
        client.reply("220 ");
        client.send(beginning);
    }
    let mut honest = Wire::greeted(server.address);
    for round in 0..20 {
        honest.deliver("a@from.example", "b@to.example");
        // A byte each, now and then.
        for client in slow.iter_mut().skip(round).step_by(20) {
            client.send("x");
        }
    }
    until_after("all messages", DRAIN_PATIENCE, || {
        (hop.taken().len() == 20).then_some(())
    });
    // None of them was sent away, or served instead.
    assert!(slow.iter().all(Wire::is_open));
    stayed_below(&server, MEMORY_MIB_MAX);
}

/// How many idle clients there is room for.
fn idle_clients() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        ..limits
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let granted = limits.maximum.map_or(usize::MAX, |limit| limit as usize);
    let room = granted.saturating_sub(WORKING + OWN_DESCRIPTORS);
    if room < IDLE {
        // Past the test's captured output: whoever runs it should know.
        let _ = writeln!(
            std::io::stderr(),
            "WARNING: at most {granted} file descriptors: only {room} idle clients of {IDLE}"
        );
    }
    room.min(IDLE)
}

/// One SMTP client of very many.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(address: SocketAddr) -> (Self, String) {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut client = Client(BufReader::with_capacity(256, stream));
        let banner = client.reply().await;
        (client, banner)
    }

    async fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            let reading = self.0.read_line(&mut line);
            timeout(REPLY_PATIENCE, reading).await.unwrap().unwrap();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line;
            }
        }
    }

    async fn ask(&mut self, line: &str, expected: &str) {
        let line = format!("{line}\r\n");
        self.0.write_all(line.as_bytes()).await.unwrap();
        let reply = self.reply().await;
        assert!(reply.starts_with(expected), "{line}: {reply}");
    }

    async fn work(&mut self, number: usize) {
        self.ask("EHLO client.test.example", "250 ").await;
        for message in 0..MESSAGES_EACH {
            self.ask("MAIL FROM:<a@from.example>", "250 ").await;
            let recipient = format!("RCPT TO:<b{number}.{message}@to.example>");
            self.ask(&recipient, "250 ").await;
            self.ask("DATA", "354 ").await;
            self.ask("Subject: x\r\n\r\nx\r\n.", "250 2.6.0 ").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_clients_beside_a_thousand_that_work() {
    let idle = idle_clients();
    let (hop, store) = (Hop::taking(LineEnds::Strict), Store::new());
    let places = (idle + WORKING).to_string();
    let server = store.serve(&["--relay", &hop.url(), "--connections-max", &places]);
    let address = server.address;
    let mut idlers = Vec::new();
    for number in 0..idle {
        let (mut client, banner) = Client::connect(address).await;
        assert!(banner.starts_with("220 "), "{banner}");
        if number % 2 == 0 {
            client.ask("EHLO client.test.example", "250 ").await;
        }
        idlers.push(client);
    }
    let mut workers = Vec::new();
    for _ in 0..WORKING {
        let (client, banner) = Client::connect(address).await;
        assert!(banner.starts_with("220 "), "{banner}");
        workers.push(client);
    }
    // Every place is taken.
    assert_eq!(Client::connect(address).await.1, TOO_MANY);
    let work = |(number, mut client): (usize, Client)| {
        tokio::spawn(async move { client.work(number).await })
    };
    let workers: Vec<_> = workers.into_iter().enumerate().map(work).collect();
    for worker in workers {
        worker.await.unwrap();
    }
    for client in &mut idlers {
        client.ask("NOOP", "250 ").await;
    }
    until_after("all messages", DRAIN_PATIENCE, || {
        (hop.taken().len() >= WORKING * MESSAGES_EACH).then_some(())
    });
    let taken = hop.taken().into_iter();
    let mut recipients: Vec<_> = taken
        .flat_map(|taken| taken.envelope.into_iter().nth(1))
        .collect();
    recipients.sort();
    recipients.dedup();
    assert_eq!(recipients.len(), WORKING * MESSAGES_EACH);
    stayed_below(&server, MEMORY_MIB_MAX);
}

/// All connect before the server accepts any. It speaks first: a client whose
/// connection the system forgot would wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_clients_is_served() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let granted = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let burst = WORKING.min(granted.trim().parse().unwrap());
    server.signal("-STOP");
    let mut clients = Vec::new();
    for _ in 0..burst {
        let connecting = TcpStream::connect(server.address);
        clients.push(timeout(REPLY_PATIENCE, connecting).await.unwrap().unwrap());
    }
    server.signal("-CONT");
    for stream in clients {
        let banner = Client(BufReader::new(stream)).reply().await;
        assert!(banner.starts_with("220 "), "{banner}");
    }
}
