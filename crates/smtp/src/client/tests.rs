//! Sessions against next hops of every kind. Each is played in one piece and
//! byte by byte, which must make no difference.

use bytes::BytesMut;
use proptest::prelude::*;
use slimta_core::message::{
    BodyType, Content, Envelope, Notify, OriginalRecipient, Priority, Recipient, Response, Ret,
    ReversePath,
};
use slimta_core::world::Timestamp;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_508_249);
const HELLO: &str = "220 mx.example\r\n250-mx.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n\
                     250-SIZE 1000\r\n250-SMTPUTF8\r\n250 DSN\r\n";
const PLAIN_HELLO: &str = "220 mx.example\r\n250 mx.example\r\n";

fn to(names: &[&str]) -> Vec<Recipient> {
    let address = |name: &&str| format!("{name}@to.example").parse().unwrap();
    names.iter().map(address).map(Recipient::new).collect()
}

fn envelope() -> Envelope {
    Envelope::new(ReversePath::parse("from@from.example").unwrap(), [])
}

/// What a session whose end is clear says before its connection is closed; the next
/// hop answers.
pub(super) fn farewell(session: &mut Session) -> String {
    session.output().clear();
    session.quit();
    let step = session.step(&mut BytesMut::from("221 bye\r\n"));
    assert!(matches!(step, Step::Closed(_)), "{step:?}");
    String::from_utf8(std::mem::take(session.output())).unwrap()
}

/// What a next hop heard, and what it made of the mail.
struct Played {
    heard: String,
    outcome: Outcome,
    is_open: bool,
}

/// Plays one message for `recipients` against a next hop that will say
/// `replies`, as far as it is asked; then it hangs up.
fn play(replies: &str, recipients: &[Recipient]) -> Played {
    play_mail(replies, recipients, &envelope(), "Hello.\r\n")
}

fn play_mail(replies: &str, recipients: &[Recipient], envelope: &Envelope, text: &str) -> Played {
    let whole = play_pieces(replies, recipients, envelope, text, usize::MAX);
    let bytes = play_pieces(replies, recipients, envelope, text, 1);
    assert_eq!(whole.heard, bytes.heard);
    assert_eq!(whole.outcome, bytes.outcome);
    assert_eq!(whole.is_open, bytes.is_open);
    whole
}

fn play_pieces(
    replies: &str,
    recipients: &[Recipient],
    envelope: &Envelope,
    text: &str,
    piece: usize,
) -> Played {
    let content = Content::new(text.to_owned());
    let parcel = Parcel {
        envelope,
        recipients,
        content: &content,
        body: envelope.body,
        priority: Priority::High,
        now: NOW,
    };
    let mut session = Session::new("client.example", Timing::default());
    // A next hop answers what it was asked, reply by reply, and no more.
    let mut replies = split_replies(replies).into_iter();
    let mut owed = 1;
    let (mut input, mut heard, mut said) = (BytesMut::new(), String::new(), String::new());
    let mut began = false;
    loop {
        match session.step(&mut input) {
            Step::Ready if !began => {
                began = true;
                session.begin(&parcel);
            }
            Step::Ready | Step::StartTls | Step::Closed(_) => panic!("no outcome"),
            Step::Contents => {
                let (mut wire, mut data) = (session.wire(&content), Vec::new());
                while wire.fill(&mut data, 1 << 20) {}
                wire.end(&mut data);
                session.output().extend_from_slice(&data);
                session.contents_sent();
                owed = 1;
                heard += &std::mem::take(session.output())
                    .into_iter()
                    .map(char::from)
                    .collect::<String>();
            }
            Step::Read(_) => {
                let out = String::from_utf8(std::mem::take(session.output())).unwrap();
                owed += if out == ".\r\n" {
                    1
                } else {
                    out.matches("\r\n").count()
                };
                heard += &out;
                if said.is_empty() {
                    said = replies.by_ref().take(owed).collect::<String>();
                    owed = 0;
                }
                if said.is_empty() {
                    session.fail(Response::transient(4, 2, "Connection lost"));
                }
                let rest = said.split_off(piece.min(said.len()));
                input.extend_from_slice(said.as_bytes());
                said = rest;
            }
            Step::Done(outcome) => {
                heard += &String::from_utf8(std::mem::take(session.output())).unwrap();
                let is_open = session.is_open();
                return Played {
                    heard,
                    outcome,
                    is_open,
                };
            }
        }
    }
}

