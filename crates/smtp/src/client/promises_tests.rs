//! What next hops are told of what a sender asked, and which of them get the
//! message.

use slimta_core::message::{
    ByMode, Content, DeliverBy, Envelope, Priority, Recipient, Response, ReversePath,
};
use slimta_core::world::Timestamp;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_508_249);

/// A next hop that offers this.
fn peer(offers: &str) -> Extensions {
    let text = format!("mx.example\n{offers}");
    Extensions::read(&Response::new(250, None, text))
}

/// What MAIL says to a next hop that offers this, or why it gets nothing.
fn mail(envelope: &Envelope, offers: &str, dialect: Dialect) -> Result<String, String> {
    let recipients = [Recipient::new("to@to.example".parse().unwrap())];
    let content = Content::new("A: 1\r\n\r\nHello.\r\n");
    let parcel = Parcel {
        envelope,
        recipients: &recipients,
        content: &content,
        priority: Priority::Normal,
        now: NOW,
    };
    match parcel.obstacle(&peer(offers), dialect) {
        Some(why) => Err(why.to_string()),
        None => Ok(parcel.mail(&peer(offers))),
    }
}

fn envelope() -> Envelope {
    Envelope::new(ReversePath::parse("from@from.example").unwrap(), [])
}

/// An envelope with so many seconds left.
fn by(seconds: i64, mode: ByMode, trace: bool) -> Envelope {
    Envelope {
        deliver_by: Some(DeliverBy::within(seconds, mode, trace, NOW)),
        ..envelope()
    }
}

#[test]
fn the_time_that_is_left_is_passed_on() {
    for (envelope, said) in [
        (by(60, ByMode::Return, false), " BY=60;R"),
        (by(60, ByMode::Return, true), " BY=60;RT"),
        (by(-5, ByMode::Notify, false), " BY=-5;N"),
        (envelope(), ""),
    ] {
        let expected = format!("MAIL FROM:<from@from.example>{said}");
        assert_eq!(mail(&envelope, "DELIVERBY", Dialect::Smtp), Ok(expected));
    }
    let unheeded = mail(&by(60, ByMode::Notify, true), "DSN", Dialect::Smtp);
    assert_eq!(unheeded.unwrap(), "MAIL FROM:<from@from.example>");
}

#[test]
fn mail_that_goes_back_if_it_is_late_goes_only_to_hosts_that_heed_the_time() {
    let why = |seconds, offers| {
        mail(&by(seconds, ByMode::Return, false), offers, Dialect::Smtp).unwrap_err()
    };
    assert!(why(60, "DSN").starts_with("550 5.3.3 "));
    assert!(why(0, "DELIVERBY").starts_with("550 5.4.7 "));
    assert!(why(59, "DELIVERBY 60").starts_with("550 5.4.7 "));
    let in_time = by(60, ByMode::Return, false);
    assert!(mail(&in_time, "DELIVERBY 60", Dialect::Smtp).is_ok());
    // A mailbox has it at once.
    assert!(mail(&in_time, "DSN", Dialect::Lmtp).is_ok());
}

#[test]
fn mail_that_requires_tls_goes_only_to_hosts_that_promise_the_same() {
    let required = Envelope {
        require_tls: true,
        ..envelope()
    };
    let why = mail(&required, "DSN", Dialect::Smtp).unwrap_err();
    assert!(why.starts_with("550 5.7.30 "), "{why}");
    let said = mail(&required, "REQUIRETLS", Dialect::Smtp).unwrap();
    assert_eq!(said, "MAIL FROM:<from@from.example> REQUIRETLS");
    let said = mail(&required, "DSN", Dialect::Lmtp).unwrap();
    assert_eq!(said, "MAIL FROM:<from@from.example>");
    let said = mail(&envelope(), "REQUIRETLS", Dialect::Smtp).unwrap();
    assert_eq!(said, "MAIL FROM:<from@from.example>");
    // A report is not thrown away for want of a promise.
    let report = Envelope {
        sender: ReversePath::Null,
        ..required
    };
    let said = mail(&report, "DSN", Dialect::Smtp).unwrap();
    assert_eq!(said, "MAIL FROM:<>");
    let said = mail(&report, "REQUIRETLS", Dialect::Smtp).unwrap();
    assert_eq!(said, "MAIL FROM:<> REQUIRETLS");
}
