//! A message with a time to be delivered by, through any schedule and any answers,
//! on a clock of its own.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::message::{ByMode, DeliverBy, Envelope, ReversePath};
use crate::queue::sample;
use crate::queue::settle::is_late;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const USUAL: Duration = Duration::from_secs(4 * 3600);

/// What became of a message.
#[derive(Debug, Default)]
struct Life {
    /// When it was handed to the relay.
    attempts: Vec<Timestamp>,
    /// When its sender was told that it is late.
    notices: Vec<Timestamp>,
    /// When it failed, and how.
    failed: Option<(Timestamp, Response)>,
}

/// Lets a message fail for now again and again, each attempt so many seconds after
/// it was due, until it ends.
fn live(by: DeliverBy, delays: &[u64], lateness: u64) -> Life {
    let sender = ReversePath::parse("from@example.com").unwrap();
    let mut message = StoredMessage {
        envelope: Envelope::new(sender, ["to@example.org".parse().unwrap()]),
        ..sample::message(START, 0, 1)
    };
    message.envelope.deliver_by = Some(by);
    let mut life = Life::default();
    let delays = delays.to_vec();
    loop {
        let now = message.due.after(Duration::from_secs(lateness));
        let report = match message.is_expired(now) {
            true => expired(&message),
            false => {
                life.attempts.push(now);
                Report::all(Response::transient(2, 0, "later"), 1)
            }
        };
        let delays = delays.clone();
        let retry = move |m: &StoredMessage, _: &Response| {
            let delay = delays.get(m.attempts as usize - 1)?;
            Some(now.after(Duration::from_secs(*delay)))
        };
        let mut verdict = judge(&message, &report, &retry, now);
        let Some(mut deferral) = verdict.deferral.take() else {
            life.failed = verdict.failed.pop().map(|(_, response)| (now, response));
            return life;
        };
        if is_late(&message, Some(USUAL), now) {
            life.notices.push(now);
            deferral.delay_told = true;
        }
        deferral.apply(&mut message);
    }
}

fn any_delays() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(1_u64..20_000, 0..12)
}

proptest! {
    #[test]
    fn what_is_of_no_use_any_more_goes_back_untried(
        seconds in 1_i64..100_000,
        delays in any_delays(),
        lateness in 0_u64..100,
    ) {
        let by = DeliverBy::within(seconds, ByMode::Return, false, START);
        let life = live(by, &delays, lateness);
        prop_assert!(life.attempts.iter().all(|at| *at < by.by), "{life:?}");
        let (at, response) = life.failed.clone().unwrap();
        let latest = by.by.after(Duration::from_secs(lateness));
        if at >= by.by {
            prop_assert!(at <= latest);
            prop_assert_eq!(response.enhanced.unwrap().to_string(), "5.4.7");
        } else {
            // The schedule was over before.
            prop_assert_eq!(life.attempts.len(), delays.len() + 1);
        }
    }

    #[test]
    fn who_wants_to_hear_of_a_delay_hears_once_and_mail_goes_on(
        seconds in -1000_i64..100_000,
        delays in any_delays(),
        lateness in 0_u64..100,
    ) {
        let by = DeliverBy::within(seconds, ByMode::Notify, false, START);
        let life = live(by, &delays, lateness);
        prop_assert!(life.notices.len() <= 1, "{life:?}");
        let (end, response) = life.failed.clone().unwrap();
        prop_assert!(response.text.ends_with("(Too many retries)"));
        prop_assert_eq!(life.attempts.len(), delays.len() + 1);
        match life.notices.first() {
            Some(told) => {
                let first = by.by.max(START).after(Duration::from_secs(lateness));
                prop_assert!(*told >= by.by && *told <= first, "{life:?}");
            }
            // Given up before, and that is told.
            None => prop_assert!(end <= by.by.max(START).after(Duration::from_secs(lateness))),
        }
    }
}