/// The replies of a script, each with its lines.
fn split_replies(text: &str) -> Vec<String> {
    let mut replies = vec![String::new()];
    for line in text.split_inclusive("\r\n") {
        let is_last = line.as_bytes().get(3) != Some(&b'-');
        if let Some(reply) = replies.last_mut() {
            reply.push_str(line);
        }
        if is_last {
            replies.push(String::new());
        }
    }
    replies.retain(|reply| !reply.is_empty());
    replies
}

fn codes(played: &Played) -> Vec<u16> {
    played
        .outcome
        .responses
        .iter()
        .map(|r| r.code.get())
        .collect()
}

#[test]
fn a_message_goes_in_one_batch_and_its_contents() {
    let played = play(
        &format!("{HELLO}250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 taken\r\n"),
        &to(&["a", "b"]),
    );
    assert_eq!(
        played.heard,
        "EHLO client.example\r\nMAIL FROM:<from@from.example> SIZE=8\r\n\
         RCPT TO:<a@to.example> ORCPT=rfc822;a@to.example\r\n\
         RCPT TO:<b@to.example> ORCPT=rfc822;b@to.example\r\nDATA\r\nHello.\r\n.\r\n"
    );
    assert_eq!(codes(&played), [250, 250]);
    assert_eq!(played.outcome.stage, Stage::Contents);
    assert!(played.is_open);
}

#[test]
fn without_pipelining_each_answer_is_awaited() {
    let refused = play(&format!("{PLAIN_HELLO}550 go away\r\n"), &to(&["a", "b"]));
    assert_eq!(
        refused.heard,
        "EHLO client.example\r\nMAIL FROM:<from@from.example>\r\n"
    );
    assert_eq!(codes(&refused), [550, 550]);
    let nobody = play(
        &format!("{PLAIN_HELLO}250\r\n550\r\n450\r\n"),
        &to(&["a", "b"]),
    );
    assert!(!nobody.heard.contains("DATA"));
    assert_eq!(codes(&nobody), [550, 450]);
    let taken = play(
        &format!("{PLAIN_HELLO}250\r\n250\r\n251 forwarded\r\n354\r\n250\r\n"),
        &to(&["a", "b"]),
    );
    assert_eq!(codes(&taken), [250, 250]);
}

#[test]
fn each_recipient_has_its_own_answer() {
    let played = play(
        &format!("{HELLO}250\r\n550 no\r\n250\r\n450 later\r\n552 full\r\n354\r\n250 taken\r\n"),
        &to(&["a", "b", "c", "d"]),
    );
    assert_eq!(codes(&played), [550, 250, 450, 452]);
    let refused = play(
        &format!("{HELLO}250\r\n550 no\r\n250\r\n354\r\n554 spam\r\n"),
        &to(&["a", "b"]),
    );
    assert_eq!(codes(&refused), [550, 554]);
    let data_refused = play(
        &format!("{HELLO}250\r\n550 no\r\n250\r\n451 not now\r\n"),
        &to(&["a", "b"]),
    );
    assert_eq!(codes(&data_refused), [550, 451]);
}

#[test]
fn a_refused_reverse_path_is_the_answer_for_all() {
    let played = play(
        &format!("{HELLO}550 no\r\n503\r\n503\r\n503\r\n"),
        &to(&["a", "b"]),
    );
    assert_eq!(codes(&played), [550, 550]);
    assert_eq!(played.outcome.stage, Stage::Sender);
    assert!(played.is_open);
}

#[test]
fn a_next_hop_that_wants_contents_for_nobody_gets_none() {
    let played = play(
        &format!("{HELLO}250\r\n550 no\r\n354 go\r\n554 nobody\r\n"),
        &to(&["a"]),
    );
    assert!(played.heard.ends_with("DATA\r\n.\r\n"), "{}", played.heard);
    assert_eq!(codes(&played), [550]);
    let lied = play(
        &format!("{HELLO}250\r\n550 no\r\n354 go\r\n250 ok\r\n"),
        &to(&["a"]),
    );
    assert_eq!(codes(&lied), [550]);
}

