//! What a server takes mail for (RFC 6409, RFC 2033).

use super::*;

/// A server that users submit to.
fn submission(starttls: StartTls, auth: Auth) -> Settings {
    let mut settings = settings();
    settings.role = Role::Submission;
    settings.starttls = starttls;
    settings.auth = auth;
    settings
}

const MAIL: &str = "MAIL FROM:<a@b>\r\n";
/// ann, and the password of everybody.
const LOGIN: &str = "AUTH PLAIN AGFubgBzZWNyZXQ=\r\n";

/// The last reply to what a client says behind EHLO.
fn told(settings: &Settings, commands: &str) -> String {
    let played = played_by(settings, format!("EHLO c\r\n{commands}"));
    played.last().to_owned()
}

#[test]
fn who_submits_says_who_it_is_before_mail() {
    let clear = submission(StartTls::Absent, Auth::InClear);
    assert_eq!(told(&clear, MAIL), "530 5.7.0 Authentication required");
    assert_eq!(told(&clear, &[LOGIN, MAIL].concat()), "250 2.1.0 Sender ok");
    let bad = "AUTH PLAIN AGFubgB3cm9uZw==\r\n";
    assert!(told(&clear, &[bad, MAIL].concat()).starts_with("530 5.7.0 "));

    let under_tls = submission(StartTls::Offered, Auth::UnderTls);
    let must_turn = "530 5.7.0 Must issue a STARTTLS command first";
    assert_eq!(told(&under_tls, MAIL), must_turn);
}

#[test]
fn who_is_permitted_says_nothing() {
    let settings = submission(StartTls::Absent, Auth::InClear);
    let session = Session::new(Arc::new(settings)).with_priorities(true);
    let text = format!("EHLO c\r\n{MAIL}");
    let played = converse(session, [text.as_bytes()].into_iter());
    assert_eq!(played.last(), "250 2.1.0 Sender ok");
}

/// Nobody is asked for what cannot be said.
#[test]
fn without_a_way_to_say_it_recipients_are_refused_instead() {
    let no_auth = submission(StartTls::Offered, Auth::Absent);
    assert_eq!(told(&no_auth, MAIL), "250 2.1.0 Sender ok");
    let no_tls = submission(StartTls::Absent, Auth::UnderTls);
    assert_eq!(told(&no_tls, MAIL), "250 2.1.0 Sender ok");
}

#[test]
fn hosts_hand_mail_to_each_other_without_names() {
    let mut relay = settings();
    relay.auth = Auth::InClear;
    assert_eq!(told(&relay, MAIL), "250 2.1.0 Sender ok");
}

fn lmtp() -> Settings {
    let mut settings = settings();
    settings.role = Role::Lmtp;
    settings.recipients_max = 3;
    settings.message_bytes_max = 100;
    settings
}

/// The replies behind that to LHLO.
fn replies_by_lmtp(commands: &str) -> Vec<String> {
    let played = played_by(&lmtp(), format!("LHLO c\r\n{commands}"));
    let lines = behind_ehlo(played.lines());
    lines.iter().map(ToString::to_string).collect()
}

const ENVELOPE: &str = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<no@d>\r\nRCPT TO:<c@d>\r\n";
const UNKNOWN: &str = "550 5.1.1 No such user";
const QUEUED: &str = "250 2.6.0 Message queued as 1";

#[test]
fn lmtp_has_a_greeting_of_its_own() {
    let played = played_by(
        &lmtp(),
        "EHLO c\r\nHELO c\r\nMAIL FROM:<a@b>\r\nLHLO c\r\nHELP\r\n",
    );
    assert!(
        played
            .replies
            .starts_with("220 mail.example.net LMTP slimta\r\n")
    );
    assert_eq!(played.codes(), [500, 500, 503, 250, 214]);
    for extension in ["PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"] {
        assert!(played.replies.contains(&format!("250-{extension}\r\n")));
    }
    let smtp = played_by(&settings(), "LHLO c\r\n");
    assert_eq!(smtp.codes(), [500]);
}

