//! The audit of a real server's log and store: it accounts for every message,
//! names the one whose line is gone, and does not blame a death for a loss.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::rig::{NextHop, Server, Store, send, stderr, stdout, text, until};

const SENDER: &str = "sender@from.example";

/// What the audit prints in JSON: messages, and the summary.
struct Told {
    status: Option<i32>,
    messages: Vec<Value>,
    fates: Value,
}

impl Told {
    fn fate(&self, id: &str) -> &str {
        let mut found = self
            .messages
            .iter()
            .filter(|message| text(message, "id") == id);
        text(found.next().unwrap_or_else(|| panic!("no {id}")), "fate")
    }
}

fn audit(store: &Store, log: &str, args: &[&str]) -> Output {
    store.operate(&[&["audit", log], args].concat())
}

#[track_caller]
fn told(store: &Store, log: &str, args: &[&str]) -> Told {
    let output = audit(store, log, &[&["--json"], args].concat());
    let lines = stdout(&output);
    let mut messages: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary = messages
        .pop()
        .unwrap_or_else(|| panic!("{}", stderr(&output)));
    Told {
        status: output.status.code(),
        messages,
        fates: summary["summary"]["fates"].clone(),
    }
}

fn log(store: &Store) -> String {
    store.log().display().to_string()
}

/// Of every message that a server has taken the audit says that it is delivered.
#[track_caller]
pub(crate) fn all_is_delivered(store: &Store, messages: u64) {
    let told = told(store, &log(store), &[]);
    let (fates, wrong) = (&told.fates, &told.messages);
    assert_eq!(told.status, Some(0), "{fates} {wrong:?}");
    assert_eq!(fates["delivered"], messages, "{fates} {wrong:?}");
}

/// The log without the line that says so of a message and this recipient, or of
/// any if it is empty, in another file.
#[track_caller]
fn without(store: &Store, id: &str, what: &str, to: &str) -> PathBuf {
    let what = format!("\"message\":\"{what}\"");
    let is_it = |line: &str| [id, &what, to].iter().all(|part| line.contains(part));
    let logged = store.logged();
    let kept: Vec<_> = logged.lines().filter(|line| !is_it(line)).collect();
    assert_eq!(kept.len() + 1, logged.lines().count(), "{logged}");
    let path = store.log().with_extension("without");
    fs::write(&path, kept.join("\n")).unwrap();
    path
}

#[track_caller]
fn until_logged(store: &Store, id: &str, what: &str) {
    let what = format!("\"message\":\"{what}\"");
    until(&what, || {
        let logged = store.logged();
        logged
            .lines()
            .any(|l| l.contains(id) && l.contains(&what))
            .then_some(())
    });
}

fn serve(store: &Store, hop: &NextHop) -> Server {
    store.serve(&[
        "--relay",
        &hop.url(),
        "--retry",
        "1h..;until=1d",
        "--log-format",
        "json",
    ])
}

fn hop() -> NextHop {
    NextHop::answering(&["^gone@=550 5.1.1 Unknown", "^later=450 4.2.0 Not now"])
}

#[test]
fn every_message_is_accounted_for_and_a_lost_one_is_named() {
    let (store, hop) = (Store::new(), hop());
    let server = serve(&store, &hop);
    let to = |recipients: &[&str]| send(server.address, SENDER, recipients);
    let delivered = to(&["a@to.example", "b@to.example"]);
    let other = to(&["c@to.example"]);
    let bounced = to(&["gone@to.example"]);
    let deferred = to(&["later@to.example"]);
    let deleted = to(&["later@to.example"]);
    until_logged(&store, &deferred, "deferred");
    until_logged(&store, &deleted, "deferred");
    until_logged(&store, &bounced, "bounced");
    store.queue_ok(&["delete", &deleted]);
    // The notice is delivered, too.
    store.until_list("the deferred one alone", |list| {
        (list.len() == 1).then_some(())
    });

    let beside = told(&store, &log(&store), &["--all"]);
    assert_eq!(beside.status, Some(0), "{:?}", beside.messages);
    server.stop();
    let after = told(&store, &log(&store), &["--all"]);
    for told in [&beside, &after] {
        assert_eq!(told.fate(&delivered), "delivered");
        assert_eq!(told.fate(&other), "delivered");
        assert_eq!(told.fate(&bounced), "bounced");
        assert_eq!(told.fate(&deferred), "queued");
        assert_eq!(told.fate(&deleted), "removed");
        assert_eq!(told.messages.len(), 6);
    }
    assert_eq!(after.status, Some(0));
    let quiet = told(&store, &log(&store), &[]);
    assert_eq!((quiet.status, quiet.messages.len()), (Some(0), 0));
    assert_eq!(quiet.fates["delivered"], 3);

    for (id, what, fate) in [
        (&other, "delivered", "lost"),
        (&deleted, "deleted by operator", "lost"),
        (&other, "received", "unexplained"),
    ] {
        let damaged = without(&store, id, what, "");
        let told = told(&store, damaged.to_str().unwrap(), &[]);
        assert_eq!(told.status, Some(1), "{what}");
        assert_eq!(told.messages.len(), 1, "{:?}", told.messages);
        assert_eq!(told.fate(id), fate);
    }
    let half = without(&store, &delivered, "delivered", "b@to.example");
    let told = told(&store, half.to_str().unwrap(), &[]);
    let fates = &told.messages[0]["recipients"];
    assert_eq!(fates[0]["recipient"], "a@to.example", "{fates}");
    assert_eq!(fates[0]["fate"], "delivered", "{fates}");
    assert_eq!(fates[1]["recipient"], "b@to.example", "{fates}");
    assert_eq!(fates[1]["fate"], "lost", "{fates}");
    let said = stdout(&audit(&store, half.to_str().unwrap(), &[]));
    assert!(
        said.contains("1 lost, nothing is known of it: b@to.example"),
        "{said}"
    );
}

