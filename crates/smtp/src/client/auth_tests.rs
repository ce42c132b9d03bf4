//! AUTH with next hops that take it, refuse it, or want something else.

use bytes::BytesMut;
use slimta_core::message::{
    BodyType, Class, Content, Envelope, Priority, Recipient, Response, ReversePath,
};
use slimta_core::world::Timestamp;

use super::tests::farewell;
use super::*;

const GREETING: &str = "220 mx.example\r\n";
const GO: &str = "220 Go\r\n";
const TLS: &str = "250-mx.example\r\n250-AUTH PLAIN LOGIN\r\n250 STARTTLS\r\n";
const PLAIN: &str = "250-mx.example\r\n250 AUTH LOGIN PLAIN CRAM-MD5\r\n";
const LOGIN: &str = "250-mx.example\r\n250 AUTH=LOGIN\r\n";
const TAKEN: &str = "235 2.7.0 Fine\r\n";
/// NUL, ann, NUL, secret.
const MESSAGE: &str = "AGFubgBzZWNyZXQ=";

fn ann() -> Login {
    Login::new("ann", b"secret").unwrap()
}

/// Opens a session that begins with TLS, or one in clear, with a next hop that
/// says one of `turns` whenever it is waited for, and hangs up after the last.
fn open(login: Login, in_tls: bool, turns: &[&str]) -> (Session, Step, String) {
    let mut session = Session::new("us.example", Timing::default()).with_login(login);
    session = match in_tls {
        true => session.in_tls(),
        false => session.with_tls(TlsLevel::Opportunistic),
    };
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
            Step::StartTls => session.tls_started(),
            step => return (session, step, said),
        }
    }
}

#[track_caller]
fn why(step: &Step) -> String {
    let Step::Closed(why) = step else {
        panic!("{step:?}")
    };
    assert_eq!(why.class(), Class::Transient, "{why}");
    why.to_string()
}

#[test]
fn plain_is_preferred_and_said_with_the_command() {
    let (session, step, said) = open(ann(), true, &[GREETING, PLAIN, TAKEN]);
    assert_eq!(step, Step::Ready);
    assert_eq!(said, format!("EHLO us.example\r\nAUTH PLAIN {MESSAGE}\r\n"));
    assert!(!session.was_denied());
}

#[test]
fn login_says_name_and_password_each_when_it_is_asked() {
    let turns = [GREETING, LOGIN, "334 VXNlcm5hbWU6\r\n", "334 x\r\n", TAKEN];
    let (_, step, said) = open(ann(), true, &turns);
    assert_eq!(step, Step::Ready);
    assert_eq!(
        said,
        "EHLO us.example\r\nAUTH LOGIN\r\nYW5u\r\nc2VjcmV0\r\n"
    );
}

#[test]
fn what_is_too_long_for_a_command_goes_on_its_own_line() {
    let login = Login::new("ann", &[b'x'; 500]).unwrap();
    let (_, step, said) = open(login, true, &[GREETING, PLAIN, "334 \r\n", TAKEN]);
    assert_eq!(step, Step::Ready);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[1], "AUTH PLAIN");
    assert_eq!((lines[2].len(), lines.len()), (676, 3));
}

#[test]
fn in_clear_nothing_is_said_unless_it_may_be() {
    let refused = [GREETING, TLS, "454 4.7.0 Not now\r\n"];
    for turns in [
        &[GREETING, PLAIN][..],
        &refused,
        &[GREETING, "502 no\r\n", "250 x\r\n"],
    ] {
        let (session, step, said) = open(ann(), false, turns);
        assert!(why(&step).starts_with("451 4.7.4 The password is not sent"));
        assert!(!said.contains("AUTH") && !session.was_denied(), "{said}");
    }
    let (_, step, said) = open(ann().even_in_clear(), false, &[GREETING, PLAIN, TAKEN]);
    assert_eq!(step, Step::Ready);
    assert!(said.contains(MESSAGE));
    // What was offered in clear is no offer.
    let without = "250 mx.example\r\n";
    let (_, step, said) = open(ann(), false, &[GREETING, TLS, GO, without]);
    assert!(why(&step).starts_with("451 4.7.8 The next hop offers no way"));
    assert!(!said.contains("AUTH"));
    let (_, step, said) = open(ann(), false, &[GREETING, TLS, GO, PLAIN, TAKEN]);
    assert_eq!(step, Step::Ready);
    assert!(said.ends_with(&format!("AUTH PLAIN {MESSAGE}\r\n")));
}

#[test]
fn a_refusal_keeps_mail_waiting_whatever_its_code() {
    let denied = "535 5.7.8 No\r\n";
    let asks = "334 more\r\n";
    for (reply, is_denied) in [
        (denied, true),
        ("504 5.5.4 No such mechanism\r\n", true),
        ("454 4.7.0 Not now\r\n", false),
        (asks, false),
        ("354 what\r\n", false),
    ] {
        let (mut session, step, _) = open(ann(), true, &[GREETING, PLAIN, reply]);
        let why = why(&step);
        assert!(why.starts_with("451 4.7.8 The next hop did not let ann log in: "));
        assert!(why.ends_with(reply.trim_end()), "{why}");
        assert!(!why.contains(MESSAGE) && !why.contains("secret"));
        assert_eq!(session.was_denied(), is_denied, "{reply}");
        // Who asks for more would take it for the password.
        let waits_for_commands = !reply.starts_with('3');
        let said = farewell(&mut session);
        assert_eq!(said == "QUIT\r\n", waits_for_commands, "{reply}");
    }
    let (session, step, said) = open(ann(), true, &[GREETING, LOGIN, asks, denied]);
    assert!(session.was_denied() && why(&step).contains("5.7.8"));
    assert!(!said.contains("c2VjcmV0"), "the name was enough for it");
}

#[test]
fn who_hangs_up_or_goes_away_has_refused_nothing() {
    for turns in [&[GREETING, PLAIN][..], &[GREETING, PLAIN, "421 Bye\r\n"]] {
        let (session, step, _) = open(ann(), true, turns);
        assert!(!why(&step).contains("4.7.8") && !session.was_denied());
    }
}

/// RFC 4954 section 5: nobody vouches for the author.
#[test]
fn who_has_logged_in_names_no_author() {
    let envelope = Envelope::new(ReversePath::parse("from@from.example").unwrap(), []);
    let recipients = [Recipient::new("to@to.example".parse().unwrap())];
    let content = Content::new("x\r\n");
    let parcel = Parcel {
        envelope: &envelope,
        recipients: &recipients,
        content: &content,
        body: BodyType::SevenBit,
        priority: Priority::Normal,
        now: Timestamp::from_secs(0),
    };
    let (mut session, _, _) = open(ann(), true, &[GREETING, PLAIN, TAKEN]);
    session.begin(&parcel);
    assert_eq!(
        session.output(),
        b"MAIL FROM:<from@from.example> AUTH=<>\r\n"
    );
    // Who was not asked for a password says nothing of it.
    let mut session = Session::new("us.example", Timing::default());
    let mut input = BytesMut::from(&[GREETING, PLAIN].concat()[..]);
    while session.step(&mut input) != Step::Ready {}
    session.output().clear();
    session.begin(&parcel);
    assert_eq!(session.output(), b"MAIL FROM:<from@from.example>\r\n");
}
