//! Exchanges of several messages: tokens (RFC 7628), and proofs (RFC 5802).

use std::process::Stdio;
use std::sync::Arc;

use slimta::edge::smtp::{
    AuthMode, Authenticator, BearerToken, Credentials, Limits, Mechanisms, TokenVerdict, Verdict,
};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::rig::{Client, Listening, Queue, edge};

const DENIED: &str = "535 5.7.8 Authentication credentials invalid\r\n";
const DONE: &str = "235 2.7.0 Authentication successful\r\n";
const CANNOT_DECODE: &str = "501 5.5.2 Cannot decode the response\r\n";
/// `n,,^Aauth=Bearer good^A^A`, and the same with `bad`.
const GOOD: &str = "AUTH OAUTHBEARER biwsAWF1dGg9QmVhcmVyIGdvb2QBAQ==";
const BAD: &str = "AUTH OAUTHBEARER biwsAWF1dGg9QmVhcmVyIGJhZAEB";
/// `{"status":"invalid_token"}`
const INVALID: &str = "334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=\r\n";

/// Knows one token, which is ann's.
struct Tokens;

#[async_trait::async_trait]
impl Authenticator for Tokens {
    fn mechanisms(&self) -> Mechanisms {
        Mechanisms {
            password: false,
            oauthbearer: true,
            ..Mechanisms::default()
        }
    }

    async fn check(&self, _: &Credentials) -> Verdict {
        Verdict::Denied
    }

    async fn check_token(&self, token: &BearerToken) -> TokenVerdict {
        match token.token() {
            "good" => TokenVerdict::Accepted("ann".to_owned()),
            _ => TokenVerdict::Denied,
        }
    }
}

async fn served(queue: &Arc<Queue>, authenticator: impl Authenticator) -> Listening {
    let limits = Limits {
        auth_failures_max: 2,
        ..Limits::default()
    };
    let edge = edge(queue)
        .with_limits(limits)
        .with_permit(|_| false)
        .with_authenticator(authenticator, AuthMode::InClear);
    Listening::start(edge).await
}

async fn greeted(listening: &Listening, offered: &str) -> Client {
    let mut client = listening.client().await;
    let said = client.ask("EHLO client.example.com").await;
    let line = format!("250-AUTH {offered}\r\n");
    assert!(said.contains(&line), "{said}");
    client
}

#[tokio::test]
async fn a_token_says_who_a_client_is() {
    let queue = Queue::new();
    let listening = served(&queue, Tokens).await;
    let mut client = greeted(&listening, "OAUTHBEARER").await;
    let unknown = "504 5.5.4 Invalid authentication mechanism\r\n";
    assert_eq!(client.ask("AUTH PLAIN AGFubgBzZWNyZXQ=").await, unknown);
    // No message of the mechanism, and none that goes on with one.
    assert_eq!(client.ask("AUTH OAUTHBEARER AQ==").await, CANNOT_DECODE);
    assert_eq!(client.ask(BAD).await, INVALID);
    assert_eq!(client.ask("AQ==").await, DENIED);
    // That it was denied is over when another exchange begins.
    assert_eq!(client.ask(BAD).await, INVALID);
    assert!(client.ask("*").await.starts_with("501 5.7.0 "));
    let later = "454 4.7.0 Too many failed attempts, try again later\r\n";
    assert_eq!(client.ask(GOOD).await, later);
    drop(client);
    listening.stopped().await;

    let listening = served(&queue, Tokens).await;
    let mut client = greeted(&listening, "OAUTHBEARER").await;
    assert_eq!(client.ask("AUTH OAUTHBEARER").await, "334 \r\n");
    assert_eq!(client.ask(&GOOD["AUTH OAUTHBEARER ".len()..]).await, DONE);
    client.begin().await;
    client.send(".\r\n").await;
    assert!(client.reply().await.starts_with("250 2.6.0 "));
    assert_eq!(queue.requests()[0][0].client.auth.as_deref(), Some("ann"));
    drop(client);
    listening.stopped().await;
}

