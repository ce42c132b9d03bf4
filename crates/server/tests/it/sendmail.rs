//! The binary under the name `sendmail`, called as scripts and programs call it.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rig::{
    KeepingSink, NextHop, Server, Store, fed, free_address, run, stderr, stdout, text,
};

/// The binary under the names that scripts know.
pub(crate) struct Links(TempDir);

impl Links {
    pub(crate) fn new() -> Self {
        let links = Links(tempfile::tempdir().unwrap());
        for name in ["sendmail", "mailq", "postqueue", "newaliases"] {
            symlink(env!("CARGO_BIN_EXE_slimta"), links.path(name)).unwrap();
        }
        links
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file beside them.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// The program of this name, with nothing in its environment but what is named.
    pub(crate) fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.path(name));
        command.args(args).env_clear().stdin(Stdio::null());
        command
    }

    /// `sendmail`, which finds its server by the environment and reads this.
    fn send(&self, server: SocketAddr, args: &[&str], input: &[u8]) -> Output {
        let mut command = self.command("sendmail", args);
        fed(command.env("SLIMTA_SMTP", server.to_string()), input)
    }

    /// The same, which must succeed and say nothing.
    #[track_caller]
    fn send_ok(&self, server: SocketAddr, args: &[&str], input: &str) {
        let output = self.send(server, args, input.as_bytes());
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output) + &stderr(&output), "", "{args:?}");
    }

    /// A line of the shell that finds `sendmail` in its path.
    fn shell(&self, server: SocketAddr, line: &str) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        let mut command = Command::new("sh");
        command.args(["-c", line]).env("PATH", path);
        let command = command.env("SLIMTA_SMTP", server.to_string());
        command.stdin(Stdio::null()).output().unwrap()
    }
}

/// A server that only stores, and the links.
fn storing(args: &[&str]) -> (Links, Store, Server) {
    let store = Store::new();
    let server = store.serve(&[&["--relay", "none"], args].concat());
    (Links::new(), store, server)
}

/// The contents of a listed message.
fn content(store: &Store, message: &Value) -> String {
    store.queue_ok(&["show", text(message, "id"), "--content"])
}

/// The one submission that is stored: sender, all recipients, contents. It is gone
/// then.
#[track_caller]
fn taken(store: &Store) -> (String, Vec<String>, String) {
    let list = store.list();
    let first = list.first().expect("nothing was stored");
    let submission = text(first, "submission");
    assert!(
        list.iter().all(|m| text(m, "submission") == submission),
        "{list:?}"
    );
    let recipients = list
        .iter()
        .flat_map(|m| m["recipients"].as_array().unwrap());
    let mut recipients: Vec<String> = recipients.map(|r| r.as_str().unwrap().to_owned()).collect();
    recipients.sort();
    let content = content(store, first);
    store.queue_ok(&["delete", "--all"]);
    (text(first, "sender").to_owned(), recipients, content)
}

#[track_caller]
fn refused(output: &Output, status: i32, told: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(
        said.lines().all(|line| line.starts_with("sendmail: ")),
        "{said}"
    );
    for word in told {
        assert!(said.contains(word), "no {word} in {said}");
    }
}

#[test]
fn scripts_hand_mail_in() {
    let (links, store, server) = storing(&[]);
    let lines = [
        // A shell script; PHP's mail(), by default and with a fifth argument.
        r"printf 'To: a@one.example\nSubject: Hi\n\nHello.\n' | sendmail -t -i",
        r"printf 'To: a@one.example\r\nSubject: Hi\r\n\r\nHello.\r\n' | sendmail -t -i -fme@x.example",
        // Recipients that are typed; under the long name of the command.
        r"printf 'Subject: Hi\n\nHello.\n' | sendmail -oi -oem a@one.example",
        r"printf 'Subject: Hi\n\nHello.\n.\nNot this.\n' | sendmail a@one.example",
        r#"python3 -c '
import subprocess
subprocess.run(["sendmail", "-oi", "-t"], input=b"To: A <a@one.example>\nSubject: Hi\n\nHello.\n", check=True)'"#,
        r#"perl -e '
open(my $mail, "|-", "sendmail", "-t", "-oi") or die;
print $mail "Subject: Hi\nBcc: a\@one.example\n\nHello.\n";
close($mail) or die "status $?";'"#,
    ];
    for line in lines {
        let output = links.shell(server.address, line);
        assert!(output.status.success(), "{line}: {}", stderr(&output));
        let (_, recipients, content) = taken(&store);
        assert_eq!(recipients, ["a@one.example"], "{line}");
        assert!(content.contains("Subject: Hi\r\n"), "{line}: {content}");
        assert!(
            content.ends_with("\r\n\r\nHello.\r\n"),
            "{line}: {content:?}"
        );
    }
}

