//! What the audit says of logs that somebody could meet.

use super::Event::{
    Bounced, Cut, Delivered, MaybeTwice, Quarantined, Received, Removed, Seen, Started, Stopped,
};
use super::*;

/// An id that was made at a time.
fn made_at(at: Millis) -> Id {
    u128::from(at) << 80 | 7
}

/// Books of events that happened a second apart, from the second 1 on.
fn audit(events: &[Event]) -> Audit {
    let mut audit = Audit::default();
    for (at, event) in (1_000..).step_by(1_000).zip(events) {
        audit.tell(at, event);
    }
    audit
}

fn fate_of(audit: &Audit, id: Id, is_running: bool) -> Fate {
    let verdicts = audit.judge(is_running);
    let mut of_id = verdicts.iter().filter(|verdict| verdict.id == id);
    of_id.next().map(|verdict| verdict.fate).unwrap()
}

/// What becomes of one message, of which this is said in a life that ended well.
fn fate(events: &[Event], waiting: Option<u64>) -> Fate {
    let all = [&[Started], events, &[Stopped]].concat();
    let mut audit = audit(&all);
    audit.stored(ID, waiting);
    fate_of(&audit, ID, false)
}

const ID: Id = 1_500 << 80;
const NOTICE: Id = 1_600 << 80;

#[test]
fn what_is_in_order_has_its_name() {
    assert_eq!(
        fate(&[Received(ID, 1), Delivered(ID)], None),
        Fate::Delivered
    );
    // Another thread may settle it before its first line is written.
    assert_eq!(
        fate(&[Delivered(ID), Received(ID, 1)], None),
        Fate::Delivered
    );
    assert_eq!(
        fate(&[Received(ID, 2), Delivered(ID)], Some(1)),
        Fate::Queued
    );
    assert_eq!(fate(&[Received(ID, 2), Removed(ID)], None), Fate::Removed);
    assert_eq!(
        fate(&[Received(ID, 1), Quarantined(ID)], None),
        Fate::Quarantined
    );
    let given_up = [Received(ID, 2), Delivered(ID), Bounced(ID, None)];
    assert_eq!(fate(&given_up, None), Fate::Bounced);
}

#[test]
fn a_recipient_of_whom_nothing_is_known_is_lost() {
    assert_eq!(fate(&[Received(ID, 1)], None), Fate::Lost);
    assert_eq!(fate(&[Received(ID, 1), Seen(ID)], None), Fate::Lost);
    assert_eq!(fate(&[Received(ID, 2), Delivered(ID)], None), Fate::Lost);
    assert_eq!(fate(&[Received(ID, 3), Delivered(ID)], Some(1)), Fate::Lost);
}

#[test]
fn a_notice_is_mail_that_can_be_lost() {
    let bounced = [Started, Received(ID, 1), Bounced(ID, Some(NOTICE))];
    let gone = audit(&bounced);
    assert_eq!(fate_of(&gone, ID, true), Fate::Bounced);
    assert_eq!(fate_of(&gone, NOTICE, true), Fate::Lost);
    let arrived = audit(&[&bounced[..], &[Delivered(NOTICE)]].concat());
    assert_eq!(fate_of(&arrived, NOTICE, true), Fate::Delivered);
    assert_eq!(arrived.judge(true)[0].notices, [NOTICE]);
}

#[test]
fn what_is_settled_too_often_is_duplicated() {
    assert_eq!(
        fate(&[Received(ID, 1), Delivered(ID), Delivered(ID)], None),
        Fate::Duplicated
    );
    assert_eq!(
        fate(&[Received(ID, 1), Delivered(ID)], Some(1)),
        Fate::Duplicated
    );
    assert_eq!(
        fate(&[Received(ID, 1), Removed(ID)], Some(1)),
        Fate::Duplicated
    );
    // The same address twice in the envelope.
    assert_eq!(
        fate(&[Received(ID, 2), Delivered(ID), Delivered(ID)], None),
        Fate::Delivered
    );
    // What could not be recorded goes again: that is no fault.
    let again = [Received(ID, 1), MaybeTwice(ID, 1), Delivered(ID)];
    assert_eq!(fate(&again, None), Fate::Delivered);
}

#[test]
fn after_a_death_a_missing_line_proves_nothing() {
    let ends: [(&[Event], bool, Fate); 6] = [
        (&[], true, Fate::Lost),
        (&[], false, Fate::Unknown),
        (&[Stopped], false, Fate::Lost),
        (&[Cut, Stopped], false, Fate::Unknown),
        (&[Stopped, Started], true, Fate::Lost),
        (&[Started, Stopped], false, Fate::Unknown),
    ];
    for (end, is_running, expected) in ends {
        let audit = audit(&[&[Started, Received(ID, 1)], end].concat());
        assert_eq!(fate_of(&audit, ID, is_running), expected, "{end:?}");
    }
    // It died before: what came later is not excused by that.
    let later = audit(&[Started, Started, Received(made_at(2_500), 1)]);
    assert_eq!(fate_of(&later, made_at(2_500), true), Fate::Lost);
    assert_eq!(later.lives(true), (2, 1));
}

#[test]
fn what_is_there_must_have_been_received() {
    let mut audit = audit(&[Started, Seen(ID), Started, Seen(ID), Stopped]);
    for (made, expected) in [
        (500, Fate::Queued),        // before the log
        (1_500, Fate::Queued),      // in the life that died
        (3_500, Fate::Unexplained), // in the one that did not
        (9_000, Fate::Queued),      // after the log
    ] {
        audit.stored(made_at(made), Some(1));
        assert_eq!(fate_of(&audit, made_at(made), false), expected, "{made}");
    }
}
