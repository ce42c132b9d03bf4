//! Mail that goes through servers of others: from one slimta to them, and from
//! them to another, encrypted, with what the sender wants to be told.

use std::net::SocketAddr;
use std::process::Command;

use crate::encryption::Certificates;
use crate::peers::Peer;
use crate::postfix::Postfix;
use crate::rig::{Client, KeepingSink, Server, Store, stdout, until};

const SENDER: &str = "sender@from.example";

#[test]
fn mail_goes_through_exim() {
    let line = Line::new();
    let Some(peer) = Peer::exim(line.end.address) else {
        return;
    };
    let by_peer = line.carry(peer.address, "required");
    for said in ["with esmtps", "TLS1.3"] {
        assert!(by_peer.contains(said), "{by_peer}");
    }
    // `L` without a minus: commands came in one batch.
    let log = peer.log();
    let received = log.lines().find(|l| l.contains(&format!("<= {SENDER}")));
    assert!(
        received.is_some_and(|l| l.contains(" L") && !l.contains(" L-")),
        "{log}"
    );
    // The server that handed it in has stopped, and said so.
    let ends = " (start.test.example) [127.0.0.1] closed by QUIT";
    until("the end of the session", || {
        peer.log().contains(ends).then_some(())
    });
}

/// The one of Debian 12 cannot sign with its OpenSSL, so no handshake with it
/// succeeds, and what it is handed in clear it hands on under TLS.
#[test]
fn mail_goes_through_opensmtpd() {
    let line = Line::new();
    let Some(peer) = Peer::opensmtpd(line.end.address) else {
        return;
    };
    let by_peer = line.carry(peer.address, "opportunistic");
    assert!(by_peer.contains("with ESMTP"), "{by_peer}");
}

#[test]
fn mail_goes_through_postfix() {
    let line = Line::new();
    let Some(peer) = Postfix::start(line.end.address) else {
        return;
    };
    let by_peer = line.carry(peer.address, "required");
    assert!(by_peer.contains("with ESMTPS"), "{by_peer}");
}

/// The recipient that it does not know bounces, the other has its mail.
#[test]
fn dovecot_delivers_by_lmtp_and_hands_in_what_its_users_send() {
    let line = Line::new();
    let Some(peer) = Peer::dovecot(line.end.address) else {
        return;
    };
    let store = Store::new();
    let relay = format!("lmtp://{}", peer.address);
    let server = store.serve(&["--relay", &relay, "--tls", "required"]);
    let recipients = ["known@to.example", "unknown@to.example"];
    crate::rig::send(server.address, SENDER, &recipients);
    let delivered = until("the message in its mailbox", || {
        let new = std::fs::read_dir(peer.path("var/mail/known@to.example/new"));
        let file = new.ok()?.next()?.unwrap().path();
        std::fs::read_to_string(file).ok()
    });
    assert!(
        delivered.contains("Return-Path: <sender@from.example>"),
        "{delivered}"
    );
    assert!(delivered.contains("Delivered-To: known@to.example"));
    until("the refusal of the other", || {
        let log = store.logged();
        let refused = |line: &&str| line.contains("recipient=unknown@to.example");
        log.lines()
            .find(refused)
            .filter(|line| line.contains("550"))
            .map(|_| ())
    });
    server.stop();

    let sent = Command::new("swaks")
        .args(["--server", &peer.submission.to_string(), "--tls"])
        .args([
            "--auth",
            "PLAIN",
            "-au",
            "known@to.example",
            "-ap",
            "secret",
        ])
        .args(["--from", SENDER, "--to", "third@to.example"])
        .output()
        .unwrap();
    assert!(sent.status.success(), "{}\n{}", stdout(&sent), peer.log());
    let came = line.arrived("<third@to.example>");
    let by_end = stamp(&came, "end.test.example");
    assert!(by_end.contains("with ESMTPS"), "{came}");
}

/// The end of a line of servers: a slimta under TLS that hands mail to a sink.
struct Line {
    sink: KeepingSink,
    _certificates: Certificates,
    _store: Store,
    end: Server,
}

impl Line {
    fn new() -> Self {
        let sink = KeepingSink::start();
        let certificates = Certificates::new();
        certificates.make("host", "end.test.example");
        let options = certificates.options(&["host"]);
        let store = Store::new();
        let relay = sink.url();
        let mut args = vec!["--relay", &relay, "--hostname", "end.test.example"];
        args.extend(options.iter().map(String::as_str));
        let end = store.serve(&args);
        Line {
            sink,
            _certificates: certificates,
            _store: store,
            end,
        }
    }

    /// Sends a message through another slimta and `peer`, which hands it to the
    /// end; its sender wants to be told of success. Gives the stamp of the peer.
    fn carry(&self, peer: SocketAddr, tls: &str) -> String {
        let store = Store::new();
        let relay = format!("smtp://{peer}");
        let options = ["--hostname", "start.test.example", "--tls", tls];
        let server = store.serve(&[&["--relay", &*relay], &options[..]].concat());
        let mut client = Client::connect(server.address).unwrap();
        client.ask("EHLO client.example", "250").unwrap();
        for (line, reply) in [
            ("MAIL FROM:<sender@from.example> RET=HDRS ENVID=one", "250"),
            (
                "RCPT TO:<a@to.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first@to.example",
                "250",
            ),
            ("DATA", "354"),
            ("Subject: through\r\n\r\nHello.\r\n..\r\n.", "250"),
            ("QUIT", "221"),
        ] {
            client.ask(line, reply).unwrap();
        }
        let came = self.arrived("<a@to.example>");
        assert!(came.contains("\nHello.\n.\n"), "{came}");
        assert!(
            stamp(&came, "end.test.example").contains("with ESMTPS"),
            "{came}"
        );
        // What the sender wants to be told has come through all of them.
        for said in [
            "X-Mail-Args: <sender@from.example> RET=HDRS ENVID=one",
            "NOTIFY=SUCCESS,FAILURE",
            "ORCPT=rfc822;first@to.example",
        ] {
            assert!(came.contains(said), "no {said:?}: {came}");
        }
        server.stop();
        stamp(&came, "p")
    }

    /// The message for a recipient that came to the sink.
    #[track_caller]
    fn arrived(&self, recipient: &str) -> String {
        let envelope = format!("X-Rcpt-Args: {recipient}");
        until("the message behind the line", || {
            let all = self.sink.messages().into_iter();
            all.map(|message| message.replace('\r', ""))
                .find(|message| message.contains(&envelope) && message.contains("\n\n"))
        })
    }
}

/// The Received field of the host whose name begins so, as one line.
#[track_caller]
fn stamp(message: &str, host: &str) -> String {
    let by = format!("by {host}");
    let header = message.replace("\n\t", " ").replace("\n ", " ");
    let stamp = header.lines().find(|line| line.contains(&by));
    stamp
        .unwrap_or_else(|| panic!("nothing {by}: {message}"))
        .to_owned()
}
