//! What clients may ask beside handing mail on, and who may.

use std::time::Duration;

use slimta_core::message::{ByMode, DeliverBy, Envelope, FutureRelease};
use slimta_core::world::Timestamp;

use super::*;

/// 2026-11-24T08:17:29Z
const NOW: Timestamp = Timestamp::from_secs(1_795_508_249);

/// A session of a client that is trusted, or not.
fn session(is_trusted: bool) -> Session {
    let mut settings = settings();
    settings.hold_time_max = Some(Duration::from_secs(86_400));
    let mut session = Session::new(Arc::new(settings)).with_priorities(is_trusted);
    session.tell_time(NOW);
    session
}

fn said(is_trusted: bool, text: &str) -> Played {
    let text = format!("EHLO c\r\n{text}");
    converse(session(is_trusted), [text.as_bytes()].into_iter())
}

/// The envelope of a message for which MAIL said this.
fn asked(parameters: &str) -> Envelope {
    let mail = format!("MAIL FROM:<a@b>{parameters}\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n");
    let played = said(true, &mail);
    let mut messages = played.messages.into_iter();
    let message = messages.next();
    message
        .unwrap_or_else(|| panic!("{}", played.replies))
        .envelope
}

fn refused(parameters: &str) -> String {
    let played = said(true, &format!("MAIL FROM:<a@b>{parameters}\r\n"));
    played.last().to_owned()
}

#[test]
fn mail_may_be_held_as_long_as_is_offered() {
    let offer = "250-FUTURERELEASE 86400 2026-11-25T08:17:29Z";
    assert!(said(true, "").lines().contains(&offer));
    let asked = |parameters| asked(parameters).release;
    assert_eq!(asked(""), None);
    assert_eq!(asked(" holdfor=86400"), Some(FutureRelease::For(86_400)));
    let end = FutureRelease::Until(NOW.after(Duration::from_secs(86_400)));
    assert_eq!(asked(" HOLDUNTIL=2026-11-25T08:17:29Z"), Some(end));
    let passed = FutureRelease::Until(Timestamp::from_secs(946_684_800));
    assert_eq!(asked(" HOLDUNTIL=2000-01-01T00:00:00Z"), Some(passed));
    for too_long in [" HOLDFOR=86401", " HOLDUNTIL=2026-11-25T08:17:30Z"] {
        let reply = refused(too_long);
        assert!(reply.starts_with("501 5.5.4 "), "{too_long}: {reply}");
    }
}

#[test]
fn what_is_offered_can_be_said() {
    for (hold_max, offer) in [
        (Duration::from_millis(1500), Some("250-FUTURERELEASE 1 ")),
        (Duration::from_millis(500), None),
        (Duration::MAX, Some("250-FUTURERELEASE 999999999 2058-")),
    ] {
        let mut settings = settings();
        settings.hold_time_max = Some(hold_max);
        let mut session = Session::new(Arc::new(settings)).with_priorities(true);
        session.tell_time(NOW);
        let played = converse(session, [&b"EHLO c\r\n"[..]].into_iter());
        let said = played.replies.contains(offer.unwrap_or("FUTURERELEASE"));
        assert_eq!(said, offer.is_some(), "{}", played.replies);
    }
}

#[test]
fn mail_is_held_only_for_clients_who_submit() {
    let strange = said(false, "MAIL FROM:<a@b> HOLDFOR=60\r\n");
    assert!(!strange.replies.contains("FUTURERELEASE"));
    assert!(strange.last().starts_with("555 5.5.4 "));
    // Nor at the end of the way.
    let mut lmtp = settings();
    lmtp.hold_time_max = Some(Duration::from_secs(60));
    lmtp.role = Role::Lmtp;
    let mut mailbox = Session::new(Arc::new(lmtp)).with_priorities(true);
    mailbox.tell_time(NOW);
    let text = b"LHLO c\r\nMAIL FROM:<a@b> HOLDFOR=60\r\n";
    let played = converse(mailbox, [&text[..]].into_iter());
    assert!(!played.replies.contains("FUTURERELEASE"));
    assert!(played.last().starts_with("555 5.5.4 "));
    // Nor by a server that holds none, or does not know the time.
    for is_timed in [true, false] {
        let mut session = session(true);
        if is_timed {
            session = Session::new(Arc::new(settings())).with_priorities(true);
            session.tell_time(NOW);
        } else {
            session.now = None;
        }
        let text = b"EHLO c\r\nMAIL FROM:<a@b> HOLDFOR=60\r\n";
        let played = converse(session, [&text[..]].into_iter());
        assert!(!played.replies.contains("FUTURERELEASE"));
        assert!(played.last().starts_with("555 5.5.4 "));
    }
}

#[test]
fn mail_may_have_a_time_to_be_delivered_by() {
    assert!(said(false, "").lines().contains(&"250-DELIVERBY"));
    let by = asked(" by=60;rt").deliver_by.unwrap();
    assert_eq!(by, DeliverBy::within(60, ByMode::Return, true, NOW));
    let by = asked(" BY=-1;N").deliver_by.unwrap();
    assert_eq!(by, DeliverBy::within(-1, ByMode::Notify, false, NOW));
    for bad in [" BY=0;R", " BY=60", " BY=60;N BY=60;N"] {
        assert!(refused(bad).starts_with("501 5.5.4 "), "{bad}");
    }
    // What goes back unsent at any rate is not taken.
    assert!(refused(" BY=60;R HOLDFOR=60").starts_with("501 5.5.4 "));
    assert!(asked(" BY=61;R HOLDFOR=60").release.is_some());
    assert!(asked(" BY=60;N HOLDFOR=60").release.is_some());
    // Nor what would be late when it is released (RFC 4865 section 5.2.2).
    assert!(refused(" BY=59;N HOLDFOR=60").starts_with("501 5.5.4 "));
    assert!(refused(" HOLDFOR=60 BY=-1;N").starts_with("501 5.5.4 "));
    // A time that has passed holds nothing.
    let passed = asked(" BY=-1;N HOLDUNTIL=2000-01-01T00:00:00Z");
    assert!(passed.release.is_some());
}

#[test]
fn tls_on_all_of_the_way_is_promised_under_tls() {
    let mail = "EHLO c\r\nMAIL FROM:<a@b> REQUIRETLS\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n";
    let clear = converse(session(true), [mail.as_bytes()].into_iter());
    assert!(!clear.replies.contains("REQUIRETLS"));
    assert!(clear.messages.is_empty() && clear.codes()[1] == 555);
    let mut encrypted = session(false);
    encrypted.secured("TLSv1.3");
    let played = converse(encrypted, [mail.as_bytes()].into_iter());
    assert!(played.lines().contains(&"250-REQUIRETLS"));
    assert!(played.messages[0].envelope.require_tls);
}
