//! Proxies that say whom they speak for.

use super::*;

const DENIED: &str = "550 5.7.0 You may not speak for others";
const BANNER: &str = "220 mail.example.net ESMTP slimta";

/// A proxy that is believed: what it leads to, cut in two ways.
fn by_proxy(text: &str) -> Played {
    let settings = Arc::new(settings());
    let session = || Session::new(settings.clone()).with_xclient(true);
    let whole = converse(session(), [text.as_bytes()].into_iter());
    assert_eq!(converse(session(), text.as_bytes().chunks(1)), whole);
    whole
}

/// As a driver that believes all but who comes from 192.0.2.66.
pub(super) fn believe(session: &mut Session, told: &XClient) {
    match told.addr {
        Fact::Known(ip) if ip.to_string() == "192.0.2.66" => {
            session.refuse_xclient(&Response::new(421, None, "Too many"));
        }
        _ => {
            session.accept_xclient(false);
            session.banner();
        }
    }
}

#[test]
fn it_is_for_proxies_only() {
    let text = "EHLO c\r\nXCLIENT ADDR=192.0.2.1\r\n";
    let stranger = played(text);
    assert_eq!(stranger.last(), DENIED);
    assert!(!stranger.replies.contains("XCLIENT"));
    let proxy = by_proxy(text);
    assert_eq!(proxy.last(), BANNER);
    let offer = "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";
    assert!(proxy.lines().contains(&offer));
}

#[test]
fn a_session_begins_anew_for_whom_it_is() {
    let mail = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n";
    let told = "XCLIENT NAME=host.example ADDR=IPV6:2001:db8::1 PORT=7 HELO=+63.example PROTO=ESMTP\r\n\
                XCLIENT login=ann DESTADDR=192.0.2.9 DESTPORT=25\r\n";
    let played = by_proxy(&format!(
        "EHLO proxy\r\n{told}MAIL FROM:<a@b>\r\nHELO proxy\r\n{mail}"
    ));
    assert_eq!(
        played.codes(),
        [250, 220, 220, 503, 250, 250, 250, 354, 250]
    );
    let client = &played.messages[0].client;
    assert_eq!(client.host.as_deref(), Some("host.example"));
    assert_eq!(client.ehlo.as_deref(), Some("c.example"));
    assert_eq!(
        (&*client.protocol, client.auth.as_deref()),
        ("ESMTPA", Some("ann"))
    );

    let forgotten =
        "XCLIENT NAME=[UNAVAILABLE] HELO=[tempunavail] LOGIN=[UNAVAILABLE] PROTO=smtp\r\n";
    let played = by_proxy(&format!("{told}{forgotten}EHLO proxy.example\r\n{mail}"));
    let client = &played.messages[0].client;
    assert_eq!(
        (&client.host, client.ehlo.as_deref()),
        (&None, Some("proxy.example"))
    );
    assert_eq!((&*client.protocol, &client.auth), ("SMTP", &None));
}

/// Whoever the proxy itself is, its client is not.
#[test]
fn who_has_authenticated_is_not_who_is_spoken_for() {
    let mut settings = settings();
    settings.auth = Auth::InClear;
    let session = Session::new(Arc::new(settings)).with_xclient(true);
    let text = "EHLO c\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\nXCLIENT ADDR=192.0.2.1\r\nEHLO c\r\n\
                MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n";
    let played = converse(session, [text.as_bytes()].into_iter());
    assert_eq!(played.users, ["ann"]);
    assert_eq!(played.messages[0].client.auth, None);
}

#[test]
fn it_has_its_place_and_its_form() {
    let within = by_proxy("EHLO c\r\nMAIL FROM:<a@b>\r\nXCLIENT ADDR=192.0.2.1\r\n");
    assert_eq!(within.codes(), [250, 250, 503]);
    for bad in [
        "XCLIENT",
        "XCLIENT ADDR",
        "XCLIENT ADDR=",
        "XCLIENT ADDR=2001:db8::1",
        "XCLIENT ADDR=192.0.2.256",
        "XCLIENT ADDR=IPV6:192.0.2.1",
        "XCLIENT PORT=65536",
        "XCLIENT PORT=+2B7",
        "XCLIENT PROTO=LMTP",
        "XCLIENT HELO=a+20b",
        "XCLIENT HELO=a+0D+0AQUIT",
        "XCLIENT LOGIN=+C2+85",
        "XCLIENT NAME=a=b",
        "XCLIENT ELSE=x",
    ] {
        let refused = by_proxy(&format!("{bad}\r\n"));
        assert_eq!(
            refused.last(),
            "501 5.5.4 Syntax error in arguments",
            "{bad}"
        );
    }
    let turned = by_proxy("XCLIENT ADDR=192.0.2.66\r\nNOOP\r\n");
    assert!(turned.is_closed && turned.codes() == [421]);
}
