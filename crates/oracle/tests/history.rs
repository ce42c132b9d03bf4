//! What follows from the order in which a client, a next hop and whoever hits
//! the server saw things.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use slimta_oracle::{Copy, Fate, History, Hit, Window};

const TO: &str = "to@example";
const SUM: u32 = 7;

fn copy(number: u32) -> Copy {
    let mark = "mark".to_owned();
    Copy { mark, number }
}

/// A step of a story.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Send(u32),
    Answer,
    /// The next hop has heard MAIL.
    Begin,
    /// It has read the final dot.
    End(u32),
    /// Both.
    Take(u32),
    Reply,
    Hit(Hit),
}

use Step::{Answer, Begin, End, Hit as Blow, Reply, Send, Take};

const KILL: Step = Blow(Hit::Killed);
const PAUSE: Step = Blow(Hit::Paused);

fn history(steps: &[Step]) -> History {
    let mut history = History::default();
    let (mut begun, mut taken) = (0, 0);
    for step in steps {
        match *step {
            Send(number) => history.sends(&copy(number), SUM),
            Answer => history.is_answered("mark", &[TO]),
            Begin => begun = history.begins(),
            End(number) | Take(number) => {
                if matches!(step, Take(_)) {
                    begun = history.begins();
                }
                let to = BTreeSet::from([TO.to_owned()]);
                taken = history.takes(begun, copy(number), to, SUM);
            }
            Reply => history.replies(taken),
            Blow(hit) => history.hits(hit),
        }
    }
    history
}

/// What became of the one recipient, and through which windows it came again.
fn verdict(history: &History) -> (Fate, Vec<Window>) {
    let ledger = history.ledger();
    let mut judged = ledger.judge();
    let (_, verdict) = judged.next().unwrap();
    assert!(judged.next().is_none());
    (verdict.fate, verdict.windows)
}

#[track_caller]
fn is(steps: &[Step], fate: Fate, windows: &[Window]) {
    let expected = (fate, windows.to_vec());
    assert_eq!(verdict(&history(steps)), expected, "{steps:?}");
}

#[test]
fn what_was_answered_arrives_or_is_lost() {
    let whole = [Send(1), Answer, Take(1), Reply];
    is(&whole, Fate::Delivered, &[]);
    // It may be quicker than the answer.
    is(&[Send(1), Take(1), Reply, Answer], Fate::Delivered, &[]);
    is(&[Send(1), Answer, KILL], Fate::Lost, &[]);
    // Each recipient counts for itself.
    let mut one_left = history(&whole);
    one_left.is_answered("mark", &[TO, "other@example"]);
    let ledger = one_left.ledger();
    let fates: Vec<_> = ledger.judge().map(|(_, verdict)| verdict.fate).collect();
    assert_eq!(fates, [Fate::Lost, Fate::Delivered]);
    assert!(ledger.close().is_err());
}

#[test]
fn a_copy_too_many_has_its_window() {
    use Window::{Crash, LeaseLost, ReplyLost, Resent};
    let unanswered = [
        Send(1),
        KILL,
        Send(2),
        Answer,
        Take(1),
        Reply,
        Take(2),
        Reply,
    ];
    is(&unanswered, Fate::Duplicated, &[Resent]);
    is(
        &[Send(1), Take(1), KILL, Take(1)],
        Fate::Duplicated,
        &[ReplyLost],
    );
    is(
        &[Send(1), Take(1), Reply, KILL, Take(1)],
        Fate::Duplicated,
        &[Crash],
    );
    is(
        &[Send(1), Take(1), Reply, PAUSE, Take(1)],
        Fate::Duplicated,
        &[LeaseLost],
    );
    let both = [Send(1), Take(1), KILL, Take(1), Reply, KILL, Take(1)];
    is(&both, Fate::Duplicated, &[ReplyLost, Crash]);
}

#[test]
fn those_who_watch_may_be_slow() {
    // The dot was sent before the server died, and read after.
    let late = [Send(1), Begin, KILL, End(1), Reply, Take(1)];
    is(&late, Fate::Duplicated, &[Window::ReplyLost]);
    // The server had died when the first copy was noted, which never came.
    let unsent = [KILL, Send(1), Send(2), KILL, Send(3), Take(3), Take(2)];
    is(&unsent, Fate::Duplicated, &[Window::Resent]);
}

