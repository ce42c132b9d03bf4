//! A Cluster of three servers, and the conformance suite on it.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use slimta_core::storage::{Settled, StorageError};
use slimta_core::world::World;

use super::by_hand;
use super::faults::{connect, leased, removal, some_mail, stored, until_back};
use super::ports::free_port;
use super::server::{SAFE, Server};
use super::tls::encrypted;
use crate::certificates::Certificates;

const START_TIME_MAX: Duration = Duration::from_secs(30);

static RUNNING: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

#[derive(Debug)]
struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    /// The one that runs, or a new one.
    fn running() -> Arc<Self> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = running.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Cluster::start());
        *running = Arc::downgrade(&cluster);
        cluster
    }

    fn start() -> Self {
        Cluster::with(&[], |_| Vec::new())
    }

    /// With these arguments for redis-cli, and for a server on this port.
    fn with(to_create: &[&str], more: impl Fn(&str) -> Vec<String>) -> Self {
        let node = |_| {
            let bus = free_port().to_string();
            let more = more(&free_port().to_string());
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            let clustered = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            Server::start(&[&SAFE[..], &clustered[..], &more[..]].concat())
        };
        let nodes: Vec<Server> = (0..3).map(node).collect();
        let mut create = Command::new("redis-cli");
        create.args(to_create);
        create.args(["--cluster", "create", "--cluster-yes"]);
        create.args(
            nodes
                .iter()
                .map(|node| format!("127.0.0.1:{}", node.tls_or_port())),
        );
        let created = create.stdout(Stdio::null()).status().unwrap();
        assert!(created.success(), "no Cluster is made");
        let cluster = Cluster { nodes };
        cluster.wait();
        cluster
    }

    /// Until all servers agree that all are there.
    fn wait(&self) {
        let begin = Instant::now();
        let is_ok = |node: &Server| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        while !self.nodes.iter().all(is_ok) {
            assert!(
                begin.elapsed() < START_TIME_MAX,
                "the Cluster does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Which server has a key.
    fn node_of(&self, key: &str) -> usize {
        let slot: u64 = self.nodes[0]
            .cli(&["CLUSTER", "KEYSLOT", key])
            .parse()
            .unwrap();
        let here = |node: &Server| node.cli(&["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()]);
        let node = self.nodes.iter().position(|node| here(node) != "0");
        node.expect("a key of the shard")
    }
}

mod conformance {
    use super::*;

    slimta_core::storage_conformance!(async |world| {
        let cluster = Cluster::running();
        (by_hand(&cluster.nodes[0].queue(), world), cluster)
    });
}

#[tokio::test]
async fn a_queue_lies_on_all_servers() {
    let cluster = Cluster::running();
    let (url, prefix) = cluster.nodes[1].queue_with_prefix();
    let session = connect(&url).await.unwrap();
    let nodes: Vec<usize> = (0..8)
        .map(|shard| cluster.node_of(&format!("{{{prefix}:{shard}}}:shard")))
        .collect();
    for node in 0..3 {
        assert!(nodes.contains(&node), "{nodes:?}");
    }
    drop(session);
}

#[tokio::test]
async fn all_servers_are_spoken_to_over_tls() {
    let certificates = Certificates::new();
    let (root, certificate, key) = (
        certificates.file("root.pem"),
        certificates.file("server.pem"),
        certificates.file("server.key"),
    );
    let tls = [
        "--tls",
        "--cacert",
        &root,
        "--cert",
        &certificate,
        "--key",
        &key,
    ];
    let cluster = Cluster::with(&tls, |port| {
        let mut more = encrypted(&certificates, port);
        more.extend(["--tls-cluster", "yes"].map(str::to_owned));
        more
    });
    let port = cluster.nodes[0].tls_or_port();
    let url = format!("rediss://127.0.0.1:{port}?cacert={root}&cert={certificate}&key={key}");
    let session = connect(&url).await.unwrap();
    for _ in 0..24 {
        stored(&*session).await.unwrap();
    }
    assert_eq!(session.stats().await.unwrap().messages, 24);
}

#[tokio::test]
async fn one_server_of_a_cluster_that_crashes_holds_up_only_its_shards() {
    let cluster = Cluster::start();
    // Any of them may be down when it begins.
    let others = format!("127.0.0.1:{}", cluster.nodes[1].port);
    let url = format!("redis://127.0.0.1:1,{others}?prefix=crash");
    let session = connect(&url).await.unwrap();
    let mut answered = Vec::new();
    for _ in 0..24 {
        answered.push(stored(&*session).await.unwrap());
    }
    cluster.nodes[0].kill();
    let mut refused = 0;
    for _ in 0..24 {
        match stored(&*session).await {
            Ok(id) => answered.push(id),
            Err(StorageError::Unavailable(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0, "the killed server had no shard");
    cluster.nodes[0].restart();
    cluster.wait();
    until_back(async || session.stats().await).await;
    for id in answered {
        assert!(session.load(id).await.unwrap().is_some(), "{id} is lost");
    }
}

/// What is settled says so, though other shards say nothing; what lay there can
/// be settled when they are back.
#[tokio::test]
async fn settlements_on_the_other_servers_are_answered_when_one_crashes() {
    let cluster = Cluster::start();
    let session = connect(&cluster.nodes[1].queue()).await.unwrap();
    let mut batch = Vec::new();
    for _ in 0..24 {
        batch.push(removal(leased(&*session).await));
    }
    cluster.nodes[0].kill();
    let answers = session.settle(&batch).await.unwrap();
    let mut left = Vec::new();
    for (settlement, answer) in batch.into_iter().zip(&answers) {
        match answer {
            Ok(settled) => assert_eq!(*settled, Settled::Done),
            Err(StorageError::Unavailable(_)) => left.push(settlement),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(!left.is_empty() && left.len() < 24, "{answers:?}");
    cluster.nodes[0].restart();
    cluster.wait();
    for settlement in left {
        let alone = std::slice::from_ref(&settlement);
        // A connection that was not used since is found to be dead only now.
        let again = async || session.settle(alone).await?.remove(0);
        assert_eq!(until_back(again).await, Settled::Done);
    }
    assert_eq!(session.stats().await.unwrap().messages, 0);
}

#[tokio::test]
async fn a_shard_that_moves_to_another_server_is_found_there() {
    let cluster = Cluster::start();
    let (url, prefix) = cluster.nodes[0].queue_with_prefix();
    let session = connect(&format!("{url}&shards=1")).await.unwrap();
    let id = stored(&*session).await.unwrap();
    let key = format!("{{{prefix}:0}}:shard");
    let from = cluster.node_of(&key);
    let (from, to) = (&cluster.nodes[from], &cluster.nodes[(from + 1) % 3]);
    let slot = from.cli(&["CLUSTER", "KEYSLOT", &key]);
    let (from_id, to_id) = (from.cli(&["CLUSTER", "MYID"]), to.cli(&["CLUSTER", "MYID"]));
    to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
    from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
    let keys = from.cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
    let port = to.port.to_string();
    for key in keys.lines() {
        assert_eq!(
            from.cli(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]),
            "OK"
        );
    }
    // Under way, nothing is answered for, and nothing is taken for lost.
    let error = stored(&*session).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
    for node in [to, from] {
        assert_eq!(
            node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]),
            "OK"
        );
    }
    let mail = some_mail(&World::system());
    session.store(mail, None).await.unwrap();
    assert!(session.load(id).await.unwrap().is_some());
    assert_eq!(session.stats().await.unwrap().messages, 2);
}
