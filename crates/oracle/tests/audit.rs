//! Logs of servers that never were: a true one holds no fault, whatever happened,
//! and a line that is taken from it is missed, with the name of its recipient.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use slimta_oracle::Fate;
use slimta_oracle::audit::{Audit, Event, Id, Verdict};

/// How a recipient ends, if nothing happens to its whole message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Delivered,
    Bounced,
    Stored,
}

/// What happens to all of a message that is not settled by then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Blow {
    None,
    Removed,
    Quarantined,
}

/// A message: how each recipient ends, and the blow.
type Fates = (Vec<End>, Blow);

fn messages() -> impl Strategy<Value = Vec<Fates>> {
    let end = prop_oneof![Just(End::Delivered), Just(End::Bounced), Just(End::Stored)];
    let blow = prop_oneof![
        4 => Just(Blow::None),
        1 => Just(Blow::Removed),
        1 => Just(Blow::Quarantined),
    ];
    let message = (proptest::collection::vec(end, 1..4), blow);
    proptest::collection::vec(message, 1..6)
}

/// A fact that an audit learns.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Fact {
    Line(Event),
    Stored(Id, Vec<String>),
}

fn id(message: usize) -> Id {
    (2_000 + message as u128) << 80
}

fn name(recipient: usize) -> String {
    format!("to{recipient}@example")
}

/// All that is known of these messages.
fn facts(messages: &[Fates]) -> Vec<Fact> {
    let mut facts = Vec::new();
    for (message, (ends, blow)) in messages.iter().enumerate() {
        let id = id(message);
        let names = (0..ends.len()).map(name).collect();
        facts.push(Fact::Line(Event::Received(id, names)));
        let mut waiting = Vec::new();
        for (recipient, end) in ends.iter().enumerate() {
            let name = name(recipient);
            match end {
                End::Delivered => facts.push(Fact::Line(Event::Delivered(id, name))),
                End::Bounced => facts.push(Fact::Line(Event::Bounced(id, name, None))),
                End::Stored => waiting.push(name),
            }
        }
        match blow {
            _ if waiting.is_empty() => {}
            Blow::None => facts.push(Fact::Stored(id, waiting)),
            Blow::Removed => facts.push(Fact::Line(Event::Removed(id))),
            Blow::Quarantined => facts.push(Fact::Line(Event::Quarantined(id))),
        }
    }
    facts
}

/// What is said of each message, if the server ended so.
fn judge(facts: &[Fact], end: &Event) -> BTreeMap<Id, Verdict> {
    let mut audit = Audit::default();
    audit.tell(1_000, &Event::Started);
    for fact in facts {
        match fact {
            Fact::Line(event) => audit.tell(9_000, event),
            Fact::Stored(id, names) => audit.stored(*id, Some(names.clone())),
        }
    }
    audit.tell(9_000, end);
    let verdicts = audit.judge(false).into_iter();
    verdicts.map(|verdict| (verdict.id, verdict)).collect()
}

/// Whom a fact is about, and what is said of them without it.
fn missed(fact: &Fact) -> (Id, Vec<String>, Fate) {
    match fact {
        Fact::Line(Event::Received(id, _)) => (*id, Vec::new(), Fate::Unexplained),
        Fact::Line(Event::Delivered(id, name) | Event::Bounced(id, name, _)) => {
            (*id, vec![name.clone()], Fate::Lost)
        }
        Fact::Line(Event::Removed(id) | Event::Quarantined(id)) => (*id, Vec::new(), Fate::Lost),
        Fact::Stored(id, names) => (*id, names.clone(), Fate::Lost),
        Fact::Line(event) => panic!("{event:?}"),
    }
}

proptest! {
    #[test]
    fn a_true_log_holds_no_fault(messages in messages()) {
        for end in [Event::Stopped, Event::Seen(id(0), None)] {
            let verdicts = judge(&facts(&messages), &end);
            prop_assert_eq!(verdicts.len(), messages.len());
            for (number, (ends, blow)) in messages.iter().enumerate() {
                let verdict = &verdicts[&id(number)];
                prop_assert!(!verdict.fate.is_fault(), "{:?}", verdict);
                for (recipient, end) in ends.iter().enumerate() {
                    let expected = match (end, blow) {
                        (End::Delivered, _) => Fate::Delivered,
                        (End::Bounced, _) => Fate::Bounced,
                        (End::Stored, Blow::None) => Fate::Queued,
                        (End::Stored, Blow::Removed) => Fate::Removed,
                        (End::Stored, Blow::Quarantined) => Fate::Quarantined,
                    };
                    prop_assert_eq!(verdict.recipients[&name(recipient)].fate, expected);
                }
            }
        }
    }

    #[test]
    fn a_fact_that_is_missing_is_missed(messages in messages(), draw in any::<prop::sample::Index>()) {
        let all = facts(&messages);
        let at = draw.index(all.len());
        let left = [&all[..at], &all[at + 1..]].concat();
        let (id, names, expected) = missed(&all[at]);
        // Where something befell the whole message, that is the reason.
        let is_excused = |fact: &Fact| {
            let blows = [Event::Removed(id), Event::Quarantined(id)];
            matches!(fact, Fact::Line(event) if blows.contains(event))
        };
        prop_assume!(!left.iter().any(is_excused));
        // Nothing at all is left of a message that had one fact.
        prop_assume!(left.iter().any(|fact| missed(fact).0 == id));
        let told = &judge(&left, &Event::Stopped)[&id];
        prop_assert_eq!(told.fate, expected, "{:?}", told);
        for name in names {
            prop_assert_eq!(told.recipients[&name].fate, Fate::Lost);
        }
        // After a death it proves nothing.
        let dead = &judge(&left, &Event::Started)[&id];
        prop_assert!(!dead.fate.is_fault(), "{:?}", dead);
    }
}
