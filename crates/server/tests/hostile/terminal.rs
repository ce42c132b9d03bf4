//! What operators read on a terminal, which nothing that strangers said may
//! steer.

use std::io::Write;
use std::net::TcpListener;
use std::process::Command;

use crate::rig::{Store, stdout, text};
use crate::shown::{is_harmless, steers, submit};
use crate::wire::Wire;

const HEADER: &str =
    "Subject: \u{1b}[2J\u{7}\u{7f}\u{9b}2J\u{202e}x\r\n\r\n\u{1b}]0;body\u{7}\u{202e}\r\n";
const REASON: &str = "why\r\nnot\u{1b}[2J\u{7f}\u{9b}\u{202e}";

/// Runs the binary on a terminal and gives what that was told.
fn on_a_terminal(args: &[&str]) -> String {
    let quoted = |arg: &&str| format!("'{arg}'");
    let args: Vec<_> = args.iter().map(quoted).collect();
    let slimta = env!("CARGO_BIN_EXE_slimta");
    let command = format!("{slimta} {} </dev/null", args.join(" "));
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .output()
        .unwrap();
    // A terminal makes CR LF of each end of a line.
    stdout(&output).replace("\r\n", "\n")
}

/// A configuration that says this, beside the store.
fn config(store: &Store, text: &str) -> String {
    let file = store.path().with_extension("toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn nothing_in_the_queue_steers_a_terminal() {
    let store = Store::new();
    let server = store.serve(&["--relay", "none"]);
    let mut client = Wire::greeted(server.address);
    submit(&mut client);
    client.ask("MAIL FROM:<a@from.example> BODY=8BITMIME", "250 ");
    client.ask("RCPT TO:<b@to.example>", "250 ");
    client.ask("DATA", "354 ");
    client.ask(&format!("{HEADER}."), "250 2.6.0 ");
    store.queue_ok(&["hold", "--all", "--reason", REASON]);
    let list = store.list();
    let config = config(&store, &format!("storage = \"{}\"", store.url()));
    let mut asked = vec![vec!["list"], vec!["list", "--json"], vec!["stats"]];
    for message in &list {
        let id = text(message, "id");
        asked.push(vec!["show", id]);
        asked.push(vec!["show", id, "--json"]);
        asked.push(vec!["show", id, "--content"]);
        asked.push(vec!["show", id, "--content", "--json"]);
    }
    let queue = ["queue", "--config", &config];
    let mut asked: Vec<_> = asked.iter().map(|ask| [&queue[..], ask].concat()).collect();
    asked.push(vec!["mailq", "-C", &config]);
    asked.push(vec!["postqueue", "-j", "-c", &config]);
    for args in asked {
        let shown = on_a_terminal(&args);
        assert!(!shown.is_empty());
        is_harmless(&shown);
        let own_lines = |line: &str| !line.starts_with("not") && !line.starts_with("X-Evil");
        assert!(shown.lines().all(own_lines), "{shown}");
    }
    // JSON means the same.
    let reasons = list.iter().map(|message| text(message, "hold_reason"));
    assert!(reasons.eq([REASON; 2]));
    // Whoever wants the message gets it.
    let whole = store.queue(&["show", text(&list[1], "id"), "--content"]);
    let (_, body) = HEADER.split_once("\r\n\r\n").unwrap();
    assert!(whole.stdout.ends_with(body.as_bytes()));
    assert!(stdout(&whole).contains(steers));
}

#[test]
fn a_server_cannot_steer_the_terminal_of_who_sends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all("554 \u{1b}[2J\u{202e}no\u{9b}\r\n".as_bytes());
        }
    });
    let to = ["--from", "a@b", "--to", "c@d"];
    let shown = on_a_terminal(&[&["send", "/dev/null", "--server", &address], &to[..]].concat());
    assert!(shown.contains("554"), "{shown}");
    is_harmless(&shown);
    let store = Store::new();
    let config = config(&store, &format!("listen = [\"{address}\"]"));
    let shown = on_a_terminal(&["sendmail", "-C", &config, "-f", "a@b", "c@d"]);
    assert!(shown.contains("554"), "{shown}");
    is_harmless(&shown);
}