#[test]
fn each_recipient_that_was_taken_has_its_answer() {
    for (end, more) in [
        (
            "DATA\r\nA: 1\r\n\r\n.\r\n",
            "354 End data with <CR><LF>.<CR><LF>",
        ),
        (
            "BDAT 3\r\nA: BDAT 5 LAST\r\n1\r\n\r\n",
            "250 2.0.0 Chunk received",
        ),
    ] {
        let text = [ENVELOPE, end, "NOOP\r\n"].concat();
        let expected = [
            "250 2.1.0 Sender ok",
            "250 2.1.5 Recipient ok",
            UNKNOWN,
            "250 2.1.5 Recipient ok",
            more,
            QUEUED,
            QUEUED,
            "250 2.0.0 Ok",
        ];
        assert_eq!(replies_by_lmtp(&text), expected, "{end}");
    }
}

#[test]
fn what_is_wrong_with_contents_is_told_for_each_recipient() {
    let large = format!("DATA\r\n{}\r\n.\r\n", "x".repeat(200));
    let chunk = format!("BDAT 200 LAST\r\n{}", "x".repeat(200));
    for end in [large, chunk] {
        let replies = replies_by_lmtp(&[ENVELOPE, &end, "NOOP\r\n"].concat());
        let told = replies
            .iter()
            .filter(|reply| reply.starts_with("552 5.3.4 "));
        assert_eq!(told.count(), 2, "{replies:?}");
        assert_eq!(replies.last().map(String::as_str), Some("250 2.0.0 Ok"));
    }
    // A chunk that is not the last has one reply whatever it is.
    let chunk = format!("BDAT 200\r\n{}NOOP\r\n", "x".repeat(200));
    let replies = replies_by_lmtp(&[ENVELOPE, &chunk].concat());
    assert_eq!(replies[4..].len(), 2, "{replies:?}");
    assert!(replies[4].starts_with("552 5.3.4 "));
    // Nor has a message for nobody an answer for each.
    let nobody = "MAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\nDATA\r\nBDAT 1 LAST\r\nx";
    let replies = replies_by_lmtp(nobody);
    assert_eq!(replies[2..], ["503 5.5.1 Send RCPT first"; 2]);
}

#[test]
fn answers_may_differ_and_none_is_left_out() {
    let told = |responses: &[Response]| {
        let mut session = Session::new(Arc::new(lmtp()));
        let mut input = BytesMut::from(
            "LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@d>\r\nRCPT TO:<b@d>\r\nDATA\r\n.\r\n",
        );
        loop {
            match session.step(&mut input) {
                Step::Decide(_) => session.allow(),
                Step::Recipient(recipient) => session.accept_recipient(recipient),
                Step::Message(received) => {
                    assert_eq!(received.client.protocol, "LMTP");
                    break;
                }
                step => panic!("{step:?}"),
            }
        }
        session.output().clear();
        session.answer_each(responses);
        assert!(matches!(
            session.step(&mut input),
            Step::Read(_) | Step::Close
        ));
        String::from_utf8(session.output().to_vec()).unwrap()
    };
    let good = Response::success(1, 5, "ok");
    let full = Response::new(452, Some(EnhancedCode::new(4, 2, 2)), "full");
    let expected = "250 2.1.5 ok\r\n452 4.2.2 full\r\n";
    assert_eq!(told(&[good.clone(), full]), expected);
    assert_eq!(told(&[good]), "250 2.1.5 ok\r\n250 2.1.5 ok\r\n");
    let over = Response::new(421, None, "over");
    assert_eq!(told(&[over]), "421 4.0.0 over\r\n");
    let none = "451 4.3.0 Error in processing\r\n";
    assert_eq!(told(&[]), [none, none].concat());
}

#[test]
fn the_protocol_of_lmtp_is_told() {
    let mail = "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n";
    let mut settings = lmtp();
    settings.auth = Auth::InClear;
    let played = played_by(&settings, format!("LHLO c\r\n{mail}RSET\r\n{LOGIN}{mail}"));
    let protocols: Vec<_> = played
        .messages
        .iter()
        .map(|m| &*m.client.protocol)
        .collect();
    assert_eq!(protocols, ["UTF8LMTP", "UTF8LMTPA"]);
}
