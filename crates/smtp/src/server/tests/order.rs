//! Commands, their order and their replies (RFC 5321 section 4.1).

use slimta_core::message::{BodyType, Priority, Ret};

use super::*;

#[test]
fn ehlo_offers_what_works_and_helo_nothing() {
    let played = played("EHLO [127.0.0.1]\r\nHELO c.example.com\r\n");
    let replies = "220 mail.example.net ESMTP slimta\r\n\
        250-mail.example.net\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
        250-SIZE 52428800\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n\
        250-LIMITS RCPTMAX=1000\r\n250-MT-PRIORITY MIXER\r\n250 CHUNKING\r\n\
        250 mail.example.net\r\n";
    assert_eq!(played.replies, replies);
}

#[test]
fn a_message_is_handed_on_with_all_that_was_said_of_it() {
    let played = played(
        "ehlo c.example.com\r\n\
         mail from:<Gr\u{e5}@b> SMTPUTF8 BODY=8BITMIME SIZE=99 RET=HDRS ENVID=x+2B\r\n\
         rcpt to:<C@d> NOTIFY=NEVER ORCPT=utf-8;gr\\x{E5}@b\r\nRcpt To:<e@f>\r\nData\r\n\
         A: 1\r\n\r\n..x\r\n.\r\nQUIT\r\n",
    );
    assert_eq!(played.codes(), [250, 250, 250, 250, 354, 250, 221]);
    assert!(played.is_closed);
    let message = &played.messages[0];
    assert_eq!(message.client.protocol, "UTF8SMTP");
    assert_eq!(message.client.ehlo.as_deref(), Some("c.example.com"));
    assert_eq!(message.client.receiver.as_deref(), Some("mail.example.net"));
    let envelope = &message.envelope;
    assert_eq!(envelope.sender.as_str(), "Gr\u{e5}@b");
    assert!(envelope.smtputf8 && envelope.body == BodyType::EightBitMime);
    assert_eq!(envelope.ret, Some(Ret::Headers));
    assert_eq!(envelope.envid.as_deref(), Some("x+"));
    assert!(!envelope.recipients[0].wants_failure_notice());
    let original = envelope.recipients[0].original.as_ref().unwrap();
    assert_eq!(original.address, "gr\u{e5}@b");
    assert_eq!(envelope.recipients[1].address.as_str(), "e@f");
    assert_eq!(message.content.to_vec(), b"A: 1\r\n\r\n.x\r\n");
}

#[test]
fn trusted_clients_say_which_message_goes_first() {
    let mail =
        |parameter: &str| format!("MAIL FROM:<a@b>{parameter}\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n");
    let said = ["", " MT-PRIORITY=0", " mt-priority=9", " MT-PRIORITY=-4"];
    let text = format!("EHLO c\r\n{}", said.map(mail).concat());
    let session = Session::new(Arc::new(settings())).with_priorities(true);
    let played = converse(session, [text.as_bytes()].into_iter());
    assert!(played.lines().contains(&"250-MT-PRIORITY MIXER"));
    let priorities: Vec<_> = played.messages.iter().map(|m| m.priority).collect();
    let (normal, high, low) = (Priority::Normal, Priority::High, Priority::Low);
    assert_eq!(priorities, [normal, normal, high, low]);
    let lines = played.lines();
    let replies: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("250 2."))
        .collect();
    let new = "250 2.3.6 4 is the new priority assigned to the message";
    assert!(replies[0] == replies[3] && replies[0] == replies[9]);
    assert_eq!(*replies[6], new, "{replies:?}");

    // Others may only let theirs wait.
    let strange = Session::new(Arc::new(settings()));
    let played = converse(strange, [text.as_bytes()].into_iter());
    assert!(played.lines().contains(&"250-MT-PRIORITY MIXER"));
    let priorities: Vec<_> = played.messages.iter().map(|m| m.priority).collect();
    assert_eq!(priorities, [normal, normal, normal, low]);
    let new = "250 2.3.6 0 is the new priority assigned to the message";
    assert!(played.lines().contains(&new), "{}", played.replies);
}

#[test]
fn the_protocol_says_how_the_client_greeted() {
    let mail = "MAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n";
    for (hello, protocol) in [("HELO", "SMTP"), ("EHLO", "ESMTP")] {
        let played = played(format!("{hello} c\r\n{mail}"));
        assert_eq!(played.messages[0].client.protocol, protocol);
        assert!(played.messages[0].envelope.sender.is_null());
    }
}

