//! Servers that share a queue on a real Redis.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::crash::survives_kills;
use crate::rig::{Client, KeepingSink, Store, free_address, run, send, stderr, until};

const SENDER: &str = "sender@from.example";

/// A Redis that loses nothing, in a temporary directory.
struct Redis {
    process: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Redis {
    fn start() -> Self {
        let (directory, address) = (tempfile::tempdir().unwrap(), free_address());
        let process = Redis::spawn(address, &directory);
        let redis = Redis {
            process,
            address,
            directory,
        };
        redis.wait();
        redis
    }

    fn spawn(address: SocketAddr, directory: &TempDir) -> Child {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &address.port().to_string()])
            .args(["--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    }

    fn wait(&self) {
        let port = self.address.port().to_string();
        until("Redis", || {
            let ping = Command::new("redis-cli")
                .args(["-p", &port, "PING"])
                .output();
            (ping.unwrap().stdout.trim_ascii() == b"PONG").then_some(())
        });
    }

    fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        self.process = Redis::spawn(self.address, &self.directory);
        self.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn what_one_server_takes_in_another_delivers() {
    let (redis, sink) = (Redis::start(), KeepingSink::start());
    let (front, back) = (Store::at(redis.url()), Store::at(redis.url()));
    let _back = back.serve(&["--relay", &sink.url()]);
    let front_server = front.serve(&["--relay", "none"]);
    send(front_server.address, SENDER, &["rcpt@to.example"]);
    let message = until("the message", || sink.messages().into_iter().next());
    for part in [SENDER, "rcpt@to.example", "Subject: A test", "Hello."] {
        assert!(message.contains(part), "no {part} in {message}");
    }
    front.until_empty();
    assert_eq!(front.stats()["messages"], 0);
}

#[test]
fn mail_is_put_off_while_redis_is_away_and_flows_when_it_is_back() {
    let (mut redis, sink) = (Redis::start(), KeepingSink::start());
    let store = Store::at(redis.url());
    let keeping = store.serve(&["--relay", "none"]);
    let hand_in = |subject: &str| {
        let content = format!("Subject: {subject}\n\nHello.");
        let mut client = Client::connect(keeping.address)?;
        client.send(SENDER, &["rcpt@to.example"], &content)
    };
    hand_in("before").unwrap();
    redis.kill();
    let refused = hand_in("while").unwrap_err().to_string();
    assert!(refused.starts_with("45"), "{refused}");
    redis.restart();
    until("mail to be taken again", || hand_in("after").ok());
    keeping.stop();
    let _delivering = store.serve(&["--relay", &sink.url()]);
    store.until_empty();
    let arrived = sink.messages().join("\n");
    for subject in ["Subject: before", "Subject: after"] {
        assert!(arrived.contains(subject), "no {subject} in {arrived}");
    }
}

/// Leases of the dead run out, so they are short here.
#[test]
fn killed_again_and_again_on_redis_nothing_answered_is_lost() {
    let redis = Redis::start();
    survives_kills(&Store::at(redis.url()), &["--lock-duration", "2s"]);
}

#[test]
fn a_redis_that_came_back_empty_ends_the_server() {
    let mut redis = Redis::start();
    let store = Store::at(redis.url());
    let server = store.serve(&["--relay", "none"]);
    send(server.address, SENDER, &["rcpt@to.example"]);
    redis.kill();
    std::fs::remove_dir_all(redis.directory.path().join("appendonlydir")).unwrap();
    redis.restart();
    assert!(!server.ended().success());
    let logged = store.logged();
    assert!(logged.contains("lost mail"), "{logged}");
}

#[test]
fn a_redis_that_may_lose_mail_is_refused_with_what_to_do() {
    let redis = Redis::start();
    let port = redis.address.port().to_string();
    let mut set = Command::new("redis-cli");
    set.args(["-p", &port, "CONFIG", "SET", "appendfsync", "everysec"]);
    assert!(set.stdout(Stdio::null()).status().unwrap().success());
    let refused = run(&["serve", "--storage", &redis.url(), "--relay", "none"]);
    assert!(!refused.status.success());
    let told = stderr(&refused);
    for part in ["appendfsync is", "everysec", "allow_lossy=true"] {
        assert!(told.contains(part), "no {part} in {told}");
    }
}
