//! STARTTLS against next hops that offer it, refuse it, break it, or are not
//! alone on the line.

use bytes::BytesMut;
use slimta_core::message::{Class, Response};

use super::tests::farewell;
use super::*;

const GREETING: &str = "220 mx.example\r\n";
const OFFER: &str = "250-mx.example\r\n250-8BITMIME\r\n250 STARTTLS\r\n";
const NO_OFFER: &str = "250-mx.example\r\n250 8BITMIME\r\n";
const GO: &str = "220 2.0.0 Go ahead\r\n";
const IN_TLS: &str = "250-mx.example\r\n250-STARTTLS\r\n250 PIPELINING\r\n";
const LEVELS: [TlsLevel; 3] = [
    TlsLevel::Opportunistic,
    TlsLevel::Required,
    TlsLevel::Verified,
];
const NEEDED: [TlsLevel; 2] = [TlsLevel::Required, TlsLevel::Verified];

struct Opened {
    session: Session,
    step: Step,
    /// What was said, with a mark where TLS began.
    said: String,
}

impl Opened {
    /// The answer for the messages of a session that did not come to be.
    #[track_caller]
    fn why(&self) -> String {
        let Step::Closed(why) = &self.step else {
            panic!("{:?}", self.step)
        };
        assert_eq!(why.class(), Class::Transient, "{why}");
        why.to_string()
    }
}

/// Opens a session with a next hop that says one of `turns` whenever it is
/// waited for, and hangs up after the last.
fn open(level: TlsLevel, turns: &[&str]) -> Opened {
    let mut session = Session::new("us.example", Timing::default()).with_tls(level);
    let (mut input, mut said) = (BytesMut::new(), String::new());
    let mut turns = turns.iter();
    loop {
        let step = session.step(&mut input);
        said += &String::from_utf8(std::mem::take(session.output())).unwrap();
        match step {
            Step::Read(_) => match turns.next() {
                Some(turn) => input.extend_from_slice(turn.as_bytes()),
                None => session.fail(Response::transient(4, 2, "Connection lost")),
            },
            Step::StartTls => {
                said += "(TLS)";
                session.tls_started();
            }
            step => {
                return Opened {
                    session,
                    step,
                    said,
                };
            }
        }
    }
}

#[test]
fn tls_begins_before_any_mail_and_what_was_offered_before_is_forgotten() {
    for level in LEVELS {
        let opened = open(level, &[GREETING, OFFER, GO, IN_TLS]);
        assert_eq!(opened.step, Step::Ready);
        assert_eq!(
            opened.said,
            "EHLO us.example\r\nSTARTTLS\r\n(TLS)EHLO us.example\r\n"
        );
        assert_eq!(opened.session.channel(), Channel::Encrypted);
        let offered = opened.session.extensions();
        assert!(offered.pipelining && !offered.eight_bit_mime);
    }
}

#[test]
fn a_session_that_is_to_be_clear_asks_for_nothing() {
    let opened = open(TlsLevel::Off, &[GREETING, OFFER]);
    assert_eq!(opened.step, Step::Ready);
    assert_eq!(opened.said, "EHLO us.example\r\n");
    assert_eq!(opened.session.channel(), Channel::Clear);
}

#[test]
fn without_an_offer_only_mail_that_need_not_be_encrypted_goes() {
    let no_ehlo = [GREETING, "502 what?\r\n", "250 mx.example\r\n"];
    for turns in [&[GREETING, NO_OFFER][..], &no_ehlo] {
        let opened = open(TlsLevel::Opportunistic, turns);
        assert_eq!(opened.step, Step::Ready);
        assert_eq!(opened.session.channel(), Channel::Clear);
        for level in NEEDED {
            let mut opened = open(level, turns);
            let why = opened.why();
            assert!(
                why.starts_with("451 4.7.4 Required STARTTLS not available"),
                "{why}"
            );
            assert!(!opened.said.contains("STARTTLS"));
            assert_eq!(farewell(&mut opened.session), "QUIT\r\n");
        }
    }
}

#[test]
fn a_refusal_is_heeded_unless_encryption_is_needed() {
    for refusal in [
        "454 4.7.0 Not now\r\n",
        "502 5.5.1 No\r\n",
        "554 5.7.3 No\r\n",
    ] {
        let turns = [GREETING, OFFER, refusal];
        let opened = open(TlsLevel::Opportunistic, &turns);
        assert_eq!(opened.step, Step::Ready, "{refusal}");
        assert_eq!(opened.session.channel(), Channel::Clear);
        assert!(opened.session.extensions().eight_bit_mime);
        for level in NEEDED {
            let why = open(level, &turns).why();
            assert!(
                why.contains("4.7.4 Required STARTTLS not available"),
                "{why}"
            );
            assert!(why.contains(refusal.trim_end()), "{why}");
        }
    }
}

#[test]
fn what_comes_in_clear_behind_the_answer_is_an_attack() {
    let with_more = |more: &str| format!("{GO}{more}");
    let early = format!("{OFFER}{GO}");
    for level in LEVELS {
        for more in ["250 mx.example\r\n", "454 no\r\n", "x", "\n"] {
            let opened = open(level, &[GREETING, OFFER, &with_more(more), IN_TLS]);
            assert!(opened.why().starts_with("451 4.7.0 "), "{more:?}");
            assert_eq!(opened.session.channel(), Channel::Tampered);
            assert!(opened.said.ends_with("STARTTLS\r\n"), "{}", opened.said);
        }
        // The answer is there before STARTTLS was sent.
        let opened = open(level, &[GREETING, &early, IN_TLS]);
        assert_eq!(opened.session.channel(), Channel::Tampered);
        opened.why();
    }
}

#[test]
fn it_is_an_attack_too_while_the_driver_has_not_begun() {
    let mut session = Session::new("us.example", Timing::default()).with_tls(TlsLevel::Required);
    let mut step = Step::Ready;
    for turn in [GREETING, OFFER, GO] {
        step = session.step(&mut BytesMut::from(turn));
        session.output().clear();
    }
    assert_eq!(step, Step::StartTls);
    assert_eq!(session.step(&mut BytesMut::new()), Step::StartTls);
    let step = session.step(&mut BytesMut::from("250 x\r\n"));
    assert!(matches!(step, Step::Closed(_)), "{step:?}");
    assert_eq!(session.channel(), Channel::Tampered);
    session.tls_started();
    assert!(!session.is_open() && session.output().is_empty());
}

#[test]
fn a_session_tells_whether_it_ended_for_want_of_tls() {
    let ends: [(&[&str], Channel); 7] = [
        (&[GREETING], Channel::Clear),
        (&[GREETING, OFFER], Channel::Starting),
        (&[GREETING, OFFER, "421 Bye\r\n"], Channel::Starting),
        (&[GREETING, OFFER, "354 what\r\n"], Channel::Starting),
        (&[GREETING, OFFER, "HTTP/1.1 400\r\n"], Channel::Starting),
        (&[GREETING, OFFER, GO], Channel::Starting),
        (&[GREETING, OFFER, GO, "450 wait\r\n"], Channel::Encrypted),
    ];
    for (turns, channel) in ends {
        let opened = open(TlsLevel::Opportunistic, turns);
        opened.why();
        assert_eq!(opened.session.channel(), channel, "{turns:?}");
    }
}