#[test]
fn commands_out_of_order_are_refused_and_change_nothing() {
    let first = played("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    assert_eq!(first.codes(), [503, 503, 503]);
    let replies = after_ehlo(
        "RCPT TO:<c@d>\r\nDATA\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<x@y>\r\nDATA\r\n\
         RCPT TO:<bad\r\nDATA\r\nRCPT TO:<no@d>\r\nDATA\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n\
         RCPT TO:<c@d>\r\n",
    );
    assert_eq!(
        replies,
        [
            "503 5.5.1 Send MAIL first",
            "503 5.5.1 Send MAIL first",
            "250 2.1.0 Sender ok",
            "503 5.5.1 There is a sender already",
            "554 5.5.1 No valid recipients",
            "501 5.1.3 Syntax error in forward-path",
            "554 5.5.1 No valid recipients",
            "550 5.1.1 No such user",
            "554 5.5.1 No valid recipients",
            "250 2.1.5 Recipient ok",
            "354 End data with <CR><LF>.<CR><LF>",
            "250 2.6.0 Message queued as 1",
            "503 5.5.1 Send MAIL first",
        ]
    );
}

#[test]
fn rset_and_greetings_forget_the_envelope_and_others_do_not() {
    for command in ["RSET", "EHLO c", "HELO c", "rset "] {
        let played = played(format!(
            "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n{command}\r\nDATA\r\nMAIL FROM:<e@f>\r\n"
        ));
        let codes = played.codes();
        assert_eq!(codes[codes.len() - 2..], [503, 250], "{command}");
    }
    let others = "NOOP\r\nNOOP x y\r\nHELP\r\nHELP MAIL\r\nVRFY a\r\nEXPN a\r\nEHLO\r\nXYZZY\r\n";
    let played = played(format!(
        "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n{others}DATA\r\n.\r\n"
    ));
    let expected = [250, 250, 214, 214, 252, 502, 501, 500, 354, 250];
    assert_eq!(played.codes()[3..], expected);
}

#[test]
fn what_is_not_as_it_should_be_is_told_how() {
    for (command, reply) in [
        ("", "500 5.5.2 "),
        ("XYZZY", "500 5.5.2 "),
        ("LHLO c", "500 5.5.2 "),
        ("NO\0OP", "501 5.5.2 "),
        ("NOOP\t", "501 5.5.2 "),
        ("NOOP \u{7f}", "501 5.5.2 "),
        ("NOOP\rRSET", "501 5.5.2 "),
        ("EHLO", "501 5.5.4 "),
        ("HELO", "501 5.5.4 "),
        ("EHLO a b", "501 5.5.4 "),
        ("EHLO <x>", "501 5.5.4 "),
        ("EHLO a@b", "501 5.5.4 "),
        ("EHLO gr\u{e5}", "501 5.5.4 "),
        ("EHLO [1.2.3]", "501 5.5.4 "),
        ("RSET x", "501 5.5.4 "),
        ("QUIT x", "501 5.5.4 "),
        ("DATA x", "501 5.5.4 "),
        ("VRFY", "501 5.5.4 "),
        ("EXPN list", "502 5.5.1 "),
        ("STARTTLS", "502 5.5.1 "),
        ("AUTH PLAIN x", "502 5.5.1 "),
        ("TURN", "502 5.5.1 "),
        ("ETRN x", "502 5.5.1 "),
    ] {
        let replies = after_ehlo(&format!("{command}\r\nNOOP\r\n"));
        assert!(replies[0].starts_with(reply), "{command:?}: {replies:?}");
        assert_eq!(replies[1], "250 2.0.0 Ok", "{command:?}");
    }
}

#[test]
fn greetings_of_real_clients_are_taken() {
    for name in [
        "localhost",
        "a_b.c",
        "host.example.com.",
        "[IPv6:::1]",
        "[127.0.0.1]",
        "1.2.3.4",
    ] {
        let played = played(format!("EHLO {name}  \r\nMAIL FROM:<>\r\n"));
        assert_eq!(played.codes(), [250, 250], "{name}");
    }
}

#[test]
fn an_answer_of_any_kind_is_made_a_reply() {
    for (response, reply) in [
        (Response::new(250, None, "ok"), "250 2.0.0 ok"),
        (
            Response::new(354, None, "go on"),
            "451 4.3.0 Error in processing",
        ),
        (
            Response::permanent(7, 1, "a\r\n250 b\n"),
            "550-5.7.1 a\r\n550 5.7.1 250 b",
        ),
        (Response::new(450, None, ""), "450 4.0.0"),
    ] {
        let mut session = Session::new(Arc::new(settings()));
        let mut input = BytesMut::from(&*format!("{UP_TO_BDAT}BDAT 2 LAST\r\n\r\n"));
        let recipient = match step(&mut session, &mut input) {
            Step::Recipient(recipient) => recipient,
            step => panic!("{step:?}"),
        };
        session.accept_recipient(recipient);
        assert!(matches!(step(&mut session, &mut input), Step::Message(_)));
        session.output().clear();
        session.answer(&response);
        session.answer(&response);
        let output = String::from_utf8(session.output().to_vec()).unwrap();
        assert_eq!(output, format!("{reply}\r\n"));
        assert!(matches!(
            step(&mut session, &mut input),
            Step::Read(Awaits::Command)
        ));
    }
}

#[test]
fn what_is_not_decided_on_is_refused_for_now() {
    let mut session = Session::new(Arc::new(settings()));
    let mut input = BytesMut::from(UP_TO_BDAT);
    assert!(matches!(step(&mut session, &mut input), Step::Recipient(_)));
    session.output().clear();
    assert!(matches!(step(&mut session, &mut input), Step::Read(_)));
    assert_eq!(&session.output()[..], b"451 4.3.0 Error in processing\r\n");
}
