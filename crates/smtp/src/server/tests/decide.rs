//! What the driver refuses has no effect, and what stands behind it in the same
//! segment is done after it.

use super::*;

const REFUSED: &str = "550 5.7.1 Not you";

/// Refuses who greets as `no…`, senders `no…`, and contents whose envelope is
/// called `no…`; lets everything else be.
pub(super) fn decide(session: &mut Session, asked: Asked) {
    let envelope = session.envelope();
    let name = match asked {
        Asked::Hello => session.client().ehlo,
        Asked::Mail => envelope.map(|envelope| envelope.sender.as_str().to_owned()),
        Asked::Data => envelope.and_then(|envelope| envelope.envid.clone()),
    };
    match name.is_some_and(|name| name.starts_with("no")) {
        true => session.refuse(&Response::permanent(7, 1, "Not you")),
        false => session.allow(),
    }
}

#[test]
fn a_refused_greeting_leaves_the_old_one() {
    let early = played("EHLO no.example\r\nMAIL FROM:<a@b>\r\n");
    assert_eq!(early.codes(), [550, 503]);
    assert_eq!(early.lines()[0], REFUSED);
    // The message that had begun goes on.
    let within = format!(
        "{}EHLO no.example\r\nDATA\r\n.\r\n",
        UP_TO_DATA.strip_suffix("DATA\r\n").unwrap()
    );
    let played = played(&within);
    assert_eq!(played.codes(), [250, 250, 250, 550, 354, 250]);
    assert_eq!(played.messages[0].client.ehlo.as_deref(), Some("c"));
}

#[test]
fn a_refused_sender_begins_nothing() {
    let refused = after_ehlo("MAIL FROM:<no@b>\r\nRCPT TO:<c@d>\r\nMAIL FROM:<a@b>\r\n");
    let told = [REFUSED, "503 5.5.1 Send MAIL first", "250 2.1.0 Sender ok"];
    assert_eq!(refused, told);
}

#[test]
fn refused_contents_do_not_begin() {
    let begun = "MAIL FROM:<a@b> ENVID=no\r\nRCPT TO:<c@d>\r\n";
    let refused = after_ehlo(&format!("{begun}DATA\r\nNOOP\r\nRSET\r\n{begun}"));
    assert_eq!(refused[2..5], [REFUSED, "250 2.0.0 Ok", "250 2.0.0 Ok"]);
    assert_eq!(refused[5], "250 2.1.0 Sender ok");
}

/// Nor are the octets of a chunk that is refused taken for commands.
#[test]
fn a_refused_chunk_is_read_and_forgotten() {
    let begun = "MAIL FROM:<a@b> ENVID=no\r\nRCPT TO:<c@d>\r\n";
    let refused = after_ehlo(&format!(
        "{begun}BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"
    ));
    let told = [REFUSED, "503 5.5.1 Send MAIL first", "250 2.0.0 Ok"];
    assert_eq!(refused[2..], told);
    // The first one alone is asked about.
    let taken = played(format!("{UP_TO_BDAT}BDAT 1\r\nxBDAT 2 LAST\r\n\r\n"));
    assert_eq!(taken.contents(), [b"x\r\n"]);
}

#[test]
fn who_is_turned_away_may_only_quit() {
    let mut session = Session::new(Arc::new(settings()));
    session.turn_away(&Response::new(554, None, "No service"));
    let mut input = BytesMut::from("EHLO c\r\nMAIL FROM:<a@b>\r\nQUIT\r\nNOOP\r\n");
    assert!(matches!(session.step(&mut input), Step::Close));
    let only = "503 5.5.1 Nothing but QUIT is done here\r\n";
    let told = format!("554 5.0.0 No service\r\n{only}{only}221 2.0.0 Bye\r\n");
    assert_eq!(&session.output()[..], told.as_bytes());

    let mut session = Session::new(Arc::new(settings()));
    session.turn_away(&Response::new(421, None, "Later"));
    assert!(matches!(session.step(&mut BytesMut::new()), Step::Close));
}

#[test]
fn a_refusal_that_is_none_is_an_error_for_now() {
    for response in [
        Response::success(0, 0, "Fine"),
        Response::new(354, None, "Go on"),
    ] {
        let mut session = Session::new(Arc::new(settings()));
        let mut input = BytesMut::from("HELO c\r\nMAIL FROM:<a@b>\r\n");
        assert!(matches!(
            session.step(&mut input),
            Step::Decide(Asked::Hello)
        ));
        session.refuse(&response);
        assert!(matches!(session.step(&mut input), Step::Read(_)));
        let told = "451 4.3.0 Error in processing\r\n503 5.5.1 Send EHLO or HELO first\r\n";
        assert_eq!(&session.output()[..], told.as_bytes());
    }
}

#[test]
fn a_driver_that_decides_nothing_lets_nothing_happen() {
    let mut session = Session::new(Arc::new(settings()));
    let mut input = BytesMut::from("HELO c\r\nNOOP\r\n");
    assert!(matches!(
        session.step(&mut input),
        Step::Decide(Asked::Hello)
    ));
    assert!(matches!(session.step(&mut input), Step::Read(_)));
    let told = "451 4.3.0 Error in processing\r\n250 2.0.0 Ok\r\n";
    assert_eq!(&session.output()[..], told.as_bytes());
    session.allow();
    assert_eq!(session.client().ehlo, None);
}
