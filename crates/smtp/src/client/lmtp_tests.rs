//! Sessions by LMTP: each recipient has its own answer to the contents.

use bytes::BytesMut;
use proptest::prelude::*;
use slimta_core::message::{
    BodyType, Class, Content, Envelope, Priority, Recipient, Response, ReversePath,
};
use slimta_core::world::Timestamp;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_508_249);
const HELLO: &str = "250-mail.example\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 DSN\r\n";

fn to(names: &[&str]) -> Vec<Recipient> {
    let address = |name: &&str| format!("{name}@to.example").parse().unwrap();
    names.iter().map(address).map(Recipient::new).collect()
}

/// A session whose greeting was heard, and what it said then.
fn greeted() -> (Session, String) {
    let session = Session::new("client.example", Timing::default());
    let mut session = session.with_dialect(Dialect::Lmtp);
    session.step(&mut BytesMut::from("220 mail.example LMTP\r\n"));
    let said = said(&mut session);
    (session, said)
}

fn said(session: &mut Session) -> String {
    String::from_utf8(std::mem::take(session.output())).unwrap()
}

/// A session that has begun a message for these recipients.
fn begun(names: &[&str]) -> Session {
    let (mut session, _) = greeted();
    let ready = session.step(&mut BytesMut::from(HELLO));
    assert_eq!(ready, Step::Ready);
    begin(&mut session, names);
    session
}

fn begin(session: &mut Session, names: &[&str]) {
    let content = Content::new("Hello.\r\n");
    session.begin(&Parcel {
        envelope: &Envelope::new(ReversePath::parse("from@from.example").unwrap(), []),
        recipients: &to(names),
        content: &content,
        body: BodyType::SevenBit,
        priority: Priority::Normal,
        now: NOW,
    });
}

/// Tells it all that comes before the dot, which is then sent.
fn until_sent(session: &mut Session, replies: &str) {
    let step = session.step(&mut BytesMut::from(replies));
    assert_eq!(step, Step::Contents);
    session.contents_sent();
    session.output().clear();
}

fn codes(step: &Step) -> Vec<u16> {
    let Step::Done(outcome) = step else {
        panic!("{step:?}")
    };
    outcome.responses.iter().map(|r| r.code.get()).collect()
}

#[test]
fn it_says_lhlo_and_nothing_else() {
    let (mut session, said_first) = greeted();
    assert_eq!(said_first, "LHLO client.example\r\n");
    let step = session.step(&mut BytesMut::from("500 5.5.1 Unknown command\r\n"));
    let Step::Closed(why) = step else {
        panic!("{step:?}")
    };
    assert_eq!(why.class(), Class::Transient, "{why}");
    assert_eq!(said(&mut session), "", "no HELO");
}

#[test]
fn commands_go_in_one_batch_with_what_was_offered() {
    let mut session = begun(&["a", "b"]);
    assert_eq!(
        said(&mut session),
        "MAIL FROM:<from@from.example>\r\n\
         RCPT TO:<a@to.example> ORCPT=rfc822;a@to.example\r\n\
         RCPT TO:<b@to.example> ORCPT=rfc822;b@to.example\r\nDATA\r\n"
    );
}

#[test]
fn each_accepted_recipient_is_settled_by_its_own_answer() {
    let mut session = begun(&["a", "b", "c", "d"]);
    until_sent(
        &mut session,
        "250\r\n250\r\n550 no b\r\n250\r\n250\r\n354\r\n",
    );
    for answer in ["250 2.0.0 a\r\n", "452 4.2.2 c is full\r\n"] {
        let step = session.step(&mut BytesMut::from(answer));
        assert_eq!(step, Step::Read(Timing::default().contents));
    }
    let step = session.step(&mut BytesMut::from("552 5.2.2 d is full\r\n"));
    assert_eq!(codes(&step), [250, 550, 452, 552]);
    let Step::Done(outcome) = step else { panic!() };
    assert_eq!(outcome.responses[2].text, "c is full");
    assert!(
        outcome.too_many.is_empty(),
        "the mailbox is full, not the transaction"
    );
    assert!(session.is_open());
    begin(&mut session, &["a"]);
    assert!(
        said(&mut session).starts_with("MAIL"),
        "nothing is left of the first"
    );
}

