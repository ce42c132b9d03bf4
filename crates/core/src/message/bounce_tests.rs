//! Reports and template bounces, as a stranger's parser reads them.

use mail_parser::{MessageParser, MimeHeaders};
use proptest::prelude::*;

use super::*;
use crate::message::{NextHop, Notify, OriginalRecipient, Ret};
use crate::world::World;

const RECEIVED: Timestamp = Timestamp::from_millis(1_795_508_249_123);
const FAILED: Timestamp = Timestamp::from_millis(1_795_511_849_000);
const ORIGINAL: &str = "From: Ann <ann@example.com>\r\nSubject: Hello\r\n\r\nbody\r\n";

/// A failure that a test can change before it is reported.
struct Case {
    client: Client,
    envelope: Envelope,
    content: Content,
    failed: Vec<(Recipient, Response)>,
    remote: Option<&'static str>,
    reporting: &'static str,
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn case(failed: &[(&str, u16, &str)]) -> Case {
    let failed: Vec<_> = failed
        .iter()
        .map(|(to, code, text)| {
            let (enhanced, text) = crate::message::EnhancedCode::split_from(text)
                .map_or((None, *text), |(code, rest)| (Some(code), rest));
            (
                Recipient::new(address(to)),
                Response::new(*code, enhanced, text),
            )
        })
        .collect();
    let recipients: Vec<_> = failed.iter().map(|(r, _)| r.address.clone()).collect();
    Case {
        client: Client {
            protocol: "ESMTP".into(),
            ehlo: Some("client.example.com".into()),
            ..Client::default()
        },
        envelope: Envelope::new(ReversePath::Mailbox(address("ann@example.com")), recipients),
        content: Content::new(ORIGINAL),
        failed,
        remote: Some("mx.example.org"),
        reporting: "mail.example.net",
    }
}

impl Case {
    fn build(&self, builder: &Bounce) -> Option<Message> {
        builder.build(&Failure {
            id: MessageId::new(&World::simulated(RECEIVED, 1)),
            client: &self.client,
            envelope: &self.envelope,
            content: &self.content,
            received: RECEIVED,
            failed: &self.failed,
            remote: self.remote,
            reporting: self.reporting,
            now: FAILED,
        })
    }

