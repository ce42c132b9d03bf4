//! Every verdict can be produced, and facts that are taken from a true story,
//! or put into it, are noticed, whatever else happened.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use slimta_oracle::{Account, Fate, Ledger, Window};

/// Something that can be told of a recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fact {
    Owe,
    Deliver,
    Bounce,
    Settle,
    Wait,
    Remove,
    Quarantine,
    Open(Window),
    Spoil(Fate),
}

use Fact::{Bounce, Deliver, Open, Owe, Quarantine, Remove, Settle, Spoil, Wait};

fn account(facts: &[Fact]) -> Account {
    let mut account = Account::default();
    for fact in facts {
        match *fact {
            Owe => account.owe(),
            Deliver => account.deliver(),
            Bounce => account.bounce(),
            Settle => account.settle(),
            Wait => account.wait(),
            Remove => account.remove(),
            Quarantine => account.quarantine(),
            Open(window) => account.open(window),
            Spoil(fate) => account.spoil(fate, "seen".to_owned()),
        }
    }
    account
}

fn fate(facts: &[Fact]) -> Option<Fate> {
    account(facts).judge(false).map(|verdict| verdict.fate)
}

const WINDOWS: [Window; 6] = [
    Window::Resent,
    Window::ReplyLost,
    Window::Crash,
    Window::LeaseLost,
    Window::PowerLost,
    Window::FailedOver,
];

#[test]
fn each_verdict_has_a_story() {
    let stories: [(&[Fact], Option<Fate>); 19] = [
        (&[Owe, Deliver, Settle], Some(Fate::Delivered)),
        (&[Owe, Settle, Bounce], Some(Fate::Bounced)),
        (&[Owe, Wait], Some(Fate::Queued)),
        (&[Owe, Remove], Some(Fate::Removed)),
        (&[Owe, Quarantine], Some(Fate::Quarantined)),
        (
            &[Owe, Deliver, Open(Window::Crash), Deliver, Settle],
            Some(Fate::Duplicated),
        ),
        (
            &[Owe, Deliver, Open(Window::Resent), Wait],
            Some(Fate::Queued),
        ),
        (&[Owe, Spoil(Fate::Early), Deliver], Some(Fate::Early)),
        (&[Owe, Spoil(Fate::Altered), Deliver], Some(Fate::Altered)),
        (&[Owe, Deliver, Deliver], Some(Fate::Unexplained)),
        (&[Owe, Deliver, Settle, Wait], Some(Fate::Unexplained)),
        (
            &[Owe, Deliver, Settle, Open(Window::Crash), Deliver],
            Some(Fate::Unexplained),
        ),
        (
            &[
                Owe,
                Deliver,
                Settle,
                Open(Window::PowerLost),
                Deliver,
                Settle,
            ],
            Some(Fate::Duplicated),
        ),
        // Two copies, each with its settlement.
        (
            &[Owe, Deliver, Settle, Open(Window::Resent), Deliver, Settle],
            Some(Fate::Duplicated),
        ),
        (&[Owe, Remove, Wait], Some(Fate::Unexplained)),
        (&[Owe], Some(Fate::Lost)),
        // Settled, and nobody was told.
        (&[Owe, Settle], Some(Fate::Lost)),
        // Nobody relies on it, so it may come, or not.
        (&[Deliver, Settle], Some(Fate::Delivered)),
        (&[], None),
    ];
    for (facts, expected) in stories {
        assert_eq!(fate(facts), expected, "{facts:?}");
    }
    let silent = account(&[Owe]).judge(true).unwrap();
    assert_eq!(silent.fate, Fate::Unknown);
    let told = Fate::ALL.map(|fate| fate.name());
    assert_eq!(
        told.iter().collect::<std::collections::BTreeSet<_>>().len(),
        told.len()
    );
}

