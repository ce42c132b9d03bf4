//! The turn to TLS (RFC 3207, RFC 8314).

use super::*;

const MESSAGE: &str = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n";

fn with(starttls: StartTls) -> Settings {
    let mut settings = settings();
    settings.starttls = starttls;
    settings
}

/// Plays what is sent in the clear, and behind it what is sent under TLS, whole
/// and byte by byte.
fn turned(starttls: StartTls, clear: &str, secured: &str) -> Played {
    let settings = with(starttls);
    let whole = play(
        &settings,
        [clear.as_bytes(), secured.as_bytes()].into_iter(),
    );
    let bytes = clear
        .as_bytes()
        .chunks(1)
        .chain(secured.as_bytes().chunks(1));
    assert_eq!(play(&settings, bytes), whole);
    whole
}

#[test]
fn starttls_is_offered_where_it_works() {
    let offers = |played: &Played| played.lines().contains(&"250-STARTTLS");
    assert!(!offers(&played("EHLO c\r\n")));
    assert!(offers(&played_by(&with(StartTls::Offered), "EHLO c\r\n")));
    assert!(!offers(&played_by(&with(StartTls::Offered), "HELO c\r\n")));
    let turned = turned(StartTls::Offered, "STARTTLS\r\n", "EHLO c\r\n");
    assert!(!offers(&turned));

    let mut session = Session::new(Arc::new(with(StartTls::Required)));
    session.secured("TLSv1.2");
    let text = format!("EHLO c\r\n{MESSAGE}");
    let played = converse(session, [text.as_bytes()].into_iter());
    assert!(!offers(&played));
    let client = &played.messages[0].client;
    assert_eq!(client.security.as_deref(), Some("TLSv1.2"));
}

#[test]
fn what_was_said_in_the_clear_is_forgotten() {
    let clear = "EHLO evil\r\nMAIL FROM:<evil@b>\r\nRCPT TO:<evil@d>\r\nstarttls\r\n";
    let secured = format!("{MESSAGE}RCPT TO:<c@d>\r\nEHLO c\r\nRCPT TO:<c@d>\r\n{MESSAGE}");
    let played = turned(StartTls::Offered, clear, &secured);
    let codes = [250, 250, 250, 220, 503, 503, 503, 500, 503];
    assert_eq!(played.codes()[..9], codes);
    assert_eq!(played.codes()[9..], [250, 503, 250, 250, 354, 250]);
    let [message] = &played.messages[..] else {
        panic!("{played:?}");
    };
    assert_eq!(message.client.ehlo.as_deref(), Some("c"));
    assert_eq!(message.envelope.sender.as_str(), "a@b");
    assert_eq!(message.envelope.recipients.len(), 1);
}

#[test]
fn the_protocol_tells_of_tls() {
    for (commands, protocol) in [
        ("EHLO c\r\nMAIL FROM:<a@b>\r\n", "ESMTPS"),
        ("EHLO c\r\nMAIL FROM:<a@b> SMTPUTF8\r\n", "UTF8SMTPS"),
        ("HELO c\r\nMAIL FROM:<a@b>\r\n", "SMTP"),
    ] {
        let secured = format!("{commands}RCPT TO:<c@d>\r\nDATA\r\n.\r\n");
        let played = turned(StartTls::Offered, "EHLO c\r\nSTARTTLS\r\n", &secured);
        let client = &played.messages[0].client;
        assert_eq!(client.protocol, protocol);
        assert_eq!(client.security.as_deref(), Some("TLSv1.3"));
    }
    let clear = played_by(&with(StartTls::Offered), format!("EHLO c\r\n{MESSAGE}"));
    assert_eq!(clear.messages[0].client.protocol, "ESMTP");
    assert_eq!(clear.messages[0].client.security, None);
}

