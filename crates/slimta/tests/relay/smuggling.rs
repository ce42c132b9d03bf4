//! Contents that a program made, and no edge has looked at: whatever they hold,
//! the next hop gets one message of lines that end with CR LF (CVE-2023-51764).

use slimta::relay::{LeaseSignal, Relay};

use crate::hop::{Do, Hop};
use crate::mail::{codes, delivery_of};
use crate::smtp::relay;

/// What some host takes for the end of a message, and its lines as they are
/// sent.
const SEQUENCES: &[(&str, &str)] = &[
    ("\r\n.\r\n", "\r\n..\r\n"),
    ("\n.\n", "\r\n..\r\n"),
    ("\n.\r\n", "\r\n..\r\n"),
    ("\r\n.\n", "\r\n..\r\n"),
    ("\r.\r", "\r\n..\r\n"),
    ("\r\n.\r", "\r\n..\r\n"),
    ("\r.\r\n", "\r\n..\r\n"),
    ("\r\n.\r\r\n", "\r\n..\r\n\r\n"),
    ("\r\r\n.\r\r\n", "\r\n\r\n..\r\n\r\n"),
];
const SECOND: &str = "MAIL FROM:<smuggled@from.example>\r\n\
    RCPT TO:<smuggled@to.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled";

#[tokio::test]
async fn contents_of_a_program_stay_one_message() {
    let hop = Hop::start(|_| Do::Fine).await;
    let relay = relay(&hop);
    let mut sent = Vec::new();
    for (sequence, written) in SEQUENCES {
        let text = |middle: &str| format!("Subject: outer\r\n\r\nbefore{middle}{SECOND}");
        let delivery = delivery_of(&text(sequence), &["b@to.example"], LeaseSignal::unleased());
        assert_eq!(codes(&relay.attempt(delivery).await), [250], "{sequence:?}");
        sent.push(text(written) + "\r\n.\r\n");
    }
    let log = hop.log();
    let contents = log.iter().filter(|said| said.starts_with("Subject: outer"));
    assert!(contents.eq(&sent), "{log:#?}");
    assert_eq!(hop.count("MAIL"), SEQUENCES.len());
    assert_eq!(hop.count("MAIL FROM:<smuggled@"), 0);
}

#[tokio::test]
async fn contents_with_nul_are_not_offered() {
    let hop = Hop::start(|_| Do::Fine).await;
    for sequence in ["\r\n\0.\r\n", "\r\n.\0\r\n"] {
        let text = format!("Subject: outer\r\n\r\nbefore{sequence}{SECOND}");
        let delivery = delivery_of(&text, &["b@to.example"], LeaseSignal::unleased());
        let report = relay(&hop).attempt(delivery).await;
        assert_eq!(codes(&report), [554], "{report:?}");
    }
    assert_eq!(hop.count("MAIL"), 0);
}
