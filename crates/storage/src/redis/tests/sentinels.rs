//! A primary with a replica, and sentinels that make the one of the other.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use slimta_core::message::Destination;
use slimta_core::storage::{Page, StorageError};
use slimta_core::world::World;
use tempfile::TempDir;

use super::faults::{connect, stored, until_back};
use super::ports::free_port;
use super::server::{SAFE, Server};
use super::tls::encrypted;
use crate::certificates::Certificates;

const LEASE: Duration = Duration::from_secs(600);

struct Sentinel {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl Sentinel {
    /// Looks after the primary on a port, with more lines of configuration.
    fn start(primary: &str, quorum: usize, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let lines = format!(
            "{more}\nbind 127.0.0.1\ndir {}\n\
             sentinel monitor mail 127.0.0.1 {primary} {quorum}\n\
             sentinel down-after-milliseconds mail 1000\n\
             sentinel failover-timeout mail 5000\n",
            directory.path().display(),
        );
        let lines = lines.replace("PORT", &port.to_string());
        let file = directory.path().join("sentinel.conf");
        std::fs::write(&file, lines).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Sentinel {
            process: command.spawn().unwrap(),
            port,
            _directory: directory,
        }
    }

    fn cli(&self, command: &str) -> String {
        let port = self.port.to_string();
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &port]).args(command.split(' '));
        let output = cli.stderr(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What Sentinel is for.
struct Watched {
    primary: Server,
    replica: Server,
    sentinels: Vec<Sentinel>,
}

impl Watched {
    /// When the sentinels know the replica and each other.
    async fn start() -> Self {
        let primary = Server::start(&SAFE);
        let port = primary.port.to_string();
        let replicates = ["--replicaof", "127.0.0.1", &port];
        let replica = Server::start(&[&SAFE[..], &replicates[..]].concat());
        let sentinel = |_| Sentinel::start(&port, 2, "port PORT");
        let watched = Watched {
            primary,
            replica,
            sentinels: (0..3).map(sentinel).collect(),
        };
        until(|| {
            watched.sentinels.iter().all(|sentinel| {
                let known = sentinel.cli("SENTINEL MASTER mail");
                known.contains("num-slaves\n1\n") && known.contains("num-other-sentinels\n2\n")
            })
        })
        .await;
        watched
    }

    /// The first sentinel of the URL is not there.
    fn url(&self) -> String {
        let ports = self.sentinels.iter().map(|sentinel| sentinel.port);
        let hosts: Vec<String> = ports.map(|port| format!("127.0.0.1:{port}")).collect();
        let hosts = hosts.join(",");
        format!("redis+sentinel://127.0.0.1:1,{hosts}/mail?allow_lossy=true")
    }
}

/// Waits until something is so.
async fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        World::system().sleep(Duration::from_millis(50)).await;
    }
    panic!("it never is so");
}

#[tokio::test]
async fn a_failover_is_followed() {
    let watched = Watched::start().await;
    let session = connect(&watched.url()).await.unwrap();
    let mut answered = Vec::new();
    for _ in 0..20 {
        answered.push(stored(&*session).await.unwrap());
    }
    let destination = Destination::new("a.example");
    let held = session.claim(&destination, 5, LEASE).await.unwrap();
    let seen = session.changed(0).await.unwrap();
    assert_eq!(watched.primary.cli(&["WAIT", "1", "10000"]), "1");
    watched.primary.kill();
    let error = stored(&*session).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
    answered.push(until_back(async || stored(&*session).await).await);
    assert!(watched.replica.cli(&["INFO"]).contains("role:master"));
    for id in &answered {
        assert!(session.load(*id).await.unwrap().is_some(), "{id} is lost");
    }
    // Leases hold, what others store is heard of again, and who begins now
    // comes to the same place.
    let left = session.claim(&destination, 100, LEASE).await.unwrap();
    assert_eq!(left.len() + held.len(), answered.len());
    session.changed(seen).await.unwrap();
    let other = connect(&watched.url()).await.unwrap();
    let listing = other.list(&Default::default(), Page::first(100)).await;
    assert_eq!(listing.unwrap().messages.len(), answered.len());
    // One that comes back is a replica, and nobody minds.
    watched.primary.restart();
    until(|| watched.primary.cli(&["INFO"]).contains("role:slave")).await;
    stored(&*session).await.unwrap();
}

