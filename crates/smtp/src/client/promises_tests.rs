//! What next hops are told of what a sender asked, and which of them get the
//! message.

use slimta_core::message::{
    BodyType, ByMode, Content, DeliverBy, Envelope, Notify, OriginalRecipient, Priority, Recipient,
    Response, ReversePath,
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
        body: envelope.body,
        priority: Priority::Normal,
        now: NOW,
    };
    match parcel.obstacle(&peer(offers), dialect) {
        Some(why) => Err(why.to_string()),
        None => Ok(parcel.mail(&peer(offers), false)),
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

/// RCPT to a next hop that offers this, for a recipient with this NOTIFY and ORCPT.
fn rcpt(
    envelope: &Envelope,
    notify: Option<Notify>,
    original: Option<(&str, &str)>,
    offers: &str,
) -> String {
    let mut to = Recipient::new("to@to.example".parse().unwrap());
    to.notify = notify;
    to.original = original.map(|(kind, address)| OriginalRecipient {
        kind: kind.to_owned(),
        address: address.to_owned(),
    });
    let parcel = Parcel {
        envelope,
        recipients: &[],
        content: &Content::new("x"),
        body: BodyType::SevenBit,
        priority: Priority::Normal,
        now: NOW,
    };
    let line = parcel.rcpt(&to, &peer(offers));
    line.strip_prefix("RCPT TO:<to@to.example>")
        .unwrap()
        .to_owned()
}

/// RFC 2852 section 4.1.4.2.
#[test]
fn hosts_that_heed_no_time_are_asked_to_tell_of_delays() {
    let (success, failure) = (
        Notify {
            success: true,
            ..Notify::NEVER
        },
        Notify {
            failure: true,
            delay: true,
            ..Notify::NEVER
        },
    );
    let waiting = by(60, ByMode::Notify, false);
    let own = " ORCPT=rfc822;to@to.example";
    for (envelope, offers, notify, said) in [
        (&waiting, "DSN", None, " NOTIFY=FAILURE,DELAY"),
        (&waiting, "DSN", Some(success), " NOTIFY=SUCCESS,DELAY"),
        (&waiting, "DSN", Some(failure), " NOTIFY=FAILURE,DELAY"),
        (&waiting, "DSN", Some(Notify::NEVER), " NOTIFY=NEVER"),
        (&waiting, "DSN\nDELIVERBY", None, ""),
        // Its sender has heard by now.
        (&by(0, ByMode::Notify, false), "DSN", None, ""),
        (&envelope(), "DSN", None, ""),
    ] {
        let line = rcpt(envelope, notify, None, offers);
        assert_eq!(line, format!("{said}{own}"), "{offers}");
    }
    assert_eq!(rcpt(&waiting, None, None, "DELIVERBY"), "");
}

#[test]
fn an_original_recipient_is_written_as_its_type_has_it() {
    for (kind, address, said) in [
        ("rfc822", "a+b@c", "rfc822;a+2Bb@c"),
        ("RFC822", "a=b\\@c", "RFC822;a+3Db+5C@c"),
        // RFC 6533 section 3.
        ("utf-8", "gr\u{e5}+b@c", "utf-8;gr\\x{E5}\\x{2B}b@c"),
        ("UTF-8", "a=b@c", "UTF-8;a\\x{3D}b@c"),
    ] {
        let line = rcpt(&envelope(), None, Some((kind, address)), "DSN");
        assert_eq!(line, format!(" ORCPT={said}"));
    }
}

#[test]
fn every_priority_is_said() {
    for (priority, said) in [
        (Priority::High, " MT-PRIORITY=4"),
        (Priority::Normal, " MT-PRIORITY=0"),
        (Priority::Low, " MT-PRIORITY=-4"),
    ] {
        let envelope = envelope();
        let content = Content::new("x");
        let parcel = Parcel {
            envelope: &envelope,
            recipients: &[],
            content: &content,
            body: envelope.body,
            priority,
            now: NOW,
        };
        let mail = |offers| parcel.mail(&peer(offers), false);
        let expected = format!("MAIL FROM:<from@from.example>{said}");
        assert_eq!(mail("MT-PRIORITY MIXER"), expected);
        assert_eq!(mail("DSN"), "MAIL FROM:<from@from.example>");
    }
}
