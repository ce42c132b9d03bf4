//! Exchanges that the driver has with the client (RFC 4954 section 4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const DONE: &str = "235 2.7.0 Authentication successful";
const DENIED: &str = "535 5.7.8 Authentication credentials invalid";

/// Asks for more until it is told what to do.
pub(super) fn respond(session: &mut Session, message: &SaslMessage) {
    match &*message.bytes {
        b"in" => session.accept_user_as("ann"),
        b"out" => session.deny_user(),
        b"nobody" => session.accept_user_as("a\nb"),
        said => {
            let first = if message.is_first { "first " } else { "" };
            session.challenge(&[first.as_bytes(), said].concat());
        }
    }
}

/// The replies to lines behind EHLO, where all mechanisms are offered, cut in
/// two ways.
fn told(lines: &[&str]) -> Vec<String> {
    let mut settings = settings();
    settings.auth = Auth::InClear;
    let settings = Arc::new(settings);
    let all = Mechanisms {
        scram_sha_256: true,
        oauthbearer: true,
        ..Mechanisms::default()
    };
    let text = format!("EHLO c\r\n{}\r\n", lines.join("\r\n"));
    let session = || Session::new(settings.clone()).with_mechanisms(all);
    let whole = converse(session(), [text.as_bytes()].into_iter());
    assert_eq!(converse(session(), text.as_bytes().chunks(1)), whole);
    let offer = "250-AUTH SCRAM-SHA-256 OAUTHBEARER PLAIN LOGIN";
    assert!(whole.lines().contains(&offer), "{}", whole.replies);
    behind_ehlo(whole.lines())
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

#[test]
fn messages_go_to_and_fro() {
    let (hello, good, bad) = (base64("hello"), base64("in"), base64("out"));
    let first = format!("334 {}", base64("first hello"));
    let next = format!("334 {}", base64("hello"));
    let begin = format!("AUTH SCRAM-SHA-256 {hello}");
    assert_eq!(
        told(&[&begin, &hello, &good, "AUTH LOGIN"])[..3],
        [&*first, &next, DONE]
    );
    let begin = "AUTH oauthbearer";
    assert_eq!(told(&[begin, &hello, &bad]), ["334 ", &first, DENIED]);
    // Each exchange begins anew.
    assert_eq!(told(&[begin, &hello, "*", begin, &hello])[4], first);
    let empty = ["AUTH SCRAM-SHA-256 =", "", &good];
    assert_eq!(
        told(&empty),
        [&*format!("334 {}", base64("first ")), "334 ", DONE]
    );
}

#[test]
fn what_is_no_user_is_not_let_in() {
    let nobody = format!("AUTH OAUTHBEARER {}", base64("nobody"));
    assert_eq!(
        told(&[&nobody]),
        ["454 4.7.0 Temporary authentication failure"]
    );
}

#[test]
fn what_is_not_offered_is_not_begun() {
    let unknown = "504 5.5.4 Invalid authentication mechanism";
    let mut settings = settings();
    settings.auth = Auth::InClear;
    let session = |mechanisms| Session::new(Arc::new(settings.clone())).with_mechanisms(mechanisms);
    let text = "EHLO c\r\nAUTH SCRAM-SHA-256\r\nAUTH OAUTHBEARER\r\n";
    let played = converse(
        session(Mechanisms::default()),
        [text.as_bytes()].into_iter(),
    );
    assert_eq!(behind_ehlo(played.lines()), [unknown, unknown]);
    let none = Mechanisms {
        password: false,
        ..Mechanisms::default()
    };
    let text = "EHLO c\r\nAUTH PLAIN\r\nAUTH LOGIN\r\n";
    let played = converse(session(none), [text.as_bytes()].into_iter());
    assert_eq!(behind_ehlo(played.lines()), [unknown, unknown]);
    assert!(!played.replies.contains("250-AUTH"));
}

#[test]
fn no_message_is_shown() {
    let message = SaslMessage {
        mechanism: Mechanism::OAuthBearer,
        is_first: true,
        bytes: b"canary".as_slice().into(),
    };
    let shown = format!("{message:?}");
    assert_eq!(
        shown,
        "SaslMessage { mechanism: OAuthBearer, is_first: true, .. }"
    );
}