/// The operator took that into account, and is told nevertheless.
#[tokio::test]
async fn a_failover_that_lost_mail_stops_everything() {
    let watched = Watched::start().await;
    let session = connect(&watched.url()).await.unwrap();
    until_back(async || stored(&*session).await).await;
    assert_eq!(watched.primary.cli(&["WAIT", "1", "10000"]), "1");
    // From now on the replica gets nothing.
    let deaf = ["ACL", "SETUSER", "default", "-psync", "-sync"];
    assert_eq!(watched.primary.cli(&deaf), "OK");
    assert_eq!(
        watched.primary.cli(&["CLIENT", "KILL", "TYPE", "replica"]),
        "1"
    );
    // On a busy machine the answer may come too late.
    until_back(async || stored(&*session).await).await;
    watched.primary.kill();
    for _ in 0..600 {
        match stored(&*session).await {
            Err(StorageError::Poisoned(why)) => {
                assert!(why.contains("back in time"), "{why}");
                return;
            }
            Err(StorageError::Unavailable(_)) => {}
            other => panic!("{other:?}"),
        }
        World::system().sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody notices");
}

/// A planned one: the former primary is there all the time.
#[tokio::test]
async fn a_planned_failover_is_followed() {
    let watched = Watched::start().await;
    let session = connect(&watched.url()).await.unwrap();
    let id = stored(&*session).await.unwrap();
    assert_eq!(watched.primary.cli(&["WAIT", "1", "10000"]), "1");
    let begun = watched.sentinels[0].cli("SENTINEL FAILOVER mail");
    assert_eq!(begun.trim(), "OK");
    until(|| watched.primary.cli(&["INFO"]).contains("role:slave")).await;
    until_back(async || stored(&*session).await).await;
    assert!(session.load(id).await.unwrap().is_some());
    assert!(watched.replica.cli(&["INFO"]).contains("role:master"));
}

#[tokio::test]
async fn sentinels_that_do_not_know_the_primary_say_so() {
    let primary = Server::start(&SAFE);
    let sentinel = Sentinel::start(&primary.port.to_string(), 1, "port PORT");
    let url = |master: &str| {
        let port = sentinel.port;
        format!("redis+sentinel://127.0.0.1:{port}/{master}?allow_lossy=true")
    };
    until_back(async || connect(&url("mail")).await).await;
    let error = connect(&url("other")).await.unwrap_err().to_string();
    assert!(
        error.contains("name no primary") && error.contains("/other"),
        "{error}"
    );
}

#[tokio::test]
async fn sentinels_and_servers_are_spoken_to_over_tls_and_may_want_passwords() {
    let certificates = Certificates::new();
    let tls = encrypted(&certificates, &free_port().to_string());
    let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
    let more = ["--tls-auth-clients", "no"];
    let primary = Server::start(&[&SAFE[..], &tls[..], &more[..]].concat());
    let lines: Vec<String> = encrypted(&certificates, "PORT")
        .chunks(2)
        .map(|pair| format!("{} {}\n", pair[0].trim_start_matches('-'), pair[1]))
        .collect();
    let lines =
        lines.concat() + "tls-auth-clients no\ntls-replication yes\nport 0\nrequirepass s/t\n";
    let sentinel = Sentinel::start(&primary.tls_or_port(), 1, &lines);
    let url = format!(
        "rediss+sentinel://127.0.0.1:{}/mail?allow_lossy=true&sentinel_auth=:s%2Ft",
        sentinel.port
    );
    let root = certificates.file("root.pem");
    let url_with_root = format!("{url}&cacert={root}");
    let session = until_back(async || connect(&url_with_root).await).await;
    stored(&*session).await.unwrap();
    let error = connect(&url).await.unwrap_err();
    assert!(matches!(error, StorageError::Open { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("name the file of that root as cacert"),
        "{error}"
    );
}
