//! The commands: beside a running server and on a closed store, and what they
//! say when something is wrong.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::{Value, json};

use crate::rig::{Client, NextHop, Store, run, send, stderr, stdout, text, until};

const SENDER: &str = "sender@from.example";
const NOBODY: &str = "018f3c5e-7a3b-7c11-9d2e-5b8a4f6c1d20";

/// All that can be looked at and done, whoever has the store open.
fn operate(store: &Store, ids: &[String]) {
    let list = store.list();
    let listed: Vec<&str> = list.iter().map(|message| text(message, "id")).collect();
    assert_eq!(listed, ids);
    assert_eq!(store.stats()["messages"], ids.len());

    let filtered = |args: &[&str]| {
        store
            .queue_ok(&[&["list", "--json"], args].concat())
            .lines()
            .count()
    };
    assert_eq!(filtered(&["--destination", "one.example"]), 1);
    assert_eq!(filtered(&["--recipient", "A@One.example"]), 1);
    assert_eq!(filtered(&["--sender", SENDER]), ids.len());
    assert_eq!(filtered(&["--sender", "<>"]), 0);
    assert_eq!(filtered(&["--state", "held"]), 0);

    let shown: Value = serde_json::from_str(&store.queue_ok(&["show", &ids[0], "--json"])).unwrap();
    assert_eq!(shown["sender"], SENDER);
    assert!(text(&shown, "header").contains("Subject: A test"));
    let whole = store.queue_ok(&["show", &ids[0], "--content"]);
    assert!(
        whole.contains("Subject: A test") && whole.contains("\r\n\r\nHello."),
        "{whole:?}"
    );
    assert!(store.queue_ok(&["show", &ids[0]]).contains(SENDER));
    assert!(store.queue_ok(&["list"]).contains("a@one.example"));
    assert_eq!(filtered(&["--limit", "2"]), 2);
    assert!(store.queue_ok(&["stats"]).contains("messages"));

    let said = store.queue_ok(&["hold", &ids[0], "--reason", "Looks odd", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["changed"], 1);
    let held = store
        .list()
        .into_iter()
        .find(|message| message["state"] == "held")
        .unwrap();
    assert_eq!(
        (text(&held, "id"), text(&held, "hold_reason")),
        (ids[0].as_str(), "Looks odd")
    );
    assert!(held["next_attempt_at"].is_null());
    assert_eq!(store.stats()["held"], 1);
    store.queue_ok(&["release", "--state", "held"]);
    assert_eq!(store.stats()["held"], 0);

    store.queue_ok(&["retry", "--all"]);
    store.queue_ok(&["delete", &ids[0]]);
    store.queue_ok(&[
        "bounce",
        "--destination",
        "two.example",
        "--reason",
        "No way",
    ]);
    let left = store.list();
    assert_eq!(left.len(), ids.len() - 1);
    let bounce = left.iter().find(|message| message["sender"] == "").unwrap();
    assert_eq!(bounce["recipients"], json!([SENDER]));
    let whole = store.queue_ok(&["show", text(bounce, "id"), "--content"]);
    assert!(
        whole.contains("No way") && whole.contains("b@two.example"),
        "{whole}"
    );

    let unknown = store.queue(&["show", NOBODY]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains(NOBODY));
    for verb in ["retry", "hold", "release", "delete", "bounce"] {
        let unknown = store.queue(&[verb, NOBODY]);
        assert_eq!(unknown.status.code(), Some(1), "{verb}");
        assert!(stderr(&unknown).contains(NOBODY), "{verb}");
    }
}

fn three_messages(store: &Store) -> (crate::rig::Server, Vec<String>) {
    let server = store.serve(&["--relay", "none"]);
    let to = ["a@one.example", "b@two.example", "c@three.example"];
    let ids = to.map(|to| send(server.address, SENDER, &[to])).to_vec();
    (server, ids)
}

#[test]
fn operators_work_beside_a_running_server() {
    let store = Store::new();
    let (server, ids) = three_messages(&store);
    operate(&store, &ids);
    server.stop();
    assert!(
        store.logged().contains("deleted by operator"),
        "{}",
        store.logged()
    );
}

#[test]
fn operators_work_on_a_store_that_nobody_has_open() {
    let store = Store::new();
    let (server, ids) = three_messages(&store);
    server.stop();
    operate(&store, &ids);
}

#[test]
fn a_submission_can_be_named_for_all_of_its_messages() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let id = send(server.address, SENDER, &["a@one.example", "b@two.example"]);
    let list = store.list();
    assert_eq!(list.len(), 2);
    assert!(list.iter().all(|message| text(message, "submission") == id));
    assert_eq!(store.queue_ok(&["show", &id, "--json"]).lines().count(), 2);
    store.queue_ok(&["delete", &id]);
    store.until_empty();
}