#[test]
fn a_lost_connection_leaves_what_was_answered() {
    let steps = ["250\r\n", "550\r\n", "250\r\n", "354\r\n"];
    let expected: [&[u16]; 5] = [
        &[451, 451],
        &[451, 451],
        &[550, 451],
        &[550, 451],
        &[550, 451],
    ];
    for (count, codes_expected) in expected.iter().enumerate() {
        let played = play(
            &format!("{HELLO}{}", steps[..count].concat()),
            &to(&["a", "b"]),
        );
        assert_eq!(codes(&played), *codes_expected, "after {count} answers");
        assert!(!played.is_open);
    }
}

#[test]
fn a_server_that_shuts_down_ends_the_session() {
    let played = play(
        &format!("{HELLO}250\r\n550 no\r\n421 closing\r\n"),
        &to(&["a", "b"]),
    );
    assert_eq!(codes(&played), [550, 421]);
    assert!(!played.is_open);
}

#[test]
fn answers_that_make_no_sense_prove_nothing() {
    for replies in [
        "354\r\n",
        "250\r\n354\r\n",
        "250\r\n250\r\n250\r\n250\r\n",
        "250\r\n250\r\n354\r\n354\r\n",
        "250\r\n250\r\n354\r\n199 ok\r\n",
        "250\r\n250\r\n354\r\nHTTP/1.1 200 OK\r\n",
        "250\r\n250\r\n354\r\n250-a\r\n550 b\r\n",
    ] {
        let played = play(&format!("{HELLO}{replies}"), &to(&["a"]));
        assert_eq!(codes(&played), [451], "{replies:?}");
        assert!(!played.is_open, "{replies:?}");
    }
}

/// A session that is ready for its first transaction.
fn opened() -> Session {
    let mut session = Session::new("client.example", Timing::default());
    for reply in split_replies(HELLO) {
        session.step(&mut BytesMut::from(reply.as_str()));
    }
    session.output().clear();
    session
}

#[test]
fn an_answer_before_the_question_is_no_answer() {
    let (envelope, content) = (envelope(), Content::new("x"));
    let parcel = Parcel {
        envelope: &envelope,
        recipients: &to(&["a"]),
        content: &content,
        body: BodyType::SevenBit,
        priority: Priority::Normal,
        now: NOW,
    };
    let mut session = opened();
    session.begin(&parcel);
    // The 250 comes with the 354: the contents were not even sent.
    let step = session.step(&mut BytesMut::from("250\r\n250\r\n354\r\n250 taken\r\n"));
    let Step::Done(outcome) = step else {
        panic!("{step:?}")
    };
    assert_eq!(outcome.responses[0].code.get(), 451);
    assert!(!session.is_open());

    let mut session = opened();
    assert!(matches!(
        session.step(&mut BytesMut::from("250 hi\r\n")),
        Step::Closed(_)
    ));

    let mut session = opened();
    session.begin(&parcel);
    let mut input = BytesMut::from("250\r\n250\r\n550\r\n250 and more\r\n");
    let Step::Done(outcome) = session.step(&mut input) else {
        panic!()
    };
    assert_eq!(outcome.responses[0].code.get(), 550);
    assert!(
        !session.is_open(),
        "what comes next would be taken for its answers"
    );
}

#[test]
fn a_second_transaction_begins_clean() {
    let (envelope, content) = (envelope(), Content::new("x"));
    let parcel = Parcel {
        envelope: &envelope,
        recipients: &to(&["a"]),
        content: &content,
        body: BodyType::SevenBit,
        priority: Priority::Normal,
        now: NOW,
    };
    let mut session = opened();
    session.begin(&parcel);
    session.step(&mut BytesMut::from("250\r\n250\r\n354\r\n"));
    session.output().clear();
    session.contents_sent();
    assert!(matches!(
        session.step(&mut BytesMut::from("250\r\n")),
        Step::Done(_)
    ));
    session.begin(&parcel);
    assert!(
        session.output().starts_with(b"MAIL"),
        "nothing is left of the first"
    );
    assert!(matches!(
        session.step(&mut BytesMut::from("250\r\n550\r\n554\r\n")),
        Step::Done(_)
    ));
    session.output().clear();
    session.begin(&parcel);
    assert!(session.output().starts_with(b"RSET\r\nMAIL"));
    let step = session.step(&mut BytesMut::from("421 no more\r\n"));
    let Step::Done(outcome) = step else {
        panic!("{step:?}")
    };
    assert_eq!(outcome.stage, Stage::Sender);
    session.quit();
    assert!(matches!(
        session.step(&mut BytesMut::new()),
        Step::Closed(_)
    ));
}

