//! What the audit says of logs that somebody could meet.

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

fn verdict_of(audit: &Audit, id: Id, is_running: bool) -> Verdict {
    let verdicts = audit.judge(is_running);
    let mut of_id = verdicts.into_iter().filter(|verdict| verdict.id == id);
    of_id.next().unwrap()
}

fn fate_of(audit: &Audit, id: Id, is_running: bool) -> Fate {
    verdict_of(audit, id, is_running).fate
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn received(id: Id, to: &[&str]) -> Event {
    Event::Received(id, names(to))
}

fn delivered(id: Id, to: &str) -> Event {
    Event::Delivered(id, to.to_owned())
}

fn bounced(id: Id, to: &str, notice: Option<Id>) -> Event {
    Event::Bounced(id, to.to_owned(), notice)
}

/// What is said of one message, of which this is known in a life that ended
/// well.
fn verdict(events: &[Event], stored: Option<&[&str]>) -> Verdict {
    let all = [&[Event::Started], events, &[Event::Stopped]].concat();
    let mut audit = audit(&all);
    audit.stored(ID, stored.map(names));
    verdict_of(&audit, ID, false)
}

fn fate(events: &[Event], stored: Option<&[&str]>) -> Fate {
    verdict(events, stored).fate
}

const ID: Id = 1_500 << 80;
const NOTICE: Id = 1_600 << 80;

#[test]
fn what_is_in_order_has_its_name() {
    let one = received(ID, &["a"]);
    let two = received(ID, &["a", "b"]);
    let a = delivered(ID, "a");
    assert_eq!(fate(&[one.clone(), a.clone()], None), Fate::Delivered);
    // Another thread may settle it before its first line is written.
    assert_eq!(fate(&[a.clone(), one.clone()], None), Fate::Delivered);
    assert_eq!(fate(&[two.clone(), a.clone()], Some(&["b"])), Fate::Queued);
    let removed = verdict(&[two.clone(), a.clone(), Event::Removed(ID)], None);
    assert_eq!(removed.fate, Fate::Removed);
    assert_eq!(removed.recipients["a"].fate, Fate::Delivered);
    assert_eq!(removed.recipients["b"].fate, Fate::Removed);
    assert_eq!(
        fate(&[one, Event::Quarantined(ID)], None),
        Fate::Quarantined
    );
    assert_eq!(fate(&[two, a, bounced(ID, "b", None)], None), Fate::Bounced);
}

#[test]
fn a_recipient_of_whom_nothing_is_known_is_lost_and_named() {
    let lost = |events: &[Event], stored| {
        let verdict = verdict(events, stored);
        assert_eq!(verdict.fate, Fate::Lost);
        let recipients = verdict.recipients.into_iter();
        let lost = recipients.filter(|(_, one)| one.fate == Fate::Lost);
        lost.map(|(name, _)| name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(lost(&[received(ID, &["a"])], None), "a");
    let two = received(ID, &["a", "b"]);
    assert_eq!(lost(std::slice::from_ref(&two), None), "a b");
    assert_eq!(lost(&[two, delivered(ID, "a")], None), "b");
    let three = received(ID, &["a", "b", "c"]);
    assert_eq!(lost(&[three, delivered(ID, "a")], Some(&["b"])), "c");
    let seen = Event::Seen(ID, Some("a".to_owned()));
    assert_eq!(lost(&[seen], None), "a");
    assert_eq!(lost(&[Event::Seen(ID, None)], None), "");
    let twice = received(ID, &["a", "a"]);
    assert_eq!(lost(&[twice, delivered(ID, "a")], None), "a");
}

#[test]
fn a_notice_is_mail_that_can_be_lost() {
    let bounced = [
        Event::Started,
        received(ID, &["a"]),
        bounced(ID, "a", Some(NOTICE)),
    ];
    let gone = audit(&bounced);
    assert_eq!(fate_of(&gone, ID, true), Fate::Bounced);
    assert_eq!(fate_of(&gone, NOTICE, true), Fate::Lost);
    let arrived = audit(&[&bounced[..], &[delivered(NOTICE, "sender")]].concat());
    assert_eq!(fate_of(&arrived, NOTICE, true), Fate::Delivered);
    assert_eq!(arrived.judge(true)[0].notices, [NOTICE]);
}

#[test]
fn what_is_settled_too_often_is_unexplained() {
    let one = received(ID, &["a"]);
    let a = delivered(ID, "a");
    for (events, stored) in [
        (vec![one.clone(), a.clone(), a.clone()], None),
        (vec![one.clone(), a.clone()], Some(&["a"][..])),
        (vec![one.clone(), Event::Removed(ID)], Some(&["a"])),
        // Somebody who was no recipient.
        (vec![one.clone(), a.clone(), delivered(ID, "b")], None),
        (vec![one, a.clone()], Some(&["b"])),
    ] {
        assert_eq!(fate(&events, stored), Fate::Unexplained, "{events:?}");
    }
    // The same address twice in the envelope.
    let twice = [received(ID, &["a", "a"]), a.clone(), a];
    assert_eq!(fate(&twice, None), Fate::Delivered);
}

#[test]
fn what_could_not_be_recorded_may_come_again() {
    let unrecorded = Event::Unrecorded(ID, names(&["a"]), Window::LeaseLost);
    let begin = [received(ID, &["a"]), unrecorded.clone()];
    let waiting = verdict(&begin, Some(&["a"]));
    assert_eq!((waiting.fate, waiting.unrecorded), (Fate::Queued, 1));
    let ends = [delivered(ID, "a"), bounced(ID, "a", None)];
    for end in ends {
        let again = verdict(&[&begin[..], std::slice::from_ref(&end)].concat(), None);
        assert_eq!(again.fate, Fate::Duplicated);
        assert_eq!(again.recipients["a"].windows, [Window::LeaseLost]);
        // The log of another manager may be read first.
        let before = [received(ID, &["a"]), end, unrecorded.clone()];
        assert_eq!(fate(&before, None), Fate::Duplicated);
    }
}

#[test]
fn after_a_death_a_missing_line_proves_nothing() {
    use Event::{Cut, Started, Stopped};
    let ends: [(&[Event], bool, Fate); 6] = [
        (&[], true, Fate::Lost),
        (&[], false, Fate::Unknown),
        (&[Stopped], false, Fate::Lost),
        (&[Cut, Stopped], false, Fate::Unknown),
        (&[Stopped, Started], true, Fate::Lost),
        (&[Started, Stopped], false, Fate::Unknown),
    ];
    for (end, is_running, expected) in ends {
        let audit = audit(&[&[Started, received(ID, &["a"])], end].concat());
        assert_eq!(fate_of(&audit, ID, is_running), expected, "{end:?}");
    }
    // It died before: what came later is not excused by that.
    let id = made_at(2_500);
    let later = audit(&[Started, Started, received(id, &["a"])]);
    assert_eq!(fate_of(&later, id, true), Fate::Lost);
    assert_eq!(later.lives(true), (2, 1));
}

#[test]
fn what_is_there_must_have_been_received() {
    use Event::{Started, Stopped};
    let seen = Event::Seen(ID, None);
    let mut audit = audit(&[Started, seen.clone(), Started, seen, Stopped]);
    for (made, expected) in [
        (500, Fate::Queued),        // before the log
        (1_500, Fate::Queued),      // in the life that died
        (3_500, Fate::Unexplained), // in the one that did not
        (9_000, Fate::Queued),      // after the log
    ] {
        audit.stored(made_at(made), Some(names(&["a"])));
        assert_eq!(fate_of(&audit, made_at(made), false), expected, "{made}");
    }
}