#[test]
fn retry_by_destination_leaves_others_waiting() {
    let (store, sink) = (
        Store::new(),
        NextHop::answering(&["=450x2 4.2.0 Greylisted"]),
    );
    let server = store.serve(&["--relay", &sink.url(), "--retry", "1h..;until=1d"]);
    send(server.address, SENDER, &["a@one.example"]);
    send(server.address, SENDER, &["b@two.example"]);
    let list = store.until_list("two deferred messages", |list| {
        let deferred = list
            .iter()
            .filter(|message| message["state"] == "deferred")
            .count();
        (deferred == 2).then(|| list.to_vec())
    });
    store.queue_ok(&["retry", "--recipient", "b@two.example"]);
    store.until_list("one delivered", |left| match left {
        [left] => (left["id"] == list[0]["id"]).then_some(()),
        _ => None,
    });
    store.queue_ok(&["retry", "--destination", text(&list[0], "destination")]);
    store.until_empty();
}

#[test]
fn the_store_is_closed_to_others() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(store.path()), 0o700);
    assert_eq!(mode(store.path().join("admin.sock")), 0o600);
    let second = run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--relay",
        "none",
        "--storage",
        &store.url(),
    ]);
    assert_eq!(second.status.code(), Some(2));
    assert!(
        stderr(&second).contains(&store.path().display().to_string()),
        "{}",
        stderr(&second)
    );
    assert_eq!(stdout(&second), "", "a port was opened");
    server.stop();
    assert!(!store.path().join("admin.sock").exists());
}

#[test]
fn the_socket_of_a_crashed_server_is_replaced() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let id = send(server.address, SENDER, &["a@one.example"]);
    server.kill();
    assert!(store.path().join("admin.sock").exists());
    assert_eq!(text(&store.list()[0], "id"), id);
    let _server = store.serve(&["--relay", "none"]);
    assert_eq!(text(&store.list()[0], "id"), id);
}

#[test]
fn sigterm_drains() {
    let (store, sink) = (Store::new(), NextHop::answering(&[]));
    let server = store.serve(&["--relay", &sink.url()]);
    let mut idle = Client::connect(server.address).unwrap();
    for _ in 0..20 {
        send(server.address, SENDER, &["a@one.example"]);
    }
    server.signal("-TERM");
    idle.expect("421").unwrap();
    let address = server.address;
    assert!(server.ended().success(), "{}", store.logged());
    assert!(Client::connect(address).is_err());
    // What was taken is delivered, or still there and not locked by the dead.
    assert!(
        store
            .list()
            .iter()
            .all(|message| message["locked_until"].is_null())
    );
}

#[test]
fn sighup_reads_the_configuration_again() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    server.signal("-HUP");
    until("a word about it", || {
        store.logged().contains(" reloaded").then_some(())
    });
    send(server.address, SENDER, &["a@one.example"]);
    server.stop();
}

#[test]
fn logs_can_be_json() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none", "--log-format", "json"]);
    let id = send(server.address, SENDER, &["a@one.example"]);
    server.stop();
    let log = store.logged();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let received = lines
        .iter()
        .find(|line| line["message"] == "received")
        .unwrap();
    assert_eq!(text(received, "id"), id);
}

#[test]
fn options_come_from_the_file_too_and_flags_win() {
    let store = Store::new();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("slimta.toml");
    std::fs::write(
        &config,
        "relay = 'mx'\nrecipients-max = 1\nhostname = 'unused.example'\n",
    )
    .unwrap();
    let server = store.serve(&["--config", config.to_str().unwrap(), "--relay", "none"]);
    let mut client = Client::connect(server.address).unwrap();
    client.ask("MAIL FROM:<a@b.example>", "250").unwrap();
    client.ask("RCPT TO:<a@c.example>", "250").unwrap();
    client.ask("RCPT TO:<b@c.example>", "452").unwrap();
}

