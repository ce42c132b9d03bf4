//! What is kept of attempts, whatever happens in them.

use proptest::prelude::*;

use super::*;
use crate::message::{
    Client, Destination, EnhancedCode, Envelope, MessageId, Priority, ReversePath,
};

const RECEIVED: Timestamp = Timestamp::from_secs(1_700_000_000);

fn message(recipients: usize) -> StoredMessage {
    let id = MessageId::from_bytes([7; 16]);
    let to = "to@example.org".parse().unwrap();
    StoredMessage {
        id,
        submission: id,
        destination: Destination::new("example.org"),
        client: Client::default(),
        envelope: Envelope::new(ReversePath::Null, vec![to; recipients]),
        received: RECEIVED,
        size: 0,
        priority: Priority::Normal,
        attempts: 0,
        due: RECEIVED,
        held: None,
        last_response: None,
        delay_told: false,
        history: History::default(),
    }
}

fn any_past() -> impl Strategy<Value = Past> {
    let kind = prop_oneof![
        Just(PastKind::Tried),
        Just(PastKind::Rerouted),
        (any::<i64>(), any::<u32>()).prop_map(|(since, times)| PastKind::PutOff {
            since: Timestamp::from_millis(since),
            times,
        }),
    ];
    let said = (400_u16..500, any::<String>(), any::<Option<String>>());
    (any::<i64>(), kind, any::<(u32, u32)>(), said).prop_map(
        |(at, kind, (recipients, waiting), (code, text, remote))| Past {
            at: Timestamp::from_millis(at),
            kind,
            recipients,
            waiting,
            response: Response::new(code, None, text),
            remote,
        },
    )
}

pub(crate) fn any_history() -> impl Strategy<Value = History> {
    let entries = prop::collection::vec(any_past(), 0..20);
    (any::<u32>(), entries).prop_map(|(earlier, entries)| History { earlier, entries })
}

/// What happens to a message: put off or tried, with such a reply.
fn past(message: &StoredMessage, put_off: bool, text: &str, seconds: u64) -> Past {
    let at = RECEIVED.after(std::time::Duration::from_secs(seconds));
    let kind = match put_off {
        true => PastKind::PutOff {
            since: at,
            times: 1,
        },
        false => PastKind::Tried,
    };
    let response = Response::new(451, Some(EnhancedCode::new(4, 2, 0)), text);
    let waiting = message.envelope.recipients.len();
    Past::new(message, kind, waiting, (&response, Some(text)), at)
}

proptest! {
    /// However many attempts fail with whatever replies, all are counted, the
    /// last is kept, and the record stays small.
    #[test]
    fn a_history_is_bounded_and_counts_all(
        steps in prop::collection::vec((any::<bool>(), "\\PC{0,600}"), 0..60),
    ) {
        let mut message = message(3);
        let bare = message.to_record().unwrap().len();
        for (step, (put_off, text)) in (1..).zip(&steps) {
            message.history = message.history_with(past(&message, *put_off, text, step));
            message.attempts += 1;
            let history = &message.history;
            let kept: u32 = history.entries.iter().map(Past::times).sum();
            prop_assert_eq!(history.earlier + kept, message.attempts);
            prop_assert!((1..=HISTORY_ENTRIES_MAX).contains(&history.entries.len()));
            let last = history.entries.last().unwrap();
            prop_assert_eq!(last.kind == PastKind::Tried, !put_off);
        }
        let record = message.to_record().unwrap();
        prop_assert!(record.len() <= bare + 400 * HISTORY_ENTRIES_MAX + 10, "{}", record.len());
        prop_assert_eq!(StoredMessage::from_record(&record), Ok(message));
    }
}

#[test]
fn a_long_outage_is_one_entry() {
    let mut message = message(1);
    message.history = message.history_with(past(&message, false, "Greylisted", 1));
    for seconds in 2..100 {
        message.history = message.history_with(past(&message, true, "not there", seconds));
    }
    let [tried, put_off] = message.history.entries.as_slice() else {
        panic!("{:?}", message.history);
    };
    assert_eq!(tried.response.to_string(), "451 4.2.0 Greylisted");
    let since = RECEIVED.after(std::time::Duration::from_secs(2));
    assert_eq!(put_off.kind, PastKind::PutOff { since, times: 98 });
    assert_eq!(
        put_off.at,
        RECEIVED.after(std::time::Duration::from_secs(99))
    );
}

#[test]
fn of_a_reply_its_first_line_is_kept_and_nothing_that_steers() {
    let message = message(1);
    let kept = past(&message, false, "one\u{1b}[2J\nevil: two", 1);
    assert_eq!(kept.response.text, "one [2J");
    assert_eq!(kept.response.data, None);
    let long = past(&message, false, &"x".repeat(10_000), 1);
    assert!(long.response.text.len() <= REPLY_BYTES_MAX + 10);
    assert!(long.remote.unwrap().len() <= REMOTE_BYTES_MAX + 10);
}

#[test]
fn attempts_from_before_there_was_a_history_are_counted() {
    let mut message = message(1);
    message.attempts = 5;
    let history = message.history_with(past(&message, false, "later", 1));
    assert_eq!((history.earlier, history.entries.len()), (5, 1));
}
