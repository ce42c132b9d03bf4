//! The binary under the names `mailq` and `postqueue`, as scripts call them.

use std::process::Output;

use serde_json::{Value, json};
use slimta_core::world::Timestamp;

use crate::rig::{NextHop, Server, Store, run, send, stderr, stdout, text};
use crate::sendmail::Links;

const SENDER: &str = "sender@from.example";

/// A queue, and the programs that look at it by its server's configuration.
struct Rig {
    links: Links,
    config: String,
    store: Store,
}

impl Rig {
    fn new() -> Self {
        let (links, store) = (Links::new(), Store::new());
        let config = links.write("slimta.toml", &format!("storage = \"{}\"", store.url()));
        Rig {
            links,
            config,
            store,
        }
    }

    fn call(&self, name: &str, args: &[&str]) -> Output {
        let mut command = self.links.command(name, args);
        command.env("SLIMTA_CONFIG", &self.config).env("TZ", "UTC");
        command.output().unwrap()
    }

    /// The same, which must succeed; gives what it printed.
    #[track_caller]
    fn ok(&self, name: &str, args: &[&str]) -> String {
        let output = self.call(name, args);
        assert!(
            output.status.success(),
            "{name} {args:?}: {}",
            stderr(&output)
        );
        assert_eq!(stderr(&output), "");
        stdout(&output)
    }

    /// A message that is deferred, one that is held, and one that was never tried.
    #[track_caller]
    fn filled(&self) -> (Server, NextHop, Vec<String>) {
        let sink = NextHop::answering(&["later@=450x1 4.2.0 Greylisted", "later@=250"]);
        let server = self
            .store
            .serve(&["--relay", &sink.url(), "--retry", "1h..;until=1d"]);
        let later = send(server.address, SENDER, &["later@one.example"]);
        self.until_deferred();
        self.store.queue_ok(&["suspend", &sink.url()]);
        let held = send(server.address, "", &["a@two.example", "b@two.example"]);
        self.store.queue_ok(&["hold", &held]);
        let waits = send(server.address, SENDER, &["c@three.example"]);
        (server, sink, vec![later, held, waits])
    }

    fn until_deferred(&self) {
        self.store.until_list("a deferred message", |list| {
            list.iter().any(|m| m["state"] == "deferred").then_some(())
        });
    }
}

#[test]
fn the_queue_is_listed_as_scripts_read_it() {
    let rig = Rig::new();
    let (_server, _sink, ids) = rig.filled();
    let listed = rig.ok("mailq", &[]);
    assert_eq!(rig.ok("sendmail", &["-bp"]), listed);
    assert_eq!(rig.ok("postqueue", &["-p"]), listed);
    let mut slimta = crate::rig::slimta(&["mailq", "-C", &rig.config]);
    assert_eq!(stdout(&slimta.env("TZ", "UTC").output().unwrap()), listed);

    assert!(listed.starts_with("-Queue ID-"), "{listed}");
    let entries: Vec<&str> = listed.split("\n\n").collect();
    let [later, held, waits, total] = entries.as_slice() else {
        panic!("{listed}");
    };
    let received = rig.store.list()[1]["received_at"].clone();
    let day = &received.as_str().unwrap()[8..10];
    assert!(later.contains(&format!("\n{} ", ids[0])), "{listed}");
    assert!(later.contains("\n                    ") && later.contains("(450 4.2.0 Greylisted)\n"));
    assert!(
        later.ends_with(&format!("{}later@one.example", " ".repeat(68))),
        "{listed}"
    );
    let words: Vec<&str> = held.split_whitespace().collect();
    assert_eq!(words[0], format!("{}!", ids[1]));
    assert!(words[1].parse::<u64>().unwrap() > 30, "{listed}");
    assert_eq!(words[4].parse::<u8>().unwrap(), day.parse::<u8>().unwrap());
    assert_eq!(words[6], "MAILER-DAEMON");
    assert_eq!(words[words.len() - 2..], ["a@two.example", "b@two.example"]);
    assert!(waits.starts_with(&format!("{}* ", ids[2])), "{listed}");
    assert_eq!(total.trim_end(), "-- 0 Kbytes in 3 Requests.");
    // Five hours behind.
    let mut mailq = rig.links.command("mailq", &["-C", &rig.config]);
    let behind = stdout(&mailq.env("TZ", "EST5").output().unwrap());
    let hour = |listed: &str| -> u32 {
        let time = listed
            .split_whitespace()
            .find(|word| word.matches(':').count() == 2);
        time.unwrap()[..2].parse().unwrap()
    };
    assert_eq!((hour(&behind) + 5) % 24, hour(&listed));
}

