//! REQUIRETLS over the internet in small: dnsmasq names things and signs nothing,
//! Python shows a policy, OpenSSL hands mail in, and a second server takes it at
//! port 25.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;

use crate::net::Net;
use crate::rig::{Server, Store, stderr, stdout, text, until};

/// Two domains with the same exchanger; the policy of one names it.
const RECORDS: [&str; 5] = [
    "--mx-host=d.example,mx.d.example,10",
    "--mx-host=e.example,mx.d.example,10",
    "--host-record=mx.d.example,127.0.0.1",
    "--host-record=mta-sts.d.example,127.0.0.1",
    "--txt-record=_mta-sts.d.example,v=STSv1; id=1;",
];

fn serve(net: &Net, store: &Store, options: &[&str]) -> Server {
    let [root, chain, key] =
        ["root.pem", "host.pem", "host.key"].map(|file| net.path(file).display().to_string());
    let tls = [
        "--tls-roots",
        &root,
        "--tls-certificate",
        &chain,
        "--tls-key",
        &key,
    ];
    let mut command = net.command(env!("CARGO_BIN_EXE_slimta"));
    store.serve_by(&mut command, &[&tls, options].concat())
}

/// Hands in a message from a user of d.example that requires TLS.
#[track_caller]
fn hand_in(net: &Net, server: SocketAddr, to: &str) {
    let said = format!(
        "EHLO c\nMAIL FROM:<a@d.example> REQUIRETLS\nRCPT TO:<{to}>\nDATA\n\
         Subject: A test\n\nA secret.\n.\nQUIT\n"
    );
    let mut openssl = net.command("openssl");
    openssl.args(["s_client", "-quiet", "-crlf", "-starttls", "smtp"]);
    openssl.args(["-connect", &server.to_string()]);
    let streams = openssl.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = streams.stderr(Stdio::piped()).spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all(said.as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    drop(input);
    assert!(
        stdout(&output).contains("250 2.6.0 Message queued"),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
}

#[test]
fn an_exchanger_that_nobody_vouches_for_gets_no_mail_that_requires_tls() {
    let Some(mut net) = Net::new() else {
        return;
    };
    net.certificate("web", &["mta-sts.d.example"]);
    net.certificate("host", &["mx.d.example"]);
    net.names(&RECORDS);
    let policy = net.path("web/.well-known");
    fs::create_dir_all(&policy).unwrap();
    let said = "version: STSv1\r\nmode: enforce\r\nmx: mx.d.example\r\nmax_age: 604800\r\n";
    fs::write(policy.join("mta-sts.txt"), said).unwrap();
    net.web("web", &net.path("web"));
    let (end, way) = (Store::new(), Store::new());
    let last = serve(&net, &end, &["--relay", "none", "--listen", "127.0.0.1:25"]);
    net.until_open(25);
    let first = serve(&net, &way, &["--relay", "mx"]);

    hand_in(&net, first.address, "b@d.example");
    let arrived = end.until_list("the message", |list| list.first().cloned());
    assert_eq!(text(&arrived, "sender"), "a@d.example");
    assert_eq!(arrived["requires_tls"], true);

    hand_in(&net, first.address, "b@e.example");
    // The report on it has a way back.
    let report = end.until_list("the report", |list| list.get(1).cloned());
    assert_eq!(text(&report, "sender"), "");
    assert_eq!(report["requires_tls"], true);
    let why = "550 5.7.10 Encryption needed (REQUIRETLS): neither DNSSEC nor a policy (MTA-STS) \
               says that mx.d.example takes its mail";
    until("the reason in the log", || {
        way.logged().contains(why).then_some(())
    });
    way.until_empty();
    assert_eq!(end.list().len(), 2);
    first.stop();
    last.stop();
}