#[test]
fn after_a_kill_what_has_no_last_line_is_unknown() {
    let (store, hop) = (Store::new(), hop());
    let server = serve(&store, &hop);
    let known = send(server.address, SENDER, &["a@to.example"]);
    let unknown = send(server.address, SENDER, &["b@to.example"]);
    let deferred = send(server.address, SENDER, &["later@to.example"]);
    until_logged(&store, &known, "delivered");
    until_logged(&store, &unknown, "delivered");
    until_logged(&store, &deferred, "deferred");
    server.kill();
    // As if it had died between the commit and the line.
    let damaged = without(&store, &unknown, "delivered", "");
    let damaged = damaged.to_str().unwrap();
    let dead = told(&store, damaged, &["--all"]);
    assert_eq!(dead.status, Some(0));
    assert_eq!(dead.fate(&known), "delivered");
    assert_eq!(dead.fate(&unknown), "unknown");
    assert_eq!(dead.fate(&deferred), "queued");
    assert_eq!(told(&store, damaged, &[]).messages.len(), 1);
    let said = stdout(&audit(&store, damaged, &[]));
    for part in ["1 unknown", "0 lost", "died 1 times", &unknown] {
        assert!(said.contains(part), "no {part} in {said}");
    }
}

/// Changes one byte of a text wherever it stands in the store.
fn damage(store: &Store, text: &[u8]) {
    for file in fs::read_dir(store.path()).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let found: Vec<_> = memchr::memmem::find_iter(&bytes, text).collect();
        found.iter().for_each(|at| bytes[*at] ^= 1);
        if !found.is_empty() {
            fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn what_a_command_puts_into_quarantine_has_its_line() {
    for json in [false, true] {
        let (store, hop) = (Store::new(), hop());
        let server = serve(&store, &hop);
        let damaged = send(server.address, SENDER, &["later1@to.example"]);
        let whole = send(server.address, SENDER, &["later2@to.example"]);
        until_logged(&store, &damaged, "deferred");
        until_logged(&store, &whole, "deferred");
        server.stop();
        damage(&store, b"later1@to.example");
        let args: &[&str] = if json { &["--log-format", "json"] } else { &[] };
        let output = store.queue(&[&["stats"], args].concat());
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        let is_line = |line: &&str| line.contains("into quarantine") && line.contains(&damaged);
        assert_eq!(said.lines().filter(is_line).count(), 1, "{said}");
        if json {
            fs::write(store.log(), store.logged() + &said).unwrap();
        }
        let told = told(&store, &log(&store), &["--all"]);
        assert_eq!(told.status, Some(0));
        assert_eq!(told.fate(&damaged), "quarantined");
        assert_eq!(told.fate(&whole), "queued");
        // Nobody is told that it is gone.
        for command in ["show", "explain"] {
            let said = stderr(&store.queue(&[command, &damaged]));
            let unreadable = format!("message {damaged} cannot be read");
            assert!(said.contains(&unreadable), "{command}: {said}");
        }
    }
}

#[test]
fn a_log_that_tells_nothing_proves_nothing() {
    let store = Store::new();
    store.serve(&["--relay", "none"]).stop();
    let output = audit(&store, &log(&store), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("--log-format json"),
        "{}",
        stderr(&output)
    );
    assert_eq!(audit(&store, "/nowhere", &[]).status.code(), Some(2));
}