#[track_caller]
fn refused(args: &[&str], named: &str) -> Output {
    let output = run(args);
    assert_eq!(
        output.status.code(),
        Some(2),
        "{args:?}: {}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains(named),
        "{named:?} is not in {}",
        stderr(&output)
    );
    assert_eq!(stdout(&output), "", "{args:?}: a port was opened");
    output
}

#[test]
fn what_is_wrong_is_named_before_a_port_is_opened() {
    let store = Store::new();
    let url = store.url();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let serve = |args: &[&str], named: &str| {
        let base = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--storage",
            &url,
            "--relay",
            "none",
        ];
        refused(&[base.as_slice(), args].concat(), named);
    };
    serve(&["--retry", "often"], "often");
    serve(&["--hostname", "not a name"], "not a name");
    serve(&["--permit", "10.0.0.0/99"], "10.0.0.0/99");
    serve(&["--lock-duration", "0s"], "--lock-duration");
    serve(&["--no-such-flag"], "--no-such-flag");
    serve(
        &["--config", "/nonexistent/slimta.toml"],
        "/nonexistent/slimta.toml",
    );
    refused(&["serve", "--listen", "localhost"], "localhost");
    refused(
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--relay",
            "none",
            "--storage",
            "floppy:a",
        ],
        "embedded:",
    );
    refused(
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--storage",
            &url,
            "--relay",
            "pigeon:home",
        ],
        "pigeon:",
    );
    refused(
        &[
            "serve",
            "--listen",
            &taken,
            "--relay",
            "none",
            "--storage",
            &url,
        ],
        &taken,
    );
    refused(
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--relay",
            "none",
            "--storage",
            "embedded:/dev/null/x",
        ],
        "/dev/null/x",
    );
    let long = format!("embedded:{}/{}", store.path().display(), "long/".repeat(30));
    refused(
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--relay",
            "none",
            "--storage",
            &long,
        ],
        "admin socket",
    );
    refused(
        &["queue", "list", "--storage", "embedded:/nonexistent/store"],
        "/nonexistent/store",
    );
    refused(&["queue", "show", "nonsense"], "nonsense");
    refused(&["queue", "list", "--state", "lost"], "lost");
    refused(&["queue", "delete", "--storage", &url], "--all");
}

/// The line of the README, with the server's real port and a real file.
#[test]
fn send_takes_the_line_of_the_readme() {
    let readme = include_str!("../../../../README.md");
    let lines: Vec<&str> = readme.lines().collect();
    let line = lines.iter().find_map(|l| l.strip_prefix("$ slimta send "));
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let message = store.path().with_file_name("message.eml");
    std::fs::write(&message, "Subject: A test\n\nHello.\n").unwrap();
    let (address, message) = (server.address.to_string(), message.display().to_string());
    let line = line.unwrap().replace("127.0.0.1:2525", &address);
    let line = line.replace("message.eml", &message);
    let args: Vec<&str> = line.split_whitespace().collect();
    let more = ["--to", "they@example.org", "--to", "all@example.net"];
    for (args, count) in [(args.clone(), 1), ([&more[..], &args].concat(), 3)] {
        let output = run(&[&["send"], &args[..]].concat());
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output).matches(": 250 ").count(), count);
    }
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("slimta.toml");
    std::fs::write(&config, "relay = 'none'\nrecipient-max = 5\n").unwrap();
    let output = run(&["serve", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    let said = stderr(&output);
    assert!(
        said.contains("slimta.toml") && said.contains("recipient-max"),
        "{said}"
    );
    assert_eq!(stdout(&output), "");
}

#[test]
fn the_demo_shows_each_event_and_ends_by_itself() {
    let output = run(&["demo"]);
    let said = stdout(&output);
    assert!(output.status.success(), "{said}{}", stderr(&output));
    for event in [
        "stored",
        "attempted",
        "delivered",
        "deferred",
        "retried",
        "bounced",
    ] {
        assert!(said.contains(event), "{event} is missing in {said}");
    }
    assert!(said.contains("queue at the end: 0 messages"), "{said}");
}