#[test]
fn the_queue_is_listed_as_json() {
    let rig = Rig::new();
    let (_server, _sink, ids) = rig.filled();
    let lines = rig.ok("postqueue", &["-j"]);
    let entries: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let shown: Vec<Value> = entries
        .iter()
        .map(|entry| json!([entry["queue_name"], entry["queue_id"], entry["sender"]]))
        .collect();
    assert_eq!(
        shown,
        [
            json!(["deferred", ids[0], SENDER]),
            json!(["hold", ids[1], "MAILER-DAEMON"]),
            json!(["active", ids[2], SENDER]),
        ]
    );
    let reason = "450 4.2.0 Greylisted";
    let waiting = json!([{ "address": "later@one.example", "delay_reason": reason }]);
    assert_eq!(entries[0]["recipients"], waiting);
    let waiting = json!([{ "address": "a@two.example" }, { "address": "b@two.example" }]);
    assert_eq!(entries[1]["recipients"], waiting);
    assert_eq!(entries[0]["forced_expire"], false);
    let listed = &rig.store.list()[0];
    assert_eq!(entries[0]["message_size"], listed["size"]);
    let received: Timestamp = text(listed, "received_at").parse().unwrap();
    assert_eq!(entries[0]["arrival_time"], received.as_secs());
}

#[test]
fn what_is_deferred_is_tried_again() {
    let rig = Rig::new();
    for (name, args) in [
        ("postqueue", "-f"),
        ("postqueue", "-iID"),
        ("sendmail", "-q"),
        ("sendmail", "-qIID"),
    ] {
        let sink = NextHop::answering(&["=450x1 4.2.0 Greylisted"]);
        let server = rig
            .store
            .serve(&["--relay", &sink.url(), "--retry", "1h..;until=1d"]);
        let id = send(server.address, SENDER, &["a@one.example"]);
        rig.until_deferred();
        assert_eq!(rig.ok(name, &[&args.replace("ID", &id)]), "");
        rig.store.until_empty();
        server.stop();
    }
}

#[test]
fn one_destination_is_tried_again() {
    let rig = Rig::new();
    let sink = NextHop::answering(&["=450x2 4.2.0 Greylisted"]);
    let config = format!("[destination.\"*.example\"]\nrelay = \"{}\"", sink.url());
    let config = rig.links.write("server.toml", &config);
    let server = rig
        .store
        .serve(&["--config", &config, "--retry", "1h..;until=1d"]);
    send(server.address, SENDER, &["a@one.example"]);
    send(server.address, SENDER, &["b@two.example"]);
    rig.store.until_list("two deferred messages", |list| {
        (list.iter().filter(|m| m["state"] == "deferred").count() == 2).then_some(())
    });
    assert_eq!(rig.ok("postqueue", &["-s", "one.example"]), "");
    rig.store
        .until_list("one left", |list| (list.len() == 1).then_some(()));
    assert_eq!(rig.store.list()[0]["recipients"], json!(["b@two.example"]));
    assert_eq!(rig.ok("sendmail", &["-qRtwo.example"]), "");
    rig.store.until_empty();
}

#[test]
fn a_queue_without_a_server_is_listed_too() {
    let rig = Rig::new();
    let server = rig.store.serve(&["--relay", "none"]);
    assert_eq!(rig.ok("mailq", &[]), "Mail queue is empty\n");
    assert_eq!(rig.ok("postqueue", &["-j"]), "");
    let ids: Vec<String> = (0..230)
        .map(|_| send(server.address, SENDER, &["a@one.example"]))
        .collect();
    let with_server = rig.ok("mailq", &[]);
    server.stop();
    let listed = rig.ok("mailq", &[]);
    assert_eq!(listed, with_server);
    assert!(
        ids.iter().all(|id| listed.contains(&format!("\n{id}* "))),
        "not all are listed"
    );
    assert!(listed.ends_with(" Kbytes in 230 Requests.\n"), "{listed}");
}

#[test]
fn what_cannot_be_listed_has_its_status() {
    let rig = Rig::new();
    for (name, args, status, told) in [
        ("postqueue", &[][..], 64, "usage: postqueue"),
        ("postqueue", &["-p", "-f"], 64, "usage: postqueue"),
        ("postqueue", &["-i", "x"], 64, "\"x\" is no queue ID"),
        ("mailq", &["a@one.example"], 64, "recipients"),
        ("mailq", &[], 69, "there is no storage in"),
        (
            "postqueue",
            &["-c", "/nowhere.toml", "-p"],
            78,
            "/nowhere.toml",
        ),
    ] {
        let output = rig.call(name, args);
        assert_eq!(output.status.code(), Some(status), "{name} {args:?}");
        let said = stderr(&output);
        assert!(
            said.starts_with(&format!("{name}: ")) && said.contains(told),
            "{said}"
        );
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = rig.links.command("mailq", &[]);
    let output = command.current_dir(elsewhere.path()).output().unwrap();
    assert!(
        stderr(&output).contains("SLIMTA_CONFIG"),
        "{}",
        stderr(&output)
    );
    let _server = rig.store.serve(&["--relay", "none"]);
    let nobody = "018f3c5e-7a3b-7c11-9d2e-5b8a4f6c1d20";
    let output = rig.call("postqueue", &["-i", nobody]);
    assert_eq!(output.status.code(), Some(69));
    assert!(stderr(&output).contains(nobody));
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = rig.links.command("mailq", &["-C", &rig.config]);
    assert_eq!(command.stdout(full).status().unwrap().code(), Some(74));
    assert!(run(&["help", "postqueue"]).status.success());
}
