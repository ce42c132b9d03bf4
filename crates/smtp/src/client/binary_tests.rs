//! Mail of any octets (BINARYMIME, RFC 3030 section 3): in one chunk, or not at all.

use bytes::BytesMut;
use slimta_core::message::{
    BodyType, Content, Envelope, Priority, Recipient, Response, ReversePath,
};
use slimta_core::world::Timestamp;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_508_249);
const OFFERS: &str = "250-8BITMIME\r\n250-BINARYMIME\r\n250 CHUNKING\r\n";
const BODY: &[u8] = b"A: 1\r\n\r\n\0\r\n.\r\n\n.\n\xff";

/// A session that has begun a message of any octets for two.
fn begun(dialect: Dialect, offers: &str) -> Session {
    let mut session = Session::new("client.example", Timing::default()).with_dialect(dialect);
    session.step(&mut BytesMut::from("220 mx.example\r\n"));
    let hello = format!("250-mx.example\r\n{offers}");
    let ready = session.step(&mut BytesMut::from(hello.as_str()));
    assert_eq!(ready, Step::Ready);
    session.output().clear();
    begin(&mut session);
    session
}

fn begin(session: &mut Session) {
    let to = |name: &str| Recipient::new(format!("{name}@to.example").parse().unwrap());
    session.begin(&Parcel {
        envelope: &Envelope::new(ReversePath::parse("from@from.example").unwrap(), []),
        recipients: &[to("a"), to("b")],
        content: &Content::new(BODY),
        body: BodyType::BinaryMime,
        priority: Priority::Normal,
        now: NOW,
    });
}

fn said(session: &mut Session) -> String {
    String::from_utf8(std::mem::take(session.output())).unwrap()
}

/// What is written as the contents.
fn chunk(session: &mut Session) -> Vec<u8> {
    let (mut wire, mut written) = (session.wire(&Content::new(BODY)), Vec::new());
    while wire.fill(&mut written, 5) {}
    wire.end(&mut written);
    session.contents_sent();
    written
}

fn codes(step: &Step) -> Vec<u16> {
    let Step::Done(outcome) = step else {
        panic!("{step:?}")
    };
    outcome.responses.iter().map(|r| r.code.get()).collect()
}

#[test]
fn a_chunk_follows_the_answers_for_all_recipients() {
    let pipelining = format!("250-PIPELINING\r\n{OFFERS}");
    let mut session = begun(Dialect::Smtp, &pipelining);
    assert_eq!(
        said(&mut session),
        "MAIL FROM:<from@from.example> BODY=BINARYMIME\r\n\
         RCPT TO:<a@to.example>\r\nRCPT TO:<b@to.example>\r\n"
    );
    let step = session.step(&mut BytesMut::from("250\r\n250\r\n"));
    assert!(matches!(step, Step::Read(_)), "{step:?}");
    let step = session.step(&mut BytesMut::from("550 5.1.1 no\r\n"));
    assert_eq!(step, Step::Contents);
    let written = chunk(&mut session);
    assert_eq!(written, [b"BDAT 18 LAST\r\n", BODY].concat());
    let step = session.step(&mut BytesMut::from("250 2.0.0 taken\r\n"));
    assert_eq!(codes(&step), [250, 550]);
    begin(&mut session);
    assert!(said(&mut session).starts_with("MAIL "), "nothing to reset");
}

#[test]
fn without_pipelining_each_answer_is_awaited() {
    let mut session = begun(Dialect::Smtp, OFFERS);
    for line in ["MAIL ", "RCPT ", "RCPT "] {
        let said = said(&mut session);
        assert!(said.starts_with(line) && said.matches('\n').count() == 1);
        session.step(&mut BytesMut::from("250\r\n"));
    }
    assert_eq!(session.step(&mut BytesMut::new()), Step::Contents);
}

#[test]
fn no_chunk_goes_for_nobody() {
    for (replies, answers) in [
        ("250\r\n550\r\n450\r\n", [550, 450]),
        ("550\r\n503\r\n503\r\n", [550, 550]),
        ("250\r\n250\r\n421 bye\r\n", [421, 421]),
    ] {
        let mut session = begun(Dialect::Smtp, &format!("250-PIPELINING\r\n{OFFERS}"));
        let step = session.step(&mut BytesMut::from(replies));
        assert_eq!(codes(&step), answers, "{replies}");
    }
}

#[test]
fn behind_a_chunk_that_failed_nothing_is_known() {
    let mut session = begun(Dialect::Smtp, &format!("250-PIPELINING\r\n{OFFERS}"));
    session.step(&mut BytesMut::from("250\r\n250\r\n250\r\n"));
    chunk(&mut session);
    let step = session.step(&mut BytesMut::from("452 4.3.1 no room\r\n"));
    assert_eq!(codes(&step), [452, 452]);
    said(&mut session);
    begin(&mut session);
    assert!(said(&mut session).starts_with("RSET\r\nMAIL "));
}

#[test]
fn a_chunk_is_proof_of_nothing_before_its_answer() {
    for replies in ["", "354 go on\r\n", "garbage\r\n"] {
        let mut session = begun(Dialect::Smtp, &format!("250-PIPELINING\r\n{OFFERS}"));
        session.step(&mut BytesMut::from("250\r\n250\r\n250\r\n"));
        chunk(&mut session);
        let mut step = session.step(&mut BytesMut::from(replies));
        if let Step::Read(_) = step {
            session.fail(Response::transient(4, 2, "Connection lost"));
            step = session.step(&mut BytesMut::new());
        }
        let answers = codes(&step);
        assert!(
            answers.iter().all(|code| code / 100 == 4),
            "{replies}: {answers:?}"
        );
    }
    // It is there before the contents are.
    let mut session = begun(Dialect::Smtp, &format!("250-PIPELINING\r\n{OFFERS}"));
    let early = "250\r\n250\r\n250\r\n250 taken\r\n";
    let step = session.step(&mut BytesMut::from(early));
    assert!(codes(&step).iter().all(|code| code / 100 == 4));
    assert!(!session.is_open());
}

#[test]
fn by_lmtp_each_recipient_has_its_answer_to_the_chunk() {
    let mut session = begun(Dialect::Lmtp, &format!("250-PIPELINING\r\n{OFFERS}"));
    let step = session.step(&mut BytesMut::from("250\r\n250\r\n250\r\n"));
    assert_eq!(step, Step::Contents);
    chunk(&mut session);
    let step = session.step(&mut BytesMut::from("250 2.1.5 ok\r\n"));
    assert!(matches!(step, Step::Read(_)), "{step:?}");
    let step = session.step(&mut BytesMut::from("452 4.2.2 full\r\n"));
    assert_eq!(codes(&step), [250, 452]);
}

#[test]
fn a_next_hop_without_both_extensions_gets_nothing() {
    for offers in [
        "250-8BITMIME\r\n250 CHUNKING\r\n",
        "250-8BITMIME\r\n250 BINARYMIME\r\n",
        "250 8BITMIME\r\n",
    ] {
        let mut session = begun(Dialect::Smtp, offers);
        assert_eq!(said(&mut session), "", "{offers}");
        let Step::Done(outcome) = session.step(&mut BytesMut::new()) else {
            panic!("no outcome")
        };
        assert_eq!(outcome.stage, Stage::Unsent);
        let code = outcome.responses[0].enhanced.map(|code| code.to_string());
        assert_eq!(code.as_deref(), Some("5.6.3"), "{offers}");
    }
}