#[test]
fn a_next_hop_that_refuses_the_session_says_nothing_of_the_message() {
    let opening = |replies: &[&str]| {
        let mut session = Session::new("client.example", Timing::default());
        let mut last = Step::Ready;
        for reply in replies {
            last = session.step(&mut BytesMut::from(*reply));
        }
        let out = String::from_utf8(std::mem::take(session.output())).unwrap();
        (session, last, out)
    };
    for replies in [
        &["554 no mail here\r\n"] as &[_],
        &["220\r\n", "550 bad name\r\n", "550 bad name\r\n"],
        &["220\r\n", "450 wait\r\n"],
        &["354\r\n"],
    ] {
        let (mut session, step, _) = opening(replies);
        let Step::Closed(why) = step else {
            panic!("{step:?}")
        };
        assert_eq!(why.class(), slimta_core::message::Class::Transient, "{why}");
        // It waits for the client to leave (RFC 5321 section 3.1).
        assert_eq!(farewell(&mut session), "QUIT\r\n", "{replies:?}");
        assert!(!session.is_open());
    }
    for gone in [&["421 bye\r\n"] as &[_], &["220\r\n", "no reply\r\n"]] {
        let (mut session, step, _) = opening(gone);
        assert!(matches!(step, Step::Closed(_)), "{step:?}");
        assert_eq!(farewell(&mut session), "", "{gone:?}");
    }
    let (_, step, out) = opening(&["220\r\n", "502 what?\r\n", "250 old\r\n"]);
    assert_eq!(
        (step, out.as_str()),
        (
            Step::Ready,
            "EHLO client.example\r\nHELO client.example\r\n"
        )
    );
}

#[test]
fn parameters_go_where_they_are_understood() {
    let mut envelope = Envelope {
        ret: Some(Ret::Headers),
        envid: Some("a b+c".to_owned()),
        ..envelope()
    };
    let mut recipients = to(&["a", "b"]);
    recipients[0].notify = Some(Notify {
        success: true,
        failure: false,
        delay: true,
    });
    recipients[1].notify = Some(Notify::NEVER);
    recipients[1].original = Some(OriginalRecipient {
        kind: "rfc822".to_owned(),
        address: "x=y@z.example".to_owned(),
    });
    let rest = "250\r\n250\r\n250\r\n354\r\n250\r\n";
    let heard = play_mail(
        &format!("{HELLO}{rest}"),
        &recipients,
        &envelope,
        "\u{e9}\r\n",
    )
    .heard;
    for part in [
        " SIZE=4 BODY=8BITMIME RET=HDRS ENVID=a+20b+2Bc\r\n",
        "<a@to.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@to.example\r\n",
        "<b@to.example> NOTIFY=NEVER ORCPT=rfc822;x+3Dy@z.example\r\n",
    ] {
        assert!(heard.contains(part), "{part} is not in {heard}");
    }
    let asking = HELLO.replace("250 DSN", "250 MT-PRIORITY");
    let heard = play_mail(&format!("{asking}{rest}"), &recipients, &envelope, "x\r\n").heard;
    assert!(heard.contains(" SIZE=3 MT-PRIORITY=4\r\n"), "{heard}");
    let plain = play_mail(
        &format!("{PLAIN_HELLO}{rest}"),
        &recipients,
        &envelope,
        "x\r\n",
    )
    .heard;
    assert!(
        plain.contains("MAIL FROM:<from@from.example>\r\nRCPT TO:<a@to.example>\r\n"),
        "{plain}"
    );
    envelope.sender = ReversePath::Null;
    let null = play_mail(
        &format!("{PLAIN_HELLO}{rest}"),
        &recipients,
        &envelope,
        "x\r\n",
    )
    .heard;
    assert!(null.contains("MAIL FROM:<>\r\n"));
}