#[test]
fn cron_hands_mail_in() {
    let (links, store, server) = storing(&["--hostname", "mx.test.example"]);
    let config = links.write("slimta.toml", "hostname = \"mx.test.example\"");
    let args = [
        "-FCronDaemon",
        "-C",
        &config,
        "-i",
        "-B8BITMIME",
        "-oem",
        "root",
    ];
    let header =
        "From: root (Cron Daemon)\nTo: root\nSubject: Cron\nAuto-Submitted: auto-generated\n";
    let output = format!("{header}\n10%\r20%\r30%\n.\nend \u{f6}\n");
    links.send_ok(server.address, &args, &output);
    let (sender, recipients, content) = taken(&store);
    assert!(sender.ends_with("@mx.test.example"), "{sender}");
    assert_eq!(recipients, ["root@mx.test.example"]);
    assert!(
        content.ends_with("\r\n\r\n10% 20% 30%\r\n.\r\nend \u{f6}\r\n"),
        "{content:?}"
    );
    assert!(!content.contains("CronDaemon"), "{content}");
}

#[test]
fn a_message_arrives_whole() {
    let (links, store, sink) = (Links::new(), Store::new(), KeepingSink::start());
    let server = store.serve(&["--relay", &sink.url()]);
    let body = "..\n.x\n.\nFrom here\n";
    let input =
        format!("To: a@one.example, b@two.example\nBcc: c@three.example\nSubject: S\n\n{body}");
    links.send_ok(
        server.address,
        &["-ti", "-F", "A. Writer", "-fw@x.example"],
        &input,
    );
    store.until_empty();
    let messages = sink.messages();
    for to in ["a@one.example", "b@two.example", "c@three.example"] {
        let of_it = |message: &&String| message.contains(&format!("X-Rcpt-Args: <{to}>"));
        let message = messages.iter().find(of_it).expect(to);
        assert!(message.contains("X-Mail-Args: <w@x.example>"), "{message}");
        assert!(
            message.contains("From: \"A. Writer\" <w@x.example>"),
            "{message}"
        );
        assert!(
            !message.contains("Bcc") && message.contains("Subject: S"),
            "{message}"
        );
        for added in ["Date: ", "Message-ID: ", "Received: "] {
            assert!(message.contains(&format!("\n{added}")), "{message}");
        }
        assert!(message.trim_end().ends_with(body.trim_end()), "{message}");
    }
}

/// Ids that are chance may have the letters in them.
#[track_caller]
fn hides_the_bcc(content: &str) {
    let is_bcc = |line: &str| line.to_lowercase().starts_with("bcc") || line.contains("-Bcc");
    assert!(!content.lines().any(is_bcc), "{content}");
    assert!(!content.contains("e@five.example"), "{content}");
}

#[test]
fn the_header_names_recipients_beside_the_command_line() {
    let (links, store, server) = storing(&[]);
    let header = "From: x@y.example\nTo: A <a@one.example>, friends: b@two.example;\n\
                  cc: \"C, C\" <c@three.example>,\n\td@four.example (D)\nBCC: e@five.example\n";
    let input = format!("{header}\nTo: z@z.example\n");
    links.send_ok(
        server.address,
        &["-t", "-i", "f@six.example", "g@seven.example,A@ONE.example"],
        &input,
    );
    let (_, recipients, content) = taken(&store);
    let named = [
        "A@ONE.example",
        "a@one.example",
        "b@two.example",
        "c@three.example",
    ];
    let others = [
        "d@four.example",
        "e@five.example",
        "f@six.example",
        "g@seven.example",
    ];
    assert_eq!(recipients, [named, others].concat());
    hides_the_bcc(&content);
    assert!(content.contains("\r\ncc: \"C, C\" <c@three.example>,\r\n\td@four.example (D)\r\n"));
    // Who sends it on says to whom.
    let resent = format!("Resent-To: r@one.example\nResent-Bcc: s@one.example\n{input}");
    links.send_ok(server.address, &["-t"], &resent);
    let (_, recipients, content) = taken(&store);
    assert_eq!(recipients, ["r@one.example", "s@one.example"]);
    hides_the_bcc(&content);
    // Without -t it is only text, but for what nobody may see.
    links.send_ok(server.address, &["t@one.example"], &input);
    let (_, recipients, content) = taken(&store);
    assert_eq!(recipients, ["t@one.example"]);
    hides_the_bcc(&content);
}

