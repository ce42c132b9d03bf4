//! Delivery agents of others on this machine: `pipe:` runs them for each recipient, or
//! LMTP reaches them by a socket.

use std::fs;
use std::path::Path;

use crate::peers::Peer;
use crate::rig::{Store, free_address, send, until};

/// What is for `known` arrives in the Maildir, and what is for `unknown` is refused.
#[track_caller]
fn delivers(relay: &str, mailbox: &Path) {
    let store = Store::new();
    let server = store.serve(&["--relay", relay]);
    let recipients = ["known@to.example", "unknown@to.example"];
    send(server.address, "sender@from.example", &recipients);
    let delivered = until("the message in its mailbox", || {
        let file = fs::read_dir(mailbox.join("new")).ok()?.next()?;
        fs::read_to_string(file.unwrap().path()).ok()
    });
    for line in [
        "Return-Path: <sender@from.example>\n",
        "Delivered-To: known@to.example\n",
        "\nHello.\n",
    ] {
        assert!(delivered.contains(line), "{line}: {delivered}");
    }
    until("the refusal of the other", || {
        let log = store.logged();
        let refused = |line: &str| {
            line.contains("recipient=unknown@to.example") && line.contains("550 5.1.1")
        };
        log.lines().any(refused).then_some(())
    });
    server.stop();
}

/// The relay that runs it in the root of its own.
fn run_in(peer: &Peer, agent: &str) -> String {
    format!("pipe:/usr/sbin/chroot {} {agent}", peer.path("").display())
}

#[test]
fn maildrop_delivers() {
    let Some(peer) = Peer::maildrop() else {
        return;
    };
    let agent = "/usr/bin/maildrop -f {sender} -d {user}";
    delivers(&run_in(&peer, agent), &peer.path("home/known/Maildir"));
}

#[test]
fn dovecot_lda_delivers() {
    let Some(peer) = Peer::dovecot(free_address()) else {
        return;
    };
    let agent = "/usr/lib/dovecot/dovecot-lda -c /etc/dovecot.conf -f {sender} -a {recipient} -d {recipient}";
    delivers(
        &run_in(&peer, agent),
        &peer.path("var/mail/known@to.example"),
    );
}

#[test]
fn dovecot_delivers_by_its_socket() {
    let Some(peer) = Peer::dovecot(free_address()) else {
        return;
    };
    let relay = format!("lmtp:{}", peer.path("run/dovecot/lmtp").display());
    delivers(&relay, &peer.path("var/mail/known@to.example"));
}