#[test]
fn a_copy_too_many_without_its_blow_is_unexplained() {
    for steps in [
        &[Send(1), Take(1), Reply, Take(1)][..],
        &[Send(1), KILL, Take(1), Reply, Take(1)],
        &[Send(1), Take(1), Reply, Take(1), KILL],
        &[Send(1), Send(2), Take(1), Take(2)],
        &[Send(1), Take(1), Reply, Begin, KILL, End(1)],
        // One blow explains one copy.
        &[Send(1), Take(1), KILL, Take(1), Reply, Take(1)],
    ] {
        assert_eq!(verdict(&history(steps)).0, Fate::Unexplained, "{steps:?}");
    }
}

#[test]
fn what_comes_too_soon_changed_or_from_nobody_is_told() {
    let mut early = History::default();
    let begun = early.begins();
    early.sends(&copy(1), SUM);
    let to = BTreeSet::from([TO.to_owned()]);
    early.takes(begun, copy(1), to.clone(), SUM);
    assert_eq!(verdict(&early).0, Fate::Early);
    let mut altered = history(&[Send(1), Answer]);
    let begun = altered.begins();
    altered.takes(begun, copy(1), to, SUM + 1);
    assert_eq!(verdict(&altered).0, Fate::Altered);
    assert_eq!(verdict(&history(&[Take(1)])).0, Fate::Unexplained);
}

/// What happens next to a message that is handed in until it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// It is handed in, and the server dies before the commit, before the answer,
    /// or not.
    LostCopy,
    UnansweredCopy,
    AnsweredCopy,
    /// A stored copy is attempted, and the server dies before the final dot,
    /// after it, before the next hop has read it, after the reply, or not.
    BeforeDot,
    AfterDot,
    ReadLate,
    AfterReply,
    Settled,
}

/// What a true run looks like from outside that takes these turns, and then
/// comes to its end.
fn run(turns: &[Turn]) -> Vec<Step> {
    let (mut steps, mut stored, mut sent, mut is_answered) = (vec![], vec![], 0, false);
    let mut turns = turns.to_vec();
    turns.push(Turn::AnsweredCopy);
    turns.extend(turns.clone().iter().map(|_| Turn::Settled));
    for turn in turns {
        if matches!(
            turn,
            Turn::LostCopy | Turn::UnansweredCopy | Turn::AnsweredCopy
        ) {
            if is_answered {
                continue;
            }
            sent += 1;
            steps.push(Send(sent));
            if turn != Turn::LostCopy {
                stored.push(sent);
            }
            is_answered = turn == Turn::AnsweredCopy;
            steps.push(if is_answered { Answer } else { KILL });
            continue;
        }
        let Some(copy) = stored.first().copied() else {
            continue;
        };
        steps.extend(match turn {
            Turn::BeforeDot => vec![Begin, KILL],
            Turn::AfterDot => vec![Begin, End(copy), KILL],
            Turn::ReadLate => vec![Begin, KILL, End(copy)],
            Turn::AfterReply => vec![Begin, End(copy), Reply, KILL],
            _ => vec![Begin, End(copy), Reply],
        });
        if turn == Turn::Settled {
            stored.remove(0);
        }
    }
    steps
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let all = vec![
        Turn::LostCopy,
        Turn::UnansweredCopy,
        Turn::AnsweredCopy,
        Turn::BeforeDot,
        Turn::AfterDot,
        Turn::ReadLate,
        Turn::AfterReply,
        Turn::Settled,
    ];
    proptest::collection::vec(proptest::sample::select(all), 0..12)
}

proptest! {
    #[test]
    fn a_true_run_holds_no_fault(turns in turns()) {
        let steps = run(&turns);
        let arrivals = steps.iter().filter(|step| matches!(step, End(_))).count();
        let (fate, windows) = verdict(&history(&steps));
        prop_assert!(!fate.is_fault(), "{:?}", steps);
        prop_assert_eq!(windows.len(), arrivals - 1);
    }

    #[test]
    fn what_never_comes_and_what_comes_again_is_noticed(turns in turns()) {
        let mut steps = run(&turns);
        let Some(End(last)) = steps.iter().rfind(|step| matches!(step, End(_))).copied() else {
            panic!("nothing arrives: {steps:?}");
        };
        steps.push(Take(last));
        prop_assert_eq!(verdict(&history(&steps)).0, Fate::Unexplained);
        steps.retain(|step| !matches!(step, End(_) | Take(_) | Reply));
        prop_assert_eq!(verdict(&history(&steps)).0, Fate::Lost);
    }
}