#[test]
fn what_a_next_hop_cannot_take_is_not_sent() {
    let too_large = play_mail(HELLO, &to(&["a"]), &envelope(), &"x".repeat(1001));
    assert_eq!(
        (codes(&too_large), too_large.outcome.stage),
        (vec![552], Stage::Unsent)
    );
    assert_eq!(too_large.heard, "EHLO client.example\r\n");
    assert!(too_large.is_open);
    let eight_bit = play_mail(PLAIN_HELLO, &to(&["a"]), &envelope(), "\u{e9}\r\n");
    assert_eq!(codes(&eight_bit), [554]);
    let mut recipients = to(&["a"]);
    recipients.push(Recipient::new("gr\u{e5}@to.example".parse().unwrap()));
    let replies = format!("{PLAIN_HELLO}250\r\n250\r\n354\r\n250\r\n");
    let played = play(&replies, &recipients);
    assert_eq!(
        codes(&played),
        [250, 550],
        "only the one that needs it fails"
    );
    let international = play(
        &format!("{HELLO}250\r\n250\r\n250\r\n354\r\n250\r\n"),
        &recipients,
    );
    assert!(international.heard.contains(" SMTPUTF8\r\n"));
    assert_eq!(codes(&international), [250, 250]);
    // A part may need it, too.
    let attached = "Content-Type: message/rfc822\r\n\r\nSubject: gr\u{e5}\r\n\r\nx\r\n";
    let declared = Envelope {
        smtputf8: true,
        ..envelope()
    };
    let offers_it = format!("{HELLO}250\r\n250\r\n354\r\n250\r\n");
    let played = play_mail(&offers_it, &to(&["a"]), &declared, attached);
    assert!(played.heard.contains(" SMTPUTF8\r\n"), "{}", played.heard);
    let lacks_it = offers_it.replace("SMTPUTF8", "X-NOTHING");
    let played = play_mail(&lacks_it, &to(&["a"]), &declared, attached);
    assert_eq!(codes(&played), [550]);
    assert!(!played.heard.contains("MAIL"), "{}", played.heard);
}

proptest! {
    /// Whatever a next hop says, a recipient is delivered only if its RCPT and
    /// the contents were answered with 2yz, and failed for good only by a 5yz.
    #[test]
    fn only_proof_delivers(
        pipelining in any::<bool>(),
        replies in prop::collection::vec(
            prop_oneof![
                4 => Just("250"), 2 => Just("354"), 1 => Just("550"), 1 => Just("450"),
                1 => Just("421"), 1 => Just("251"), 1 => Just("garbage"), 1 => Just("552"),
            ],
            0..9,
        ),
    ) {
        let hello = if pipelining { HELLO } else { PLAIN_HELLO };
        let script: String = replies.iter().map(|r| format!("{r} x\r\n")).collect();
        let played = play(&format!("{hello}{script}"), &to(&["a", "b", "c"]));
        let is_2yz = |reply: Option<&&str>| reply.is_some_and(|r| r.starts_with('2'));
        let contents_taken = played.heard.contains("Hello.\r\n.\r\n")
            && replies.iter().filter(|r| **r != "garbage").count() >= 4;
        for (index, response) in played.outcome.responses.iter().enumerate() {
            if response.is_success() {
                prop_assert!(is_2yz(replies.first()), "MAIL");
                prop_assert!(is_2yz(replies.get(1 + index)), "RCPT");
                prop_assert!(contents_taken);
            }
            if response.class() == slimta_core::message::Class::Permanent {
                prop_assert!(replies.iter().any(|r| r.starts_with('5')));
            }
        }
    }

    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (envelope, content) = (envelope(), Content::new("x"));
        let parcel = Parcel { envelope: &envelope, recipients: &to(&["a"]), content: &content, body: BodyType::SevenBit, priority: Priority::Normal, now: NOW };
        let mut session = opened();
        session.begin(&parcel);
        let step = session.step(&mut BytesMut::from(bytes.as_slice()));
        if let Step::Done(outcome) = step {
            prop_assert!(!outcome.responses[0].is_success());
        }
    }
}