/// The rest is in `scram` of the edge, with the exchange of the standard, and
/// in `crates/server/tests`, with a client of others.
#[cfg(feature = "credentials")]
#[tokio::test]
async fn a_proof_that_is_wrong_or_none_is_a_failure() {
    use slimta::edge::smtp::ScramKeys;

    struct Keys;

    #[async_trait::async_trait]
    impl Authenticator for Keys {
        fn mechanisms(&self) -> Mechanisms {
            Mechanisms {
                scram_sha_256: true,
                ..Mechanisms::default()
            }
        }

        async fn check(&self, _: &Credentials) -> Verdict {
            Verdict::Denied
        }

        async fn scram_keys(&self, user: &str) -> Option<ScramKeys> {
            let nobody = ScramKeys::of_nobody(user, b"secret", ScramKeys::ITERATIONS);
            (user != "busy").then_some(nobody)
        }
    }

    let listening = served(&Queue::new(), Keys).await;
    let mut client = greeted(&listening, "SCRAM-SHA-256 PLAIN LOGIN").await;
    // n,,n=busy,r=x
    let busy = client.ask("AUTH SCRAM-SHA-256 biwsbj1idXN5LHI9eA==").await;
    assert_eq!(busy, "454 4.7.0 Temporary authentication failure\r\n");
    assert_eq!(client.ask("AUTH SCRAM-SHA-256 biws").await, CANNOT_DECODE);
    // n,,n=ann,r=x
    let begin = "AUTH SCRAM-SHA-256 biwsbj1hbm4scj14";
    let first = client.ask(begin).await;
    assert!(first.starts_with("334 "), "{first}");
    // c=biws,r=x,p= and 32 bytes; then who only asks for the salt.
    let proof = "Yz1iaXdzLHI9eCxwPUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE9";
    assert_eq!(client.ask(proof).await, DENIED);
    let again = client.ask(begin).await;
    assert!(again.starts_with("334 ") && again != first, "{again}");
    assert!(client.ask("*").await.starts_with("501 5.7.0 "));
    let later = "454 4.7.0 Too many failed attempts, try again later\r\n";
    assert_eq!(client.ask(begin).await, later);
    drop(client);
    listening.stopped().await;
}

/// curl and msmtp show their token under TLS.
#[cfg(feature = "tls")]
#[tokio::test]
async fn clients_of_others_show_their_token() {
    use super::certificates::Certificates;
    use slimta::edge::smtp::{Tls, TlsMode};

    const HOST: &str = "mail.example.net";
    const DENIED_TO_CURL: i32 = 67;
    const DENIED_TO_MSMTP: i32 = 77;
    let certificates = Certificates::new();
    certificates.make("a", HOST);
    let files = certificates.files("a");
    let root = files.chain.display().to_string();
    for (mode, scheme, starttls) in [
        (TlsMode::Offered, "smtp", "on"),
        (TlsMode::Implicit, "smtps", "off"),
    ] {
        let queue = Queue::new();
        let tls = Tls::open(vec![files.clone()]).unwrap();
        let edge = edge(&queue)
            .with_tls(tls, mode)
            .with_permit(|_| false)
            .with_authenticator(Tokens, AuthMode::UnderTls);
        let listening = Listening::start(edge).await;
        let port = listening.address.port();
        let curl = |token: &str| {
            let mut command = Command::new("curl");
            command
                .args(["--silent", "--show-error", "--ssl-reqd", "--cacert", &root])
                .args(["--resolve", &format!("{HOST}:{port}:127.0.0.1")])
                .args(["--url", &format!("{scheme}://{HOST}:{port}")])
                .args(["--user", "ann", "--oauth2-bearer", token])
                .args(["--login-options", "AUTH=OAUTHBEARER"])
                .args([
                    "--mail-from",
                    "a@b",
                    "--mail-rcpt",
                    "c@d",
                    "--upload-file",
                    "-",
                ]);
            command
        };
        let msmtp = |token: &str| {
            let mut command = Command::new("msmtp");
            command
                .args([
                    "--file=/dev/null",
                    "--host=127.0.0.1",
                    "--from=a@b",
                    "--tls=on",
                ])
                .args([
                    format!("--port={port}"),
                    format!("--tls-starttls={starttls}"),
                ])
                .args([format!("--tls-trust-file={root}")])
                .args([format!("--tls-host-override={HOST}")])
                .args(["--auth=oauthbearer", "--user=ann"])
                .args([format!("--passwordeval=echo {token}"), "c@d".to_owned()]);
            command
        };
        assert_eq!(end_of(curl("bad")).await, DENIED_TO_CURL);
        assert_eq!(end_of(msmtp("bad")).await, DENIED_TO_MSMTP);
        assert!(queue.requests().is_empty());
        assert_eq!(end_of(curl("good")).await, 0);
        assert_eq!(end_of(msmtp("good")).await, 0);
        let requests = queue.requests();
        assert_eq!(requests.len(), 2);
        for message in requests.iter().flatten() {
            assert_eq!(message.client.auth.as_deref(), Some("ann"));
            assert_eq!(message.client.protocol, "ESMTPSA");
        }
        listening.stopped().await;
    }
}

/// How a client ends that has a message to read.
#[cfg(feature = "tls")]
async fn end_of(mut command: Command) -> i32 {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // It may have ended before it has read all of it.
    let _ = input.write_all(b"Subject: x\r\n\r\nHello.\r\n").await;
    drop(input);
    child.wait().await.unwrap().code().unwrap()
}