    fn report(&self) -> Message {
        self.build(&Bounce::default()).unwrap()
    }
}

/// The raw bodies of the parts of a multipart, and their types.
fn parts(message: &Message) -> Vec<(String, String)> {
    let bytes = message.content.to_vec();
    let parsed = MessageParser::new().parse(&bytes).unwrap();
    let report = parsed.content_type().unwrap();
    assert_eq!(report.ctype(), "multipart");
    assert_eq!(report.subtype(), Some("report"));
    assert_eq!(report.attribute("report-type"), Some("delivery-status"));
    parsed.parts[1..]
        .iter()
        .map(|part| {
            let kind = part.content_type().unwrap();
            let body = &bytes[part.offset_body as usize..part.offset_end as usize];
            (
                format!("{}/{}", kind.ctype(), kind.subtype().unwrap()),
                String::from_utf8_lossy(body).into_owned(),
            )
        })
        .collect()
}

fn status(message: &Message) -> String {
    parts(message)[1].1.replace("\r\n ", " ")
}

#[test]
fn the_sender_reads_what_failed_and_why() {
    let bounce = case(&[("bob@example.org", 550, "5.1.1 No such user")]).report();
    assert_eq!(
        bounce.envelope,
        Envelope::new(ReversePath::Null, [address("ann@example.com")])
    );
    assert_eq!(bounce.client.ehlo.as_deref(), Some("client.example.com"));
    assert_eq!(bounce.timestamp, FAILED);

    let bytes = bounce.content.to_vec();
    let parsed = MessageParser::new().parse(&bytes).unwrap();
    let from = parsed.from().unwrap().first().unwrap();
    assert_eq!(from.name(), Some("Mail Delivery System"));
    assert_eq!(from.address(), Some("MAILER-DAEMON@mail.example.net"));
    assert_eq!(
        parsed.to().unwrap().first().unwrap().address(),
        Some("ann@example.com")
    );
    assert_eq!(
        parsed.subject(),
        Some("Undelivered Mail Returned to Sender")
    );
    assert_eq!(parsed.date().unwrap().to_timestamp(), FAILED.as_secs());
    assert!(parsed.message_id().unwrap().ends_with("@mail.example.net"));
    assert_eq!(
        bounce.content.field("auto-submitted").unwrap().value(),
        "auto-replied"
    );

    let parts = parts(&bounce);
    assert_eq!(parts[0].0, "text/plain");
    assert!(
        parts[0]
            .1
            .contains("<bob@example.org>: host mx.example.org said: 550")
    );
    assert_eq!(parts[1].0, "message/delivery-status");
    assert_eq!(parts[2], ("message/rfc822".to_owned(), ORIGINAL.to_owned()));
}

#[test]
fn programs_read_a_block_for_each_recipient() {
    let mut case = case(&[
        ("bob@example.org", 550, "5.1.1 No such user\nreally"),
        ("eve@example.org", 451, "4.7.1 Come back (Too many retries)"),
        ("old@example.org", 554, "no"),
        ("odd@example.org", 550, "4.2.2 codes disagree"),
    ]);
    case.envelope.envid = Some("QQ314159".into());
    case.failed[0].0.original = Some(OriginalRecipient {
        kind: "rfc822".into(),
        address: "robert+list@example.com".into(),
    });
    let expected = "\
        Reporting-MTA: dns; mail.example.net\r\n\
        Original-Envelope-Id: QQ314159\r\n\
        Arrival-Date: Tue, 24 Nov 2026 08:17:29 +0000\r\n\
        \r\n\
        Original-Recipient: rfc822; robert+list@example.com\r\n\
        Final-Recipient: rfc822; bob@example.org\r\n\
        Action: failed\r\n\
        Status: 5.1.1\r\n\
        Remote-MTA: dns; mx.example.org\r\n\
        Diagnostic-Code: smtp; 550 5.1.1 No such user / really\r\n\
        Last-Attempt-Date: Tue, 24 Nov 2026 09:17:29 +0000\r\n\
        \r\n\
        Final-Recipient: rfc822; eve@example.org\r\n\
        Action: failed\r\n\
        Status: 4.4.7\r\n";
    let status = status(&case.report());
    assert!(status.starts_with(expected), "{status}");
    assert_eq!(status.matches("Status: 5.0.0\r\n").count(), 2);
    assert_eq!(status.matches("\r\n\r\n").count(), 4);
}

#[test]
fn nobody_is_told_who_does_not_want_to_know() {
    let mut case = case(&[("a@example.org", 550, "no"), ("b@example.org", 550, "no")]);
    case.failed[0].0.notify = Some(Notify::NEVER);
    let status = status(&case.report());
    assert!(!status.contains("a@example.org") && status.contains("b@example.org"));
    case.failed[1].0.notify = Some(Notify {
        delay: true,
        ..Notify::NEVER
    });
    assert_eq!(case.build(&Bounce::default()), None);
}

#[test]
fn there_is_no_notice_about_a_notice() {
    let mut case = case(&[("a@example.org", 550, "no")]);
    let bounce = case.report();
    case.content = bounce.content;
    assert_eq!(
        case.build(&Bounce::default()),
        None,
        "a report from a mailbox"
    );
    case.content = Content::new(ORIGINAL);
    case.envelope.sender = ReversePath::Null;
    assert_eq!(
        case.build(&Bounce::default()),
        None,
        "the null reverse-path"
    );
}

#[test]
fn the_header_alone_comes_back_when_asked_or_when_the_message_is_large() {
    let mut case = case(&[("a@example.org", 550, "no")]);
    let header = "From: Ann <ann@example.com>\r\nSubject: Hello\r\n";
    let returned = |case: &Case, builder: &Bounce| parts(&case.build(builder).unwrap()).remove(2);
    let small = Bounce::default().with_returned_bytes_max(ORIGINAL.len() - 1);
    let expected = ("text/rfc822-headers".to_owned(), header.to_owned());
    assert_eq!(returned(&case, &small), expected);
    let none = Bounce::default().with_returned_bytes_max(0);
    assert_eq!(returned(&case, &none), expected, "always the header");
    case.envelope.ret = Some(Ret::Full);
    assert_eq!(returned(&case, &small), expected, "whatever was asked for");
    case.envelope.ret = Some(Ret::Headers);
    assert_eq!(returned(&case, &Bounce::default()), expected);
    case.envelope.ret = None;
    case.envelope.body = BodyType::BinaryMime;
    assert_eq!(returned(&case, &Bounce::default()), expected);
}

#[test]
fn a_reply_cannot_forge_fields_parts_or_long_lines() {
    let mut case = case(&[
        (
            "a@example.org",
            550,
            "x\r\nBcc: y@example.org\r\n\r\n--b\u{0}\u{1b}[2J \u{e9}",
        ),
        ("b@example.org", 550, &"long".repeat(5000)),
    ]);
    case.remote = Some("mx\r\nX-Evil: 1");
    case.reporting = "bad name\r\nX-Evil: 2";
    case.envelope.envid = Some("id\r\nX-Evil: 3".into());
    case.failed[0].0.original = Some(OriginalRecipient {
        kind: "rfc822\nX-Evil: 4".into(),
        address: "a\r\n\r\nX-Evil: 5".into(),
    });
    let bounce = case.report();
    let text = String::from_utf8(bounce.content.to_vec()).unwrap();
    assert!(text.is_ascii() && bounce.envelope.body == BodyType::SevenBit);
    for line in text.split("\r\n") {
        assert!(
            line.len() <= 998 && !line.contains(char::is_control),
            "{line:?}"
        );
        assert!(
            !line.starts_with("Bcc") && !line.starts_with("X-Evil"),
            "{line}"
        );
    }
    assert!(text.contains("@localhost>"));
    assert_eq!(parts(&bounce).len(), 3);
}

#[test]
fn no_content_can_hold_the_boundary() {
    let mut case = case(&[("a@example.org", 550, "no")]);
    let boundary = |m: &Message| {
        let value = m
            .content
            .field("Content-Type")
            .unwrap()
            .value()
            .into_owned();
        value.split('"').nth(1).unwrap().to_owned()
    };
    let first = boundary(&case.report());
    case.content = Content::new(format!("A: 1\r\n\r\n--{first}--\r\n"));
    let bounce = case.report();
    assert_ne!(boundary(&bounce), first);
    assert_eq!(parts(&bounce)[2].1, format!("A: 1\r\n\r\n--{first}--\r\n"));
}

#[test]
fn the_same_failure_gives_the_same_notice() {
    let case = case(&[("a@example.org", 550, "no")]);
    assert_eq!(case.report(), case.report());
}

#[test]
fn internationalised_mail_is_reported_in_its_own_forms() {
    let mut case = case(&[("j\u{f8}rn@example.org", 550, "5.1.1 Ukendt: j\u{f8}rn")]);
    case.envelope.smtputf8 = true;
    let bounce = case.report();
    assert!(!bounce.envelope.smtputf8, "its sender has an ASCII address");
    assert_eq!(bounce.envelope.body, BodyType::EightBitMime);
    let parts = parts(&bounce);
    assert_eq!(parts[1].0, "message/global-delivery-status");
    assert!(
        parts[1]
            .1
            .contains("Final-Recipient: utf-8; j\u{f8}rn@example.org\r\n")
    );
    assert_eq!(parts[2].0, "message/global");
    case.envelope.ret = Some(Ret::Headers);
    case.envelope.sender = ReversePath::Mailbox(address("\u{e5}sa@example.com"));
    let bounce = case.report();
    assert!(bounce.envelope.smtputf8);
    assert_eq!(self::parts(&bounce)[2].0, "message/global-headers");
}

#[test]
fn contents_of_any_kind_come_back_as_a_part_of_lines() {
    let mut case = case(&[("a@example.org", 550, "no")]);
    for (content, returned) in [
        ("test contents", "\r\ntest contents"),
        (
            "A: 1\nB: 2\n\nbare\rends\n",
            "A: 1\r\nB: 2\r\n\r\nbare\r\nends\r\n",
        ),
        ("A: 1\r\n\r\nnul\0", "A: 1\r\n"),
        ("", "\r\n"),
    ] {
        case.content = Content::new(content);
        assert_eq!(parts(&case.report())[2].1, returned, "{content:?}");
    }
    case.content = Content::new(format!("A: 1\r\n\r\n{}", "x".repeat(999)));
    assert_eq!(parts(&case.report())[2].1, "A: 1\r\n");
    case.content = Content::new(format!("A: 1\r\n\r\n{}\r\n", "x".repeat(998)));
    assert!(parts(&case.report())[2].1.len() > 998);
    case.content = Content::new(&b"A: 1\r\n\r\n\xff\xfe\r\n"[..]);
    let bounce = case.report();
    assert_eq!(bounce.envelope.body, BodyType::EightBitMime);
    let encoding = bounce.content.field("Content-Transfer-Encoding").unwrap();
    assert_eq!(encoding.value(), "8bit");
}

#[test]
fn templates_stand_around_the_original() {
    let mut case = case(&[("a@example.org", 550, "5.0.0 no\r\nBcc: x")]);
    case.envelope.next_hop = Some(NextHop {
        host: Some("relay.example".into()),
        ..NextHop::default()
    });
    let builder = Bounce::default()
        .with_sender(ReversePath::Mailbox(address("bounces@example.net")))
        .with_client(Client::default())
        .with_templates(
            "From: me\nTo: $(sender)\nSubject: $(code) $(message)\n\n\
             $(client_name) $(client_ip) $(protocol) $(dest_host):$(dest_port) $(else)\n",
            "-- \n$(boundary)\n",
        );
    let bounce = case.build(&builder).unwrap();
    assert_eq!(bounce.envelope.sender.as_str(), "bounces@example.net");
    assert_eq!(bounce.client, Client::default());
    let text = String::from_utf8(bounce.content.to_vec()).unwrap();
    let start = "From: me\r\nTo: ann@example.com\r\nSubject: 550 5.0.0 no  Bcc: x\r\nDate: ";
    assert!(text.starts_with(start), "{text}");
    let body = "\r\n\r\nclient.example.com unknown ESMTP relay.example:unknown $(else)\r\n";
    assert!(
        text.contains(&format!("{body}{ORIGINAL}-- \r\n=_")),
        "{text}"
    );
    assert_eq!(
        bounce.content.field("Auto-Submitted").unwrap().value(),
        "auto-replied"
    );
}

/// Text as a hostile peer would send it.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        Just("\r\n".to_owned()),
        Just("\r\n\r\nX-Evil: 1\r\n".to_owned()),
        Just("\n--=_\n".to_owned()),
        Just(" ".repeat(700)),
        Just("x".repeat(700)),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_peers_say_a_report_has_three_parts_of_short_lines(
        reply in hostile(),
        name in hostile(),
        content in hostile(),
        smtputf8: bool,
    ) {
        let mut case = case(&[("a@example.org", 550, &reply), ("b@example.org", 451, &reply)]);
        case.envelope.smtputf8 = smtputf8;
        case.envelope.envid = Some(name.clone());
        case.failed[0].0.original = Some(OriginalRecipient { kind: name.clone(), address: name });
        // The message has no part of its own, so that parts can be counted.
        case.content = Content::new(format!("Subject: x\r\n\r\n{content}"));
        let bounce = case.report();
        let text = bounce.content.to_vec();
        for line in text.split(|b| *b == b'\n') {
            prop_assert!(line.len() <= 999, "{}", String::from_utf8_lossy(line));
        }
        let parts = parts(&bounce);
        prop_assert!(parts.len() >= 3);
        prop_assert!(!parts[0].1.contains("\nX-Evil") && !parts[1].1.contains("\nX-Evil"));
        prop_assert_eq!(parts[1].1.matches("\r\nFinal-Recipient: ").count(), 2);
        prop_assert_eq!(parts[1].1.matches("\r\n\r\n").count(), 2);
        let body = bounce.content.body_bytes();
        prop_assert_eq!(body.is_ascii(), bounce.envelope.body == BodyType::SevenBit);
    }
}

#[test]
fn a_report_on_mail_that_requires_tls_requires_it_and_holds_no_body() {
    let mut case = case(&[("a@example.org", 550, "5.7.30 not safe")]);
    case.envelope.require_tls = true;
    case.envelope.ret = Some(Ret::Full);
    let bounce = case.report();
    assert!(bounce.envelope.require_tls);
    let text = String::from_utf8(bounce.content.to_vec()).unwrap();
    assert!(text.contains("Subject: Hello") && !text.contains("\r\nbody\r\n"));
}

#[test]
fn a_report_on_mail_that_wants_to_arrive_wants_to_arrive() {
    for (field, expected) in [("TLS-Required: No\r\n", true), ("", false)] {
        let mut case = case(&[("a@example.org", 550, "no")]);
        case.content = Content::new(format!("{field}{ORIGINAL}"));
        assert_eq!(case.report().content.is_tls_optional(), expected);
    }
}
