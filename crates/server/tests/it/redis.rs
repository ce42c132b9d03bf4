//! Servers that share a queue on a real Redis.

use crate::redis_server::{SAFE, Server};
use crate::rig::{Client, KeepingSink, Store, run, send, stderr, until};

const SENDER: &str = "sender@from.example";

#[test]
fn what_one_server_takes_in_another_delivers() {
    let (redis, sink) = (Server::start(&SAFE), KeepingSink::start());
    let (front, back) = (Store::at(&redis.url()), Store::at(&redis.url()));
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
    let (redis, sink) = (Server::start(&SAFE), KeepingSink::start());
    let store = Store::at(&redis.url());
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

#[test]
fn a_redis_that_came_back_empty_ends_the_server() {
    let redis = Server::start(&SAFE);
    let store = Store::at(&redis.url());
    let server = store.serve(&["--relay", "none"]);
    send(server.address, SENDER, &["rcpt@to.example"]);
    redis.kill();
    std::fs::remove_dir_all(redis.directory().join("appendonlydir")).unwrap();
    redis.restart();
    assert!(!server.ended().success());
    let logged = store.logged();
    assert!(logged.contains("lost mail"), "{logged}");
}

#[test]
fn a_redis_that_may_lose_mail_is_refused_with_what_to_do() {
    let redis = Server::start(&SAFE);
    redis.cli(&["CONFIG", "SET", "appendfsync", "everysec"]);
    let refused = run(&["serve", "--storage", &redis.url(), "--relay", "none"]);
    assert!(!refused.status.success());
    let told = stderr(&refused);
    for part in ["appendfsync is", "everysec", "allow_lossy=true"] {
        assert!(told.contains(part), "no {part} in {told}");
    }
}
