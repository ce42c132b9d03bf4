//! The benchmarks work. How fast anything is they do not judge here.

use std::path::Path;
use std::process::Command;

/// What a benchmark prints when it runs this binary.
#[track_caller]
fn bench(name: &str, args: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench");
    let mut command = Command::new("python3");
    command.arg(script.join(name)).args(args);
    command.args(["--slimta", env!("CARGO_BIN_EXE_slimta")]);
    let said = command.output().unwrap();
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{name}: {errors}");
    String::from_utf8(said.stdout).unwrap()
}

fn number(object: &str, field: &str) -> f64 {
    let object: serde_json::Value = serde_json::from_str(object).unwrap();
    object[field].as_f64().unwrap()
}

#[test]
fn a_backlog_is_measured() {
    let said = bench(
        "backlog",
        &["--messages", "1000", "--probes", "20", "--json"],
    );
    assert!(number(&said, "drain_rate") > 0.0);
}

#[test]
fn idle_clients_are_measured() {
    let args = ["--connections", "200", "--messages", "200"];
    let few = ["--probes", "20", "--rounds", "1", "--json"];
    let said = bench("idle", &[&args[..], &few].concat());
    assert!(number(&said, "with_rate") > 0.0);
    assert!(number(&said, "idle_mib") > 0.0);
}

#[test]
fn isolation_is_measured() {
    let said = bench(
        "isolation",
        &["--messages", "100", "--rounds", "1", "--json"],
    );
    for kind in ["good", "refused", "silent", "half", "drops", "slow"] {
        assert!(number(&said, kind) > 0.0, "{kind}");
    }
}

#[test]
fn many_destinations_are_measured() {
    let args = ["--destinations", "200", "--each", "2", "--json"];
    assert!(number(&bench("destinations", &args), "drain_rate") > 0.0);
}

#[test]
fn servers_are_compared() {
    let args = ["--servers", "slimta", "--messages", "100", "--rounds", "1"];
    let said = bench("compare", &[&args[..], &["--sizes", "1"]].concat());
    assert!(said.contains("messages/s"), "{said}");
}

#[test]
fn servers_that_share_a_storage_are_measured() {
    let said = bench("managers", &["--messages", "200", "--rounds", "1"]);
    assert!(said.contains("of one"), "{said}");
}

#[test]
fn encryption_is_measured() {
    let said = bench(
        "tls",
        &["--messages", "200", "--rounds", "1", "--sizes", "1"],
    );
    let rows = said.lines().filter(|line| line.starts_with("   1  "));
    assert_eq!(rows.count(), 4, "{said}");
}
