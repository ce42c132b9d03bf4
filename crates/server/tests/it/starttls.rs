//! Mail goes to next hops encrypted, as each destination wants it.

use crate::postfix::Postfix;
use crate::rig::{KeepingSink, NextHop, Store, run, send, stderr, until};

const SENDER: &str = "sender@from.example";

/// Postfix says in its Received field how the message came.
#[test]
fn postfix_takes_mail_by_starttls() {
    let sink = KeepingSink::start();
    let Some(postfix) = Postfix::start(sink.address) else {
        return;
    };
    let store = Store::new();
    let relay = postfix.url();
    let [root, other] = postfix.roots();
    let cases: [(&[&str], bool); 4] = [
        (&[], true),
        (&["--tls", "off"], false),
        (&["--tls", "required", "--tls-roots", &other], true),
        (&["--tls", "verified", "--tls-roots", &root], true),
    ];
    for (number, (args, is_encrypted)) in cases.into_iter().enumerate() {
        let server = store.serve(&[&["--relay", &relay, "--log-level", "debug"], args].concat());
        let rcpt = format!("case{number}@to.example");
        send(server.address, SENDER, &[&rcpt]);
        let came = until("the message behind Postfix", || {
            let whole = |message: &String| message.contains(&rcpt) && message.contains("Hello.");
            sink.messages().into_iter().find(whole)
        });
        let header = came.replace("\n\t", " ");
        let by_postfix = header
            .lines()
            .find(|line| line.contains("by postfix.test.example"));
        let by_postfix = by_postfix.unwrap_or_else(|| panic!("{came}\n{}", postfix.log()));
        assert_eq!(
            by_postfix.contains("using TLSv1."),
            is_encrypted,
            "{args:?}: {came}"
        );
        assert!(by_postfix.contains(if is_encrypted { "ESMTPS" } else { "ESMTP" }));
        server.stop();
    }
    // What was agreed upon is logged for each connection.
    let logged = store.logged();
    let lines: Vec<_> = logged
        .lines()
        .filter(|line| line.contains("cipher="))
        .collect();
    assert_eq!(lines.len(), 3, "{logged}");
    assert!(lines.iter().all(|line| line.contains("version=TLSv1_3")));
    let verified = lines.iter().map(|line| line.contains("verified=true"));
    assert_eq!(verified.collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn without_roots_of_its_own_the_server_trusts_those_of_the_system() {
    let sink = KeepingSink::start();
    let Some(postfix) = Postfix::start(sink.address) else {
        return;
    };
    let store = Store::new();
    let relay = postfix.url();
    let [root, other] = postfix.roots();
    let system = |file: &str| {
        let told = format!("-c 0 && unset SSL_CERT_DIR && export SSL_CERT_FILE={file}");
        store.serve_under(&told, &["--relay", &relay, "--tls", "verified"])
    };
    let server = system(&root);
    send(server.address, SENDER, &["a@to.example"]);
    store.until_empty();
    server.stop();
    for (file, why) in [
        (
            &*other,
            "4.7.5 No TLS with 127.0.0.1: its certificate is signed by nobody",
        ),
        ("/dev/null", "4.3.0 This host has no root certificates"),
    ] {
        let server = system(file);
        send(server.address, SENDER, &["waits@to.example"]);
        store.until_list("a message that waits", |list| {
            let response = list.first()?["last_response"].as_str()?;
            assert!(response.contains(why), "{response}");
            Some(())
        });
        server.stop();
        store.queue_ok(&["delete", "--all"]);
    }
}

#[test]
fn a_destination_may_need_what_others_do_not() {
    let (store, hop) = (Store::new(), NextHop::answering(&[]));
    let config = store.path().with_extension("toml");
    let relay = hop.url();
    let file = format!("relay = '{relay}'\n[destination.'{relay}']\ntls = 'required'\n");
    std::fs::write(&config, file).unwrap();
    let server = store.serve(&["--config", &config.display().to_string()]);
    send(server.address, SENDER, &["waits@to.example"]);
    store.until_list("a message that waits", |list| {
        let response = list.first()?["last_response"].as_str()?;
        let why = "451 4.7.4 Required STARTTLS not available";
        assert!(response.starts_with(why), "{response}");
        Some(())
    });
    server.stop();
    // The next hop never offers it: in clear it goes once it may.
    let server = store.serve(&["--relay", &relay]);
    store.queue_ok(&["retry", "--all"]);
    store.until_empty();
    server.stop();
}

#[test]
fn roots_that_cannot_be_read_are_named_at_the_start() {
    let store = Store::new();
    let file = store.path().with_extension("pem");
    let path = file.display().to_string();
    let start = || {
        let url = store.url();
        run(&[
            "serve",
            "--storage",
            &url,
            "--relay",
            "smtp://127.0.0.1:1",
            "--tls-roots",
            &path,
        ])
    };
    for (text, why) in [
        (None, "cannot be read"),
        (Some("hello"), "has no certificate in it"),
    ] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let said = start();
        assert_eq!(said.status.code(), Some(2));
        let said = stderr(&said);
        assert!(
            said.contains(&path) && said.contains(why) && said.contains("tls-roots"),
            "{said}"
        );
    }
}
