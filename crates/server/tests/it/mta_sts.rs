//! MTA-STS with real parts: dnsmasq names things, Python shows the policy, and
//! Postfix takes the mail.

use std::fs;

use crate::net::Net;
use crate::postfix::Postfix;
use crate::rig::{Server, Store, stderr, stdout, until};

const RECORDS: [&str; 4] = [
    "--mx-host=d.example,mx.d.example,10",
    "--host-record=mx.d.example,127.0.0.1",
    "--host-record=mta-sts.d.example,127.0.0.1",
    "--txt-record=_mta-sts.d.example,v=STSv1; id=1;",
];

/// A domain whose exchanger is Postfix, with a certificate for this name.
fn domain(certified: &str) -> Option<(Net, Postfix)> {
    let mut net = Net::new()?;
    net.certificate("web", &["mta-sts.d.example"]);
    net.certificate("host", &[certified]);
    net.names(&RECORDS);
    let files = ["host.key", "host.pem"].map(|file| net.path(file));
    let postfix = Postfix::start_in(&net, &files);
    Some((net, postfix))
}

/// Puts a policy where the web server finds it.
fn show(net: &Net, mode: &str) {
    let directory = net.path("web/.well-known");
    fs::create_dir_all(&directory).unwrap();
    let policy =
        format!("version: STSv1\r\nmode: {mode}\r\nmx: *.d.example\r\nmax_age: 604800\r\n");
    fs::write(directory.join("mta-sts.txt"), policy).unwrap();
}

fn serve(net: &Net, store: &Store, options: &[&str]) -> Server {
    let roots = net.path("root.pem").display().to_string();
    let mut command = net.command(env!("CARGO_BIN_EXE_slimta"));
    let options = [&["--relay", "mx", "--tls-roots", &roots], options].concat();
    store.serve_by(&mut command, &options)
}

#[track_caller]
fn hand_in(net: &Net, server: &Server, to: &str) {
    let handed = net
        .command("swaks")
        .args([
            "--server",
            "127.0.0.1",
            "--helo",
            "client.example",
            "--from",
            "a@from.example",
        ])
        .args(["--port", &server.address.port().to_string(), "--to", to])
        .output()
        .unwrap();
    assert!(
        handed.status.success(),
        "{}{}",
        stdout(&handed),
        stderr(&handed)
    );
}

/// Waits until a message was tried and waits; gives why.
#[track_caller]
fn until_deferred(store: &Store) -> String {
    store.until_list("a message that waits", |list| {
        Some(list.first()?["last_response"].as_str()?.to_owned())
    })
}

#[test]
fn an_enforced_policy_defers_mail_for_a_bad_certificate_also_after_a_restart() {
    let Some((mut net, postfix)) = domain("other.example") else {
        return;
    };
    show(&net, "enforce");
    net.web("web", &net.path("web"));
    let store = Store::new();
    let server = serve(&net, &store, &[]);
    hand_in(&net, &server, "b@d.example");
    let why = until_deferred(&store);
    let expected = "451 4.7.5 No TLS with mx.d.example: its certificate is not for mx.d.example; \
                    the policy of d.example (MTA-STS) asks for it";
    assert_eq!(why, expected);
    server.stop();
    store.queue_ok(&["delete", "--all"]);

    // The web server is down, and another policy is said to be there.
    net.stop();
    let mut records = RECORDS;
    records[3] = "--txt-record=_mta-sts.d.example,v=STSv1; id=2;";
    net.names(&records);
    let server = serve(&net, &store, &[]);
    hand_in(&net, &server, "b@d.example");
    assert_eq!(until_deferred(&store), expected);
    assert!(
        store.logged().contains("could not be fetched"),
        "{}",
        store.logged()
    );
    let kept = store.path().join("tls/mta-sts/d.example");
    assert!(fs::read_to_string(kept).unwrap().contains("\nid: 1\n"));
    server.stop();

    // Now it is there, and asks for nothing.
    show(&net, "none");
    net.web("web", &net.path("web"));
    let server = serve(&net, &store, &[]);
    store.queue_ok(&["retry", "--all"]);
    store.until_empty();
    server.stop();
    // One message of the three came.
    let came = || postfix.log().matches("to=<b@d.example>").count();
    until("the message at Postfix", || (came() > 0).then_some(()));
    assert_eq!(came(), 1, "{}", postfix.log());
}

#[test]
fn a_good_certificate_and_a_policy_that_is_only_tested_let_mail_pass() {
    for (certified, mode, options) in [
        ("mx.d.example", "enforce", &[][..]),
        ("other.example", "testing", &["--tls-report", "true"]),
        ("other.example", "enforce", &["--mta-sts", "false"]),
    ] {
        let Some((mut net, postfix)) = domain(certified) else {
            return;
        };
        show(&net, mode);
        net.web("web", &net.path("web"));
        let store = Store::new();
        let server = serve(&net, &store, options);
        hand_in(&net, &server, "b@d.example");
        store.until_empty();
        until("the message at Postfix", || {
            postfix.log().contains("to=<b@d.example>").then_some(())
        });
        let is_kept = store.path().join("tls/mta-sts/d.example").exists();
        assert_eq!(is_kept, !options.contains(&"--mta-sts"), "{mode}");
        server.stop();
        // What was seen is kept for the report of the day.
        let counts = fs::read_dir(store.path().join("tls/reports"));
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        assert_eq!(counts.len(), usize::from(mode == "testing"), "{counts:?}");
        for file in counts {
            let counted = fs::read_to_string(file.unwrap().path()).unwrap();
            for told in [
                "\"mode: testing\"",
                "certificate-host-mismatch",
                "\"mx.d.example\"",
            ] {
                assert!(counted.contains(told), "{counted}");
            }
        }
    }
}
