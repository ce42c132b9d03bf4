//! Who a client says it is (RFC 4954, RFC 4616).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const MESSAGE: &str = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n";
const BUSY: &str = "454 4.7.0 Try again later";
const CANNOT_DECODE: &str = "501 5.5.2 Cannot decode the response";
const DENIED: &str = "535 5.7.8 Authentication credentials invalid";
const DONE: &str = "235 2.7.0 Authentication successful";
const NAME: &str = "334 VXNlcm5hbWU6";
const PASSWORD: &str = "334 UGFzc3dvcmQ6";

fn with(auth: Auth) -> Settings {
    let mut settings = settings();
    settings.auth = auth;
    settings
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

/// `AUTH PLAIN` of ann with this password.
fn plain(password: &str) -> String {
    format!("AUTH PLAIN {}\r\n", base64(&format!("\0ann\0{password}")))
}

/// The replies to lines behind EHLO, cut in every way.
fn after(lines: &str) -> Played {
    let text = format!("EHLO c\r\n{lines}");
    played_by(&with(Auth::InClear), text)
}

/// The replies to them, each a line.
fn told(lines: &str) -> Vec<String> {
    let played = after(lines);
    let lines = behind_ehlo(played.lines());
    lines.iter().map(ToString::to_string).collect()
}

/// A session under TLS.
fn secured(auth: Auth, text: &str) -> Played {
    let mut session = Session::new(Arc::new(with(auth)));
    session.secured("TLSv1.3");
    converse(session, text.as_bytes().chunks(1))
}

#[test]
fn plain_comes_with_the_command_or_behind_it() {
    let (good, bad) = (base64("\0ann\0secret"), base64("\0ann\0wrong"));
    for (lines, expected) in [
        (format!("AUTH PLAIN {good}\r\n"), &[DONE][..]),
        (format!("auth plain {good}\r\n"), &[DONE]),
        (format!("AUTH PLAIN\r\n{good}\r\n"), &["334 ", DONE]),
        (format!("AUTH PLAIN {bad}\r\n"), &[DENIED]),
        (
            format!("AUTH PLAIN\r\n{bad}\r\nNOOP\r\n"),
            &["334 ", DENIED, "250 2.0.0 Ok"],
        ),
        (
            format!("AUTH PLAIN {}\r\n", base64("ann\0ann\0secret")),
            &[DONE],
        ),
        (
            format!("AUTH PLAIN {}\r\n", base64("bob\0ann\0secret")),
            &[DENIED],
        ),
        (
            format!("AUTH PLAIN {}\r\n", base64("\0busy\0secret")),
            &[BUSY],
        ),
    ] {
        assert_eq!(told(&lines), expected, "{lines}");
        let is_good = expected.contains(&DONE);
        assert_eq!(after(&lines).users, ["ann"][..usize::from(is_good)]);
    }
}

#[test]
fn login_asks_for_the_name_and_then_for_the_password() {
    let (user, good, bad) = (base64("ann"), base64("secret"), base64("wrong"));
    for (lines, expected) in [
        (
            format!("AUTH LOGIN\r\n{user}\r\n{good}\r\n"),
            &[NAME, PASSWORD, DONE][..],
        ),
        (
            format!("AUTH login {user}\r\n{good}\r\n"),
            &[PASSWORD, DONE],
        ),
        (
            format!("AUTH LOGIN {user}\r\n{bad}\r\n"),
            &[PASSWORD, DENIED],
        ),
        ("AUTH LOGIN =\r\n".to_owned(), &[CANNOT_DECODE]),
        ("AUTH LOGIN\r\n\r\n".to_owned(), &[NAME, CANNOT_DECODE]),
    ] {
        assert_eq!(told(&lines), expected, "{lines}");
    }
}

#[test]
fn what_is_no_exchange_is_told_how_and_ends_it() {
    let canceled = "501 5.7.0 Authentication canceled by client";
    let long = |bytes: usize| format!("AUTH PLAIN\r\n{}\r\n", "A".repeat(bytes - 2));
    for (lines, expected) in [
        ("AUTH PLAIN\r\n*\r\n", &["334 ", canceled][..]),
        ("AUTH LOGIN\r\n*\r\n", &[NAME, canceled]),
        ("AUTH LOGIN YW5u\r\n*\r\n", &[PASSWORD, canceled]),
        ("AUTH PLAIN =\r\n", &[CANNOT_DECODE]),
        ("AUTH PLAIN *\r\n", &[CANNOT_DECODE]),
        ("AUTH PLAIN YW5u\r\n", &[CANNOT_DECODE]),
        ("AUTH PLAIN AGFubgBzZWNyZXQ\r\n", &[CANNOT_DECODE]),
        ("AUTH PLAIN\r\n=\r\n", &["334 ", CANNOT_DECODE]),
        ("AUTH PLAIN\r\nYW5u YW5u\r\n", &["334 ", CANNOT_DECODE]),
        ("AUTH PLAIN\r\n\0\r\n", &["334 ", CANNOT_DECODE]),
        ("AUTH\r\n", &["501 5.5.4 Syntax error in arguments"]),
        (
            "AUTH PLAIN YW5u x\r\n",
            &["501 5.5.4 Syntax error in arguments"],
        ),
        (
            "AUTH CRAM-MD5\r\n",
            &["504 5.5.4 Invalid authentication mechanism"],
        ),
        (&long(12_288), &["334 ", CANNOT_DECODE]),
        (
            &long(12_289),
            &["334 ", "500 5.5.6 Authentication exchange line is too long"],
        ),
    ] {
        assert_eq!(told(lines), expected, "{lines}");
        // It is over: what comes next is a command, and counts as none of it.
        let next = format!("{lines}NOOP\r\n{}", plain("secret"));
        assert_eq!(told(&next)[expected.len()..], ["250 2.0.0 Ok", DONE]);
    }
}

/// What a client was made to send as its password is never a command.
#[test]
fn nothing_of_an_exchange_is_a_command() {
    let mail = "MAIL FROM:<a@b>\r\n";
    let played = after(&format!("AUTH LOGIN\r\n{mail}RCPT TO:<c@d>\r\n"));
    assert_eq!(played.codes(), [250, 334, 501, 503]);
    let played = after(&format!("AUTH LOGIN\r\n{}{mail}", "A".repeat(13_000)));
    assert_eq!(played.codes(), [250, 334, 500]);
    // Nor is the end of a line in what was encoded.
    let injected = format!(
        "AUTH LOGIN\r\n{}\r\nNOOP\r\nAUTH PLAIN {}\r\n",
        base64("ann\r\nQUIT"),
        base64("\0ann\nQUIT\0secret")
    );
    assert_eq!(after(&injected).codes(), [250, 334, 501, 250, 501]);
    let bare = after("AUTH LOGIN\r\nYW5u\nQUIT\r\n");
    assert!(bare.is_closed && bare.codes() == [250, 334, 500]);
}

#[test]
fn it_is_offered_where_it_works() {
    let offers = |played: &Played| played.lines().contains(&"250-AUTH PLAIN LOGIN");
    let in_clear = |auth| played_by(&with(auth), "EHLO c\r\n");
    assert!(!offers(&in_clear(Auth::Absent)));
    assert!(!offers(&in_clear(Auth::UnderTls)));
    assert!(offers(&in_clear(Auth::InClear)));
    assert!(!offers(&secured(Auth::Absent, "EHLO c\r\n")));
    assert!(offers(&secured(Auth::UnderTls, "EHLO c\r\n")));
    assert!(!offers(&secured(Auth::UnderTls, "HELO c\r\n")));
    let again = after(&format!("{}EHLO c\r\n", plain("secret")));
    let offered = again.lines().into_iter().filter(|l| l.contains("AUTH"));
    assert_eq!(offered.count(), 1);
}

#[test]
fn in_the_clear_no_password_is_looked_at() {
    let text = format!(
        "EHLO c\r\n{}AUTH LOGIN\r\nNOOP\r\n{MESSAGE}",
        plain("secret")
    );
    let played = played_by(&with(Auth::UnderTls), &text);
    assert_eq!(played.codes()[..4], [250, 538, 538, 250]);
    let refused = "538 5.7.11 Encryption required for requested authentication mechanism";
    assert!(played.lines().contains(&refused) && played.users.is_empty());
    assert_eq!(played.messages[0].client.auth, None);
    assert_eq!(secured(Auth::UnderTls, &text).users, ["ann"]);

    let mut required = with(Auth::InClear);
    required.starttls = StartTls::Required;
    let played = played_by(&required, format!("EHLO c\r\n{}", plain("secret")));
    assert_eq!(played.codes(), [250, 530]);
}

#[test]
fn it_has_its_place_in_a_session() {
    let good = plain("secret");
    let early = played_by(
        &with(Auth::InClear),
        format!("{good}HELO c\r\n{good}EHLO c\r\n{good}{good}"),
    );
    assert_eq!(early.codes(), [503, 250, 503, 250, 235, 503]);
    let within = format!("MAIL FROM:<a@b>\r\n{good}RCPT TO:<c@d>\r\nRSET\r\n{good}");
    assert_eq!(after(&within).codes(), [250, 250, 503, 250, 250, 235]);
    let absent = played_by(&with(Auth::Absent), format!("EHLO c\r\n{good}"));
    assert_eq!(absent.last(), "502 5.5.1 Command not implemented");
}

#[test]
fn who_it_is_is_kept_but_over_starttls() {
    let good = plain("secret");
    let played = after(&format!(
        "{good}RSET\r\n{MESSAGE}EHLO c\r\n{MESSAGE}HELO c\r\n{MESSAGE}"
    ));
    for (message, protocol) in played.messages.iter().zip(["ESMTPA", "ESMTPA", "SMTP"]) {
        assert_eq!(message.client.auth.as_deref(), Some("ann"));
        assert_eq!(message.client.protocol, protocol);
    }
    let utf8 = MESSAGE.replace("<a@b>", "<a@b> SMTPUTF8");
    let under = secured(Auth::UnderTls, &format!("EHLO c\r\n{good}{MESSAGE}{utf8}"));
    let protocols = under.messages.iter().map(|m| &*m.client.protocol);
    assert_eq!(protocols.collect::<Vec<_>>(), ["ESMTPSA", "UTF8SMTPSA"]);

    let mut settings = with(Auth::InClear);
    settings.starttls = StartTls::Offered;
    let clear = format!("EHLO c\r\n{good}STARTTLS\r\n");
    let turned = format!("EHLO c\r\n{MESSAGE}");
    let played = play(&settings, [clear.as_bytes(), turned.as_bytes()].into_iter());
    assert_eq!(played.users, ["ann"]);
    let client = &played.messages[0].client;
    assert_eq!((&*client.protocol, &client.auth), ("ESMTPS", &None));
}

#[test]
fn failures_are_waited_for_and_counted() {
    let played = after(&plain("wrong").repeat(3));
    assert_eq!(played.pauses, 3);
    assert_eq!(after(&plain("secret")).pauses, 0);
    for failure in [
        plain("wrong"),
        format!("AUTH PLAIN {}\r\n", base64("\0busy\0x")),
        "AUTH PLAIN\r\n*\r\n".to_owned(),
    ] {
        let many = after(&failure.repeat(30));
        assert!(many.is_closed);
        assert_eq!(many.last(), "421 4.7.0 Too many errors");
        let failed = many.codes().into_iter().filter(|code| *code != 334);
        assert_eq!(failed.count(), 1 + 20 + 1);
    }
}

#[test]
fn a_driver_that_decides_nothing_lets_nobody_in() {
    let mut session = Session::new(Arc::new(with(Auth::InClear)));
    let mut input = BytesMut::from(&*format!("EHLO c\r\n{}NOOP\r\n", plain("secret")));
    assert!(matches!(
        step(&mut session, &mut input),
        Step::Authenticate(_)
    ));
    session.output().clear();
    assert!(matches!(step(&mut session, &mut input), Step::Read(_)));
    let told = "454 4.7.0 Temporary authentication failure\r\n250 2.0.0 Ok\r\n";
    assert_eq!(&session.output()[..], told.as_bytes());
    session.accept_user();
    assert_eq!(session.user(), None);
}

#[test]
fn a_response_of_421_closes() {
    let mut session = Session::new(Arc::new(with(Auth::InClear)));
    let mut input = BytesMut::from(&*format!("EHLO c\r\n{}NOOP\r\n", plain("secret")));
    assert!(matches!(
        step(&mut session, &mut input),
        Step::Authenticate(_)
    ));
    session.output().clear();
    session.refuse_user(&Response::new(421, None, "Go away"));
    assert!(matches!(step(&mut session, &mut input), Step::Close));
    assert_eq!(&session.output()[..], b"421 4.0.0 Go away\r\n");
}

#[test]
fn mail_may_say_who_its_author_is_where_auth_is_offered() {
    let mail = "MAIL FROM:<a@b> AUTH=e+3Dmc2@example.com\r\n";
    assert_eq!(after(mail).codes(), [250, 250]);
    let bad = mail.replace("+3D", "+0D");
    assert_eq!(after(&bad).codes(), [250, 501]);
    for auth in [Auth::Absent, Auth::UnderTls] {
        let clear = played_by(&with(auth), format!("EHLO c\r\n{mail}"));
        assert_eq!(clear.last(), "555 5.5.4 Parameter not recognized");
    }
}

#[test]
fn who_is_authenticated_may_say_what_goes_first() {
    let mail = "MAIL FROM:<a@b> MT-PRIORITY=4\r\n";
    assert!(after(mail).last().starts_with("250 2.3.6 0 "));
    let played = after(&format!("{}{mail}", plain("secret")));
    assert_eq!(played.codes(), [250, 235, 250]);
    assert_eq!(played.last(), "250 2.1.0 Sender ok");
}

/// What a driver might log.
#[test]
fn no_session_shows_a_secret() {
    let mut session = Session::new(Arc::new(with(Auth::InClear)));
    let mut input = BytesMut::from(&*format!("EHLO c\r\n{}", plain("canary")));
    let shown = format!("{:?} {session:?}", step(&mut session, &mut input));
    assert!(shown.contains("ann"), "{shown}");
    for secret in ["canary", &base64("canary"), &format!("{:?}", b"canary")] {
        assert!(!shown.contains(secret.trim_matches(['[', ']'])), "{shown}");
    }
}