#[test]
fn lines_and_dots_come_as_they_are_meant() {
    let (links, store, server) = storing(&[]);
    for (args, input, body) in [
        (&["a@b.example"][..], "A: 1\n\nx\n.\ny\n", "x\r\n"),
        (&["a@b.example"], "A: 1\r\n\r\nx\r\n.\r\ny\r\n", "x\r\n"),
        (&["-i", "a@b.example"], "A: 1\n\nx\n.\ny", "x\r\n.\r\ny\r\n"),
        (
            &["-oi", "a@b.example"],
            "A: 1\r\n\r\nx\r\n.\r\n..\r\n",
            "x\r\n.\r\n..\r\n",
        ),
        (&["-i", "a@b.example"], "A: 1\n\n1%\r2%\r\n", "1% 2%\r\n"),
        (&["-i", "a@b.example"], "no header\n", "no header\r\n"),
        (
            &["-i", "a@b.example"],
            "A: 1\nno empty line\n",
            "no empty line\r\n",
        ),
        (
            &["-i", "a@b.example"],
            "From x@y Thu Nov 26 10:00:00 2026\nA: 1\n\nz\n",
            "z\r\n",
        ),
    ] {
        links.send_ok(server.address, args, input);
        let (_, _, content) = taken(&store);
        let (header, rest) = content.split_once("\r\n\r\n").unwrap();
        assert_eq!(rest, body, "{input:?}");
        assert!(
            header.contains("From: ") && header.contains("Date: "),
            "{content}"
        );
        assert!(!header.contains("From x@y"), "{content}");
    }
}

#[test]
fn the_sender_is_who_is_said_or_who_calls() {
    let (links, store, server) = storing(&[]);
    let config = links.write("slimta.toml", "hostname = \"host.example\"");
    let user = stdout(&Command::new("id").arg("-un").output().unwrap());
    let own = format!("{}@host.example", user.trim());
    for (args, sender, from) in [
        (
            &["-f", "a@b.example", "-FX"][..],
            "a@b.example",
            "X <a@b.example>",
        ),
        (
            &["-fa@b.example", "-F", "X"],
            "a@b.example",
            "X <a@b.example>",
        ),
        (
            &["-r", "A <a@b.example>", "-FX"],
            "a@b.example",
            "X <a@b.example>",
        ),
        (
            &["-fnews", "-FX"],
            "news@host.example",
            "X <news@host.example>",
        ),
        (&["-f", "<>", "-FX"], "", &format!("X <{own}>")),
        (&["-f", "", "-FX"], "", &format!("X <{own}>")),
        (
            &["-F", "J\u{f6}rg"],
            &own,
            &format!("=?UTF-8?Q?J=C3=B6rg?= <{own}>"),
        ),
    ] {
        let args = [args, &["-C", &config, "to@one.example"]].concat();
        links.send_ok(server.address, &args, "Subject: S\n\n");
        let (seen, _, content) = taken(&store);
        assert_eq!(seen, sender, "{args:?}");
        assert!(
            content.contains(&format!("From: {from}\r\n")),
            "{args:?}: {content}"
        );
    }
    links.send_ok(
        server.address,
        &["-FX", "to@one.example"],
        "from: own@b.example\n\n",
    );
    let (_, _, content) = taken(&store);
    assert!(
        content.contains("from: own@b.example") && !content.contains("From: X"),
        "{content}"
    );
}

