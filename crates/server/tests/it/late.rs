//! A storage that starts later than the server, as after a reboot.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::postgres::{Server as Database, Stop};
use crate::redis_server::{SAFE, Server as Redis};
use crate::rig::{Store, free_address, run, send, slimta, stderr, until};

const WAITING: &str = "waiting for the storage, no port is open yet";

/// A server that begins while the storage is away takes mail when it is there.
#[track_caller]
fn waits(url: &str, start: impl FnOnce()) {
    let store = Store::at(url);
    let address = free_address();
    let listen = address.to_string();
    let server = thread::scope(|scope| {
        let serving = scope.spawn(|| store.serve(&["--relay", "none", "--listen", &listen]));
        until("a word about it", || {
            store.logged().contains(WAITING).then_some(())
        });
        assert!(TcpStream::connect(address).is_err(), "a port is open");
        start();
        serving.join().unwrap()
    });
    send(server.address, "sender@from.example", &["rcpt@to.example"]);
    let log = store.logged();
    assert_eq!(log.matches(WAITING).count(), 1, "{log}");
    assert!(log.contains("the storage is there"), "{log}");
    server.stop();
}

#[test]
fn a_server_waits_for_a_postgresql_that_starts_later() {
    let database = Database::with(&[]);
    database.stop(Stop::Fast);
    waits(&database.url(), || database.start());
}

#[test]
fn a_server_waits_for_a_redis_that_starts_later() {
    let redis = Redis::start(&SAFE);
    redis.kill();
    waits(&redis.url(), || redis.restart());
}

#[test]
fn a_server_that_waits_ends_when_it_is_told_to() {
    let nobody: SocketAddr = free_address();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    for scheme in ["postgres", "redis"] {
        let mut command = slimta(&["serve", "--relay", "none", "--listen", "127.0.0.1:0"]);
        command.args(["--storage", &format!("{scheme}://{nobody}")]);
        command
            .stderr(File::create(&log).unwrap())
            .stdout(Stdio::piped());
        let server = command.spawn().unwrap();
        until("a word about it", || {
            let said = std::fs::read_to_string(&log).unwrap();
            (said.contains(WAITING) && said.contains(&nobody.to_string())).then_some(())
        });
        let pid = server.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let ended = server.wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        assert!(ended.stdout.is_empty(), "{ended:?}");
    }
}

#[track_caller]
fn refused(url: &str, why: &str) -> Output {
    let listen = ["--listen", "127.0.0.1:0", "--relay", "none"];
    let output = run(&[&["serve", "--storage", url], &listen[..]].concat());
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains(why) && !told.contains("secret"), "{told}");
    output
}

#[test]
fn what_waiting_does_not_mend_ends_the_server_at_once() {
    let database = Database::with(&[]);
    let place = format!("127.0.0.1:{}", database.port());
    let rules = "'host all mail 127.0.0.1/32 scram-sha-256'), ('host all all 127.0.0.1/32 trust'";
    let file = database.sql("SHOW hba_file");
    database.sql(&format!("COPY (VALUES ({rules})) TO '{file}'"));
    database.sql("SELECT pg_reload_conf()");
    database.sql("CREATE ROLE mail LOGIN PASSWORD 'other'");
    let postgres = |user: &str, rest: &str| format!("postgres://{user}@{place}/{rest}");
    until("a password to be asked for", || {
        let url = postgres("mail:wrong", "postgres");
        database.try_sql(&url, "SELECT 1").err()
    });
    refused(&postgres("mail:secret", "postgres"), &place);
    refused(
        &postgres("mail:secret", "postgres"),
        "password authentication failed",
    );
    refused(&postgres("mail", "postgres"), "password missing");
    refused(
        &postgres("nobody:secret", "postgres"),
        "\"nobody\" does not exist",
    );
    refused(&postgres("slimta", "nowhere"), "\"nowhere\" does not exist");
    refused(&postgres("slimta", "postgres?bogus=1"), "bogus");

    let redis = Redis::start(&SAFE);
    redis.cli(&["CONFIG", "SET", "requirepass", "other"]);
    let place = format!("127.0.0.1:{}", redis.port);
    refused(&format!("redis://{place}"), "NOAUTH");
    refused(&format!("redis://:secret@{place}"), &place);
}
