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
    let session = Session::new(Arc::new(settings)).with_permission(true);
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
