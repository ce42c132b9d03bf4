//! A report on TLS goes the way of all mail, to Postfix's sink as the exchanger of a
//! domain that wants it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::net::Net;
use crate::rig::{Store, postfix, until};

const RECORDS: [&str; 3] = [
    "--mx-host=d.example,mx.d.example,10",
    "--host-record=mx.d.example,127.0.0.1",
    "--txt-record=_smtp._tls.d.example,v=TLSRPTv1; rua=mailto:reports@d.example",
];

/// Counts of the day before yesterday, whose time to be told has come for certain.
fn count_for(store: &Store) -> String {
    let said = Command::new("date")
        .args(["-u", "-d", "2 days ago", "+%F %s"])
        .output();
    let said = String::from_utf8(said.unwrap().stdout).unwrap();
    let (date, seconds) = said.trim().split_once(' ').unwrap();
    let number = seconds.parse::<u64>().unwrap() / 86_400;
    let directory = store.path().join("tls/reports");
    fs::create_dir_all(&directory).unwrap();
    let counts = r#"{"policy":{"policy-type":"no-policy-found","policy-domain":"DOMAIN"},"summary":{"total-successful-session-count":3,"total-failure-session-count":0}}"#;
    let domains = ["d.example", "silent.example"].map(|domain| {
        let counts = counts.replace("DOMAIN", domain);
        format!(r#""{domain}":{{"policies":[{counts}],"sent":[]}}"#)
    });
    let file = format!(
        r#"{{"number":{number},"day":{{"domains":{{{}}}}}}}"#,
        domains.join(",")
    );
    fs::write(directory.join(format!("{date}.json")), file).unwrap();
    date.to_owned()
}

#[test]
fn a_report_goes_through_the_queue_and_is_signed() {
    let Some(mut net) = Net::new() else {
        return;
    };
    net.names(&RECORDS);
    let taken = net.path("taken");
    fs::create_dir(&taken).unwrap();
    for directory in [taken.parent().unwrap(), &taken] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let mut sink = net.command(postfix("smtp-sink"));
    let files = format!("{}/%M.", taken.display());
    sink.args(["-u", "nobody", "-d", &files, "-c", "127.0.0.1:25", "100"]);
    sink.current_dir(&taken);
    net.start(&mut sink, 25);
    let key = net.path("dkim.pem");
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "ed25519", "-out"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    let config = net.path("slimta.toml");
    let dkim = format!(
        "[dkim.\"mx.test.example\"]\nselector = \"s\"\nkey = \"{}\"\n",
        key.display()
    );
    let options = "relay = \"mx\"\ntls-report = true\norganization = \"Us\"\n";
    fs::write(&config, format!("{options}{dkim}")).unwrap();

    let store = Store::new();
    let date = count_for(&store);
    let mut command = net.command(env!("CARGO_BIN_EXE_slimta"));
    let server = store.serve_by(&mut command, &["--config", &config.display().to_string()]);
    let report = until("the report", || {
        let files = fs::read_dir(&taken).unwrap();
        let read = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        read.into_iter()
            .find(|mail| mail.contains("\n--=_") && mail.ends_with("--\n\n"))
    });
    for told in [
        "X-Mail-Args: <>",
        "X-Rcpt-Args: <reports@d.example>",
        "From: <postmaster@mx.test.example>",
        "TLS-Report-Domain: d.example",
        "TLS-Report-Submitter: mx.test.example",
        "DKIM-Signature: v=1; a=ed25519-sha256",
        "tls-report-domain:\n tls-report-submitter; bh=",
        "report-type=\"tlsrpt\"",
        "Content-Type: application/tlsrpt+gzip",
        &format!("Report-ID:\n <{date}_d.example@mx.test.example>"),
    ] {
        assert!(report.contains(told), "{told}: {report}");
    }
    store.until_empty();
    // All is told, to who asked for it; the mail itself was not counted.
    server.stop();
    let left = fs::read_dir(store.path().join("tls/reports")).unwrap();
    assert_eq!(left.count(), 0);
    assert_eq!(fs::read_dir(&taken).unwrap().count(), 1);
}
