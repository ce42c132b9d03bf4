//! Delivery to commands, small scripts that do as it is wanted.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use slimta::message::OnSuccess;
use slimta::relay::{LeaseSignal, PipeCommand, PipeRelay, Relay};
use slimta::world::World;
use tempfile::TempDir;

use crate::binary::{OCTETS, binary};
use crate::mail::{TEXT, codes, delivery, delivery_of};

/// A directory with a script, which knows it as its first argument.
struct Script {
    directory: TempDir,
}

impl Script {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let script = Script { directory };
        let path = script.path("script");
        std::fs::write(&path, format!("#!/bin/sh\ncd \"$1\" || exit 99\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        script
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn relay(&self, arguments: &[&str]) -> PipeRelay {
        let directory = self.directory.path().to_str().unwrap();
        let script = self.path("script");
        // By its interpreter: the file may still be open for writing in a child
        // that another test has just forked.
        let fixed = ["/bin/sh", script.to_str().unwrap(), directory];
        let words = fixed.iter().chain(arguments).copied();
        let command = PipeCommand::new(words).unwrap();
        PipeRelay::new(command, "us.example", World::system())
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Waits until the script has written a whole line there.
    async fn written(&self, name: &str) -> String {
        let world = World::system();
        for _ in 0..3000 {
            let text = self.read(name);
            if text.ends_with('\n') {
                return text;
            }
            world.sleep(Duration::from_millis(10)).await;
        }
        panic!("nothing was written to {name}");
    }
}

/// Waits until a process has ended, whether or not somebody has asked how.
async fn gone(pid: &str) {
    let world = World::system();
    for _ in 0..3000 {
        let stat = Path::new("/proc").join(pid).join("stat");
        let stat = std::fs::read_to_string(stat).unwrap_or_default();
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
        if matches!(state, None | Some(b'Z' | b'X')) {
            return;
        }
        world.sleep(Duration::from_millis(10)).await;
    }
    panic!("{pid} still runs");
}

#[tokio::test]
async fn each_recipient_has_a_run_with_the_message_and_its_own_arguments() {
    let script = Script::new("cat > \"$4\"; printf '%s|' \"$#\" \"$@\" > \"$4.args\"; env > env");
    let relay = script.relay(&[
        "{sender}",
        "$(id) ; 'x",
        "{user}",
        "{domain}",
        "{recipient}",
    ]);
    let report = relay
        .attempt(delivery(&["a@to.example", "B+c@Sub.example"]))
        .await;
    assert_eq!(codes(&report), [250, 250]);
    let said = report.responses[0].to_string();
    assert_eq!(said, "250 2.0.0 Message delivered successfully.");
    assert_eq!(report.on_success, OnSuccess::Delivered);
    let top = "Return-Path: <from@from.example>\nDelivered-To: B+c@Sub.example\n";
    let text = format!("{top}{}", TEXT.replace("\r\n", "\n"));
    assert_eq!(script.read("B+c"), text);
    let directory = script.directory.path().display();
    assert_eq!(
        script.read("B+c.args"),
        format!("6|{directory}|from@from.example|$(id) ; 'x|B+c|Sub.example|B+c@Sub.example|")
    );
    assert!(script.read("a").contains("Delivered-To: a@to.example\n"));
    // What a shell sets by itself is not ours.
    let known = ["HOME", "LANG", "PATH", "TZ", "PWD", "OLDPWD", "SHLVL", "_"];
    for line in script.read("env").lines() {
        let name = line.split('=').next().unwrap();
        assert!(known.contains(&name), "{line}");
    }
}

#[tokio::test]
async fn a_body_of_any_octets_has_no_lines_to_end() {
    let script = Script::new("cat > \"$2\"");
    let relay = script.relay(&["{user}"]);
    for (user, text) in [("octets", OCTETS), ("text", "A: 1\r\n\r\nb\r\n")] {
        let report = relay
            .attempt(binary(text, &[&format!("{user}@to.example")]))
            .await;
        assert_eq!(codes(&report), [250]);
    }
    let (header, body) = OCTETS.split_once("\r\n\r\n").unwrap();
    let header = header.replace("\r\n", "\n");
    let octets = script.read("octets");
    assert!(
        octets.ends_with(&format!("\n{header}\n\n{body}")),
        "{octets:?}"
    );
    assert!(script.read("text").ends_with("\nA: 1\n\nb\n"));
}

#[tokio::test]
async fn how_it_ends_is_the_answer_for_its_recipient_alone() {
    let script = Script::new(
        "case $2 in ok) ;; full) echo 'over quota' >&2; echo more >&2; exit 75;; \
         nobody) echo 'no such user' >&2; exit 67;; killed) kill -9 $$;; *) exit 1;; esac",
    );
    let relay = script.relay(&["{user}"]);
    let users = ["full", "ok", "nobody", "killed", "other"];
    let users = users.map(|user| format!("{user}@to.example"));
    let report = relay
        .attempt(delivery(&users.each_ref().map(|user| user.as_str())))
        .await;
    let said: Vec<_> = report.responses.iter().map(|r| r.to_string()).collect();
    assert_eq!(
        said,
        [
            "450 4.3.0 over quota",
            "250 2.0.0 Message delivered successfully.",
            "550 5.1.1 no such user",
            "450 4.3.0 The command was killed by signal 9",
            "550 5.3.0 The command ended with status 1",
        ]
    );
}

#[tokio::test]
async fn a_command_that_talks_without_end_is_not_kept_waiting() {
    let script = Script::new("echo first >&2; yes | head -c 1000000 >&2; exit 75");
    let report = script.relay(&[]).attempt(delivery(&["a@to.example"])).await;
    assert_eq!(report.responses[0].to_string(), "450 4.3.0 first");
}

#[tokio::test]
async fn a_command_that_reads_nothing_decides_all_the_same() {
    let script = Script::new("exit 0");
    let large = format!("Subject: x\r\n\r\n{}", "line\r\n".repeat(100_000));
    let delivery = delivery_of(&large, &["a@to.example"], LeaseSignal::unleased());
    assert_eq!(codes(&script.relay(&[]).attempt(delivery).await), [250]);
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed() {
    let script = Script::new("exec sleep 100");
    let relay = script.relay(&[]).with_time_max(Duration::from_millis(10));
    let report = relay.attempt(delivery(&["a@to.example"])).await;
    let said = report.responses[0].to_string();
    assert!(
        said.starts_with("450 4.3.0") && said.contains("10ms"),
        "{said}"
    );
}

#[tokio::test]
async fn an_attempt_that_is_cut_leaves_no_process_behind() {
    let script = Script::new("sleep 100 & echo $$ $! > pids; wait");
    let relay = script.relay(&[]);
    let attempt = tokio::spawn(async move { relay.attempt(delivery(&["a@to.example"])).await });
    let pids = script.written("pids").await;
    attempt.abort();
    attempt.await.unwrap_err();
    for pid in pids.split_whitespace() {
        gone(pid).await;
    }
}

#[tokio::test]
async fn without_a_lease_nothing_is_run() {
    let script = Script::new("touch ran");
    let world = World::system();
    let lease = LeaseSignal::until(world.clone(), world.monotonic());
    let report = script
        .relay(&[])
        .attempt(delivery_of(TEXT, &["a@to.example"], lease))
        .await;
    assert_eq!(codes(&report), [450]);
    assert!(!script.path("ran").exists());
}

#[tokio::test]
async fn an_address_is_no_option() {
    let script = Script::new("touch ran");
    let relay = script.relay(&["{recipient}"]);
    let report = relay.attempt(delivery(&["-oX@to.example"])).await;
    assert_eq!(codes(&report), [553]);
    assert!(!script.path("ran").exists());
}

#[tokio::test]
async fn a_command_that_cannot_be_started_keeps_the_mail_waiting() {
    for program in ["/nowhere/command", "/etc/passwd"] {
        let command = PipeCommand::new([program]).unwrap();
        let relay = PipeRelay::new(command, "us.example", World::system());
        let report = relay.attempt(delivery(&["a@to.example"])).await;
        let said = report.responses[0].to_string();
        assert!(
            said.starts_with("450 4.3.0 The command could not be started"),
            "{said}"
        );
    }
}