#[test]
fn only_what_was_not_settled_can_be_removed_or_kept_aside() {
    assert_eq!(fate(&[Owe, Deliver, Settle, Remove]), Some(Fate::Delivered));
    assert_eq!(
        fate(&[Owe, Bounce, Settle, Quarantine]),
        Some(Fate::Bounced)
    );
    // An envelope that names it twice.
    assert_eq!(fate(&[Owe, Owe, Deliver, Remove]), Some(Fate::Removed));
    assert_eq!(fate(&[Owe, Owe, Deliver]), Some(Fate::Lost));
}

#[test]
fn the_books_count_and_name() {
    let mut ledger = Ledger::default();
    let key = |number: u32| (number, "to@example".to_owned());
    ledger.account(&key(1)).owe();
    ledger.account(&key(1)).deliver();
    ledger.account(&key(2)).deliver();
    ledger.account(&key(3)).settle();
    let tally = ledger.clone().close().unwrap();
    assert_eq!((tally.answered, tally.unanswered), (1, 1));
    assert_eq!(tally.of(Fate::Delivered), 2);
    ledger.account(&key(3)).owe();
    ledger.fault("a rule".to_owned());
    let broken = ledger.close().unwrap_err().to_string();
    assert_eq!(
        broken,
        "a rule\n(3, \"to@example\") is lost: nothing is known of it"
    );
}

/// How a recipient ends, and through which windows it came more often.
fn story() -> impl Strategy<Value = (Vec<Fact>, Vec<Window>)> {
    let end = prop_oneof![
        Just(Deliver),
        Just(Bounce),
        Just(Wait),
        Just(Remove),
        Just(Quarantine)
    ];
    let windows = proptest::collection::vec(proptest::sample::select(&WINDOWS[..]), 0..4);
    (end, windows).prop_map(|(end, windows)| {
        let mut facts = vec![Owe];
        for window in &windows {
            facts.extend([Deliver, Open(*window)]);
        }
        facts.push(end);
        (facts, windows)
    })
}

/// All but the fact at this place.
fn without(facts: &[Fact], at: usize) -> Vec<Fact> {
    [&facts[..at], &facts[at + 1..]].concat()
}

proptest! {
    #[test]
    fn a_true_story_is_no_fault_in_any_order((facts, _) in story(), seed in any::<usize>()) {
        prop_assert!(!fate(&facts).unwrap().is_fault(), "{:?}", facts);
        let mut turned = facts.clone();
        turned.rotate_left(seed % facts.len());
        prop_assert_eq!(fate(&turned), fate(&facts));
    }

    #[test]
    fn one_who_does_not_come_is_lost((facts, windows) in story()) {
        let end = facts.len() - 1;
        let left = fate(&without(&facts, end));
        // Whoever was served through a window has come.
        let expected = match windows.len() {
            0 => Fate::Lost,
            1 => Fate::Delivered,
            _ => Fate::Duplicated,
        };
        prop_assert_eq!(left, Some(expected));
    }

    #[test]
    fn no_copy_comes_without_its_window((facts, windows) in story()) {
        let served = matches!(facts.last(), Some(Deliver | Bounce));
        for at in (0..facts.len()).filter(|at| matches!(facts[*at], Open(_))) {
            let told = fate(&without(&facts, at)).unwrap();
            let too_many = windows.len() - usize::from(!served);
            prop_assert_eq!(told == Fate::Unexplained, too_many > windows.len() - 1);
        }
        let again = [&facts[..], &[Deliver, Deliver]].concat();
        prop_assert_eq!(fate(&again), Some(Fate::Unexplained));
        if served {
            let verdict = account(&facts).judge(false).unwrap();
            prop_assert_eq!(verdict.windows, windows);
        }
    }

    #[test]
    fn what_was_seen_to_go_wrong_is_never_hidden((facts, _) in story()) {
        for wrong in [Fate::Early, Fate::Altered, Fate::Unexplained] {
            let told = [&facts[..], &[Spoil(wrong)]].concat();
            prop_assert_eq!(fate(&told), Some(wrong));
        }
    }
}