#[test]
fn a_connection_lost_between_the_answers_leaves_what_was_answered() {
    for (answers, expected) in [
        ("", [451, 451, 451]),
        ("250 a\r\n", [250, 451, 451]),
        ("250 a\r\n550 b\r\n", [250, 550, 451]),
        ("250 a\r\n421 going\r\n", [250, 421, 421]),
        ("250 a\r\n354 what\r\n", [250, 451, 451]),
        ("250 a\r\nnonsense\r\n", [250, 451, 451]),
    ] {
        let mut session = begun(&["a", "b", "c"]);
        until_sent(&mut session, "250\r\n250\r\n250\r\n250\r\n354\r\n");
        let mut step = session.step(&mut BytesMut::from(answers));
        if matches!(step, Step::Read(_)) {
            session.fail(Response::transient(4, 2, "Connection lost"));
            step = session.step(&mut BytesMut::new());
        }
        assert_eq!(codes(&step), expected, "{answers:?}");
        assert!(!session.is_open());
    }
}

#[test]
fn more_answers_than_recipients_end_the_session() {
    let mut session = begun(&["a", "b"]);
    until_sent(&mut session, "250\r\n250\r\n550\r\n354\r\n");
    let step = session.step(&mut BytesMut::from("250 a\r\n250 b?\r\n"));
    assert_eq!(codes(&step), [250, 550]);
    assert!(!session.is_open());
}

/// No reply would follow the dot.
#[test]
fn nobody_sends_a_dot_for_nobody() {
    let mut session = begun(&["a"]);
    session.output().clear();
    let step = session.step(&mut BytesMut::from("250\r\n550\r\n354\r\n"));
    assert_eq!(codes(&step), [550]);
    assert_eq!(said(&mut session), "");
    assert!(!session.is_open());
    let mut session = begun(&["a"]);
    let step = session.step(&mut BytesMut::from(
        "250\r\n550\r\n503 5.5.1 for nobody\r\n",
    ));
    assert_eq!(codes(&step), [550]);
    assert!(session.is_open());
}

proptest! {
    /// Whatever comes after the dot, a recipient is delivered only by its own 2yz,
    /// with an answer for each before it.
    #[test]
    fn only_its_own_answer_delivers(
        answers in prop::collection::vec(
            prop_oneof![
                4 => Just("250"), 1 => Just("354"), 1 => Just("550"), 1 => Just("450"),
                1 => Just("421"), 1 => Just("garbage"),
            ],
            0..5,
        ),
        piece in 1_usize..9,
    ) {
        let mut session = begun(&["a", "b", "c"]);
        until_sent(&mut session, "250\r\n250\r\n250\r\n250\r\n354\r\n");
        let said: String = answers.iter().map(|answer| format!("{answer} x\r\n")).collect();
        let (mut step, mut input) = (Step::Ready, BytesMut::new());
        for piece in said.as_bytes().chunks(piece) {
            input.extend_from_slice(piece);
            step = session.step(&mut input);
            if matches!(step, Step::Done(_)) {
                break;
            }
        }
        if !matches!(step, Step::Done(_)) {
            session.fail(Response::transient(4, 2, "Connection lost"));
            step = session.step(&mut BytesMut::new());
        }
        let is_answer = |answer: &&str| matches!(*answer, "250" | "550" | "450");
        for (index, code) in codes(&step).into_iter().enumerate() {
            let expected = answers.get(..=index).filter(|until| until.iter().all(is_answer));
            match expected.and_then(|until| until.last()) {
                Some(own) => prop_assert_eq!(code.to_string(), *own),
                None => prop_assert_eq!(code / 100, 4),
            }
        }
    }
}