#[test]
fn addresses_that_begin_with_a_dash_are_no_options() {
    let (links, store, server) = storing(&[]);
    for args in [
        &["-i", "--", "-f@one.example"][..],
        &["-i", "a@one.example", "-f@one.example"],
    ] {
        links.send_ok(server.address, args, "Subject: S\n\n");
        let (_, recipients, _) = taken(&store);
        assert_eq!(
            recipients.first().map(String::as_str),
            Some("-f@one.example")
        );
    }
    let args = ["sendmail", "-i", "--", "-t@one.example"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_slimta"));
    let command = command
        .args(args)
        .env("SLIMTA_SMTP", server.address.to_string());
    let output = fed(command, b"Subject: S\n\n");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(taken(&store).1, ["-t@one.example"]);
}

#[test]
fn nothing_is_written_into_a_header_or_a_session_through_an_option() {
    let (links, store, server) = storing(&[]);
    for args in [
        &["-F", "X\r\nBcc: evil@one.example", "a@one.example"][..],
        &["-F", "X\nBcc: evil@one.example", "a@one.example"],
        &[
            "-f",
            "a@one.example\r\nBcc: evil@one.example",
            "a@one.example",
        ],
        &[
            "-f",
            "a@one.example>\r\nRCPT TO:<evil@one.example",
            "a@one.example",
        ],
        &["-V", "x\r\nRCPT TO:<evil@one.example>", "a@one.example"],
        &["-N", "never\r\nRCPT TO:<evil@one.example>", "a@one.example"],
    ] {
        let output = links.send(server.address, args, b"Subject: S\n\n");
        refused(&output, 64, &[]);
    }
    let output = links.send(
        server.address,
        &["a@one.example>\r\nRCPT TO:<evil@one.example"],
        b"\n",
    );
    refused(&output, 65, &["a@one.example>??RCPT TO"]);
    store.until_empty();
}

#[test]
fn what_cannot_be_done_has_its_status() {
    let (links, store, server) = storing(&[]);
    let message = b"Subject: S\n\n";
    for (args, status, told) in [
        (&[][..], 64, "there are no recipients"),
        (&["-t"], 64, "the header names no recipients"),
        (&["-z", "a@one.example"], 64, "-z is not supported"),
        (&["-bd"], 64, "slimta serve"),
        (&["-f"], 64, "-f needs a value"),
        (
            &["-f", "not an address", "a@one.example"],
            64,
            "the sender not an address",
        ),
        (&["a@one.example@"], 65, "a@one.example@"),
        (
            &["-C", "/nowhere/slimta.toml", "a@one.example"],
            78,
            "/nowhere/slimta.toml",
        ),
    ] {
        refused(&links.send(server.address, args, message), status, &[told]);
    }
    let config = links.write("small.toml", "message-bytes-max = \"1k\"");
    let large = [b"\n".as_slice(), &[b'x'; 2000]].concat();
    let output = links.send(server.address, &["-C", &config, "a@one.example"], &large);
    refused(&output, 69, &["message-bytes-max"]);
    let output = links.send(server.address, &["a@one.example"], b"\nx\0y\n");
    refused(&output, 65, &["a@one.example", "NUL"]);
    let mut command = links.command("sendmail", &["a@one.example"]);
    refused(
        &fed(command.env("SLIMTA_SMTP", "nowhere"), message),
        78,
        &["SLIMTA_SMTP"],
    );
    store.until_empty();
    // What was taken is taken, though nobody hears of it.
    let mut command = links.command("sendmail", &["-v", "a@one.example"]);
    command.env("SLIMTA_SMTP", server.address.to_string());
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    assert!(command.stdout(full).status().unwrap().success());
    assert_eq!(store.list().len(), 1);
}

#[test]
fn a_server_that_is_down_means_later() {
    let links = Links::new();
    let nobody = free_address();
    let output = links.send(nobody, &["-t"], b"To: a@one.example\n\nHello.\n");
    refused(&output, 75, &[&nobody.to_string(), "slimta serve"]);
    let listen = links.write(
        "slimta.toml",
        &format!("listen = [\"0.0.0.0:{}\"]", nobody.port()),
    );
    for args in [&["-bs"][..], &["a@one.example"]] {
        let mut command = links.command("sendmail", args);
        let output = fed(command.env("SLIMTA_CONFIG", &listen), b"\n");
        refused(&output, 75, &[&nobody.to_string()]);
    }
}

#[test]
fn the_configuration_names_the_server() {
    let (links, store, server) = storing(&[]);
    let config = format!("listen = [\"{}\", \"127.0.0.1:1\"]", server.address);
    let config = links.write("slimta.toml", &config);
    let mut command = links.command("sendmail", &["-C", &config, "a@one.example"]);
    assert!(fed(&mut command, b"\n").status.success());
    let mut command = links.command("sendmail", &["b@one.example"]);
    assert!(
        fed(command.env("SLIMTA_CONFIG", &config), b"\n")
            .status
            .success()
    );
    assert_eq!(store.list().len(), 2);
}

#[test]
fn who_is_refused_is_told_and_the_others_get_it() {
    let links = Links::new();
    let sink = NextHop::answering(&[
        "^nobody@=550 5.1.1 No such user",
        "^full@=452 4.2.2 Mailbox full",
        "^odd@=554 5.7.1 \u{1b}[2JNot you",
    ]);
    let input = b"To: a@x.example\n\n";
    for (args, status, told) in [
        (
            &["-t", "nobody@x.example"][..],
            67,
            &["<nobody@x.example>: 550 5.1.1 No such user"][..],
        ),
        (
            &["-t", "full@x.example"],
            75,
            &["<full@x.example>: 452 4.2.2 Mailbox full"],
        ),
        (
            &["full@x.example", "odd@x.example"],
            77,
            &["<full@x.example>", "<odd@x.example>"],
        ),
        (
            &["-t", "no one", "full@x.example"],
            65,
            &["\"no one\": two words", "<full@x.example>"],
        ),
    ] {
        let output = links.send(sink.address, args, input);
        refused(&output, status, told);
        assert_eq!(stderr(&output).lines().count(), told.len());
        assert!(!stderr(&output).contains('\u{1b}'));
    }
    let (store, closed) = (Store::new(), Links::new());
    let server = store.serve(&["--relay", "none", "--permit", "192.0.2.1"]);
    refused(
        &closed.send(server.address, &["a@x.example"], b"\n"),
        77,
        &["<a@x.example>", "Relaying denied"],
    );
    let (links, store, server) = storing(&[]);
    let output = links.send(
        server.address,
        &["-v", "a@x.example", "b@@x.example"],
        b"\n",
    );
    refused(&output, 65, &["b@@x.example"]);
    assert!(
        stdout(&output).contains("a@x.example: 250 2.6.0 Message queued"),
        "{}",
        stdout(&output)
    );
    assert_eq!(taken(&store).1, ["a@x.example"]);
}

#[test]
fn more_recipients_than_a_transaction_takes_all_get_it() {
    let (links, store, server) = storing(&["--recipients-max", "2"]);
    let to: Vec<String> = (0..7).map(|n| format!("u{n}@one.example")).collect();
    links.send_ok(
        server.address,
        &["-t"],
        &format!("To: {}\n\nHello.\n", to.join(",\n ")),
    );
    let list = store.list();
    let recipients = list
        .iter()
        .flat_map(|m| m["recipients"].as_array().unwrap());
    let mut recipients: Vec<&Value> = recipients.collect();
    recipients.sort_by_key(|recipient| recipient.to_string());
    assert_eq!(json!(recipients), json!(to));
}

#[test]
fn who_asks_for_a_notice_of_success_gets_it() {
    let (links, store) = (Links::new(), Store::new());
    let maildir = tempfile::tempdir().unwrap();
    let server = store.serve(&["--relay", &format!("maildir:{}", maildir.path().display())]);
    let args = [
        "-N",
        "success,delay",
        "-R",
        "hdrs",
        "-V",
        "Order 17",
        "-f",
        "me@x.example",
        "a@one.example",
    ];
    links.send_ok(server.address, &args, "Subject: S\n\nSecret.\n");
    store.until_empty();
    let files = std::fs::read_dir(maildir.path().join("new")).unwrap();
    let mails = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let report = mails
        .into_iter()
        .find(|mail| mail.contains("multipart/report"));
    let report = report.expect("there is no report");
    assert!(report.contains("Action: delivered"), "{report}");
    assert!(
        report.contains("Original-Envelope-Id: Order 17"),
        "{report}"
    );
    assert!(!report.contains("Secret."), "{report}");
}

#[test]
fn a_session_on_stdin_is_one_with_the_server() {
    let (links, store, server) = storing(&[]);
    let pipe = format!("{} -bs", links.path("sendmail").display());
    let mut swaks = Command::new("swaks");
    swaks.args([
        "--pipe",
        &pipe,
        "--from",
        "me@x.example",
        "--to",
        "a@one.example",
        "--helo",
        "me.example",
    ]);
    let output = swaks
        .env("SLIMTA_SMTP", server.address.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("220 mx.test.example"),
        "{}",
        stdout(&output)
    );
    let (sender, recipients, content) = taken(&store);
    assert_eq!(
        (sender.as_str(), recipients.concat()),
        ("me@x.example", "a@one.example".to_owned())
    );
    assert!(content.contains("This is a test mailing"), "{content}");
    // A program that says nothing more is not waited for.
    let output = links.send(server.address, &["-bs"], b"NOOP\r\n");
    assert!(output.status.success());
    assert!(
        stdout(&output).contains("\r\n250 2.0.0 Ok\r\n"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn there_are_no_aliases_to_read() {
    let links = Links::new();
    for output in [
        links.command("newaliases", &[]).output().unwrap(),
        links.command("sendmail", &["-bi"]).output().unwrap(),
        links.command("sendmail", &["-q30m"]).output().unwrap(),
        run(&["newaliases"]),
    ] {
        assert!(output.status.success());
        assert_eq!(stdout(&output) + &stderr(&output), "");
    }
}