#[test]
fn what_is_sent_behind_starttls_in_the_clear_closes() {
    let commands = format!("EHLO c\r\n{MESSAGE}");
    for injected in ["R", "\r", "\n", "\r\n", "\0", "RSET\r\n", &*commands] {
        let clear = format!("EHLO c\r\nSTARTTLS\r\n{injected}");
        let pieces = [clear.as_bytes(), commands.as_bytes()];
        let played = play(&with(StartTls::Offered), pieces.into_iter());
        assert!(played.is_closed && played.messages.is_empty());
        assert_eq!(played.codes(), [250, 421], "{injected:?}");
        let last = "421 4.7.0 Nothing may follow STARTTLS before its answer";
        assert_eq!(played.last(), last);
    }
}

#[test]
fn mail_waits_for_tls_where_it_is_required() {
    let clear = "MAIL FROM:<a@b>\r\nEHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n\
                 BDAT 3\r\nxyzNOOP\r\nSTARTTLS\r\n";
    let secured = format!("EHLO c\r\n{MESSAGE}");
    let played = turned(StartTls::Required, clear, &secured);
    let codes = [503, 250, 530, 503, 503, 503, 250, 220];
    assert_eq!(played.codes()[..8], codes);
    let first = "530 5.7.0 Must issue a STARTTLS command first";
    assert!(played.lines().contains(&first));
    assert_eq!(played.codes()[8..], [250, 250, 250, 354, 250]);
}

#[test]
fn starttls_out_of_place_is_told_how_and_counted() {
    let clear = "STARTTLS now\r\nSTARTTLS\r\n";
    let again = "STARTTLS\r\nEHLO c\r\nSTARTTLS\r\nSTARTTLS x\r\n";
    let played = turned(StartTls::Offered, clear, again);
    assert_eq!(played.codes(), [501, 220, 503, 250, 503, 503]);

    let mut few = with(StartTls::Offered);
    few.errors_max = 2;
    let (clear, secured) = ("STARTTLS x\r\nSTARTTLS\r\n", "STARTTLS\r\nNOOP\r\n");
    let pieces = [clear.as_bytes(), secured.as_bytes()];
    let played = play(&few, pieces.into_iter());
    assert_eq!(played.codes(), [501, 220, 503, 421]);
}

#[test]
fn tls_that_is_not_there_for_now_leaves_the_session_as_it_was() {
    let mut session = Session::new(Arc::new(with(StartTls::Offered)));
    let mut input = BytesMut::from("EHLO c\r\nMAIL FROM:<a@b>\r\nSTARTTLS\r\nNOOP\r\n");
    assert!(matches!(step(&mut session, &mut input), Step::StartTls));
    session.output().clear();
    session.refuse_tls();
    assert_eq!(
        &session.output()[..],
        b"454 4.7.0 TLS is not available now\r\n"
    );
    assert!(matches!(step(&mut session, &mut input), Step::Read(_)));
    input.extend_from_slice(b"RCPT TO:<c@d>\r\n");
    assert!(matches!(step(&mut session, &mut input), Step::Recipient(_)));

    // A driver that decides nothing has no TLS either.
    let mut session = Session::new(Arc::new(with(StartTls::Offered)));
    let mut input = BytesMut::from("STARTTLS\r\n");
    assert!(matches!(step(&mut session, &mut input), Step::StartTls));
    assert!(matches!(step(&mut session, &mut input), Step::Read(_)));
    assert!(session.output().starts_with(b"454 "));
}

#[test]
fn nothing_more_is_said_in_the_clear_before_the_handshake() {
    let mut session = Session::new(Arc::new(with(StartTls::Offered)));
    let mut input = BytesMut::from("STARTTLS\r\n");
    assert!(matches!(step(&mut session, &mut input), Step::StartTls));
    assert_eq!(session.accept_tls(&input), Ok(()));
    session.output().clear();
    input.extend_from_slice(b"NOOP\r\n");
    assert!(matches!(step(&mut session, &mut input), Step::Close));
    assert!(session.output().is_empty());
}
