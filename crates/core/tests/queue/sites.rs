//! Many destinations on the same hosts count as one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use slimta_core::bus::Client as _;
use slimta_core::message::{Destination, Report, Response};
use slimta_core::queue::{Direct, Limits, Why};
use slimta_core::relay::{Delivery, Relay};
use tokio::sync::oneshot;

use crate::rig::{Rig, Script, every, message};

const SECOND: Duration = Duration::from_secs(1);

/// The hosts of `*.big.example`, which take ten seconds for a message, or are not
/// there; all other mail is taken at once.
#[derive(Clone, Default)]
struct Hosts {
    at_once: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    is_absent: bool,
    attempts: Arc<AtomicUsize>,
    delivered: Arc<Mutex<Vec<String>>>,
}

fn is_big(destination: &Destination) -> bool {
    destination.next_hop().ends_with(".big.example")
}

#[async_trait]
impl Relay for Hosts {
    async fn attempt(&self, delivery: Delivery) -> Report {
        let destination = &delivery.message.destination;
        if is_big(destination) {
            self.attempts.fetch_add(1, Ordering::SeqCst);
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(10 * SECOND).await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            if self.is_absent {
                return Report::all(Response::transient(4, 1, "No answer"), 1);
            }
        }
        let name = destination.as_str().to_owned();
        self.delivered.lock().unwrap().push(name);
        Report::all(Response::new(250, None, "taken"), 1)
    }

    async fn site(&self, destination: &Destination) -> Option<Arc<str>> {
        is_big(destination).then(|| "mx.big.example".into())
    }
}

/// A queue with few slots before these hosts.
async fn running(hosts: &Hosts) -> (Rig, oneshot::Sender<()>) {
    let relay = Arc::new(Direct(hosts.clone()));
    let mut rig = Rig::over(Some(relay), Script::default()).await;
    let limits = Limits {
        attempts_max: 10,
        attempts_per_site_max: 3,
        attempts_per_destination_max: 3.into(),
        ..Limits::default()
    };
    let retry = every(600 * SECOND, &rig.world);
    rig.queue = rig
        .queue
        .with_limits(limits)
        .with_sites(Arc::new(hosts.clone()))
        .with_retry_algorithm(retry);
    let (stop, stopped) = oneshot::channel::<()>();
    let queue = rig.queue.clone();
    tokio::spawn(async move {
        queue.run(async { drop(stopped.await) }).await.unwrap();
    });
    (rig, stop)
}

async fn send(rig: &Rig, destination: &str) {
    let to = format!("to@{destination}");
    let sent = rig.edge.send(vec![message("from@example.com", &[&to])]);
    assert!(sent.await.unwrap()[0].is_success());
}

#[tokio::test(start_paused = true)]
async fn the_domains_of_one_site_share_its_slots_and_keep_nobody_waiting() {
    let hosts = Hosts::default();
    let (rig, _stop) = running(&hosts).await;
    for number in 0..100 {
        send(&rig, &format!("d{number}.big.example")).await;
    }
    tokio::time::sleep(5 * SECOND).await;
    send(&rig, "other.example").await;
    tokio::time::sleep(SECOND).await;
    let delivered = hosts.delivered.lock().unwrap().clone();
    assert_eq!(delivered, ["other.example"], "all slots but three are free");
    let waits = rig.queue.get_all_messages(&rig.session);
    let waits = waits.collect().await.unwrap().messages;
    let busy = |why: &Why| matches!(why, Why::SiteBusy(site, _) if **site == *"mx.big.example");
    let why: Vec<_> = waits
        .iter()
        .map(|m| rig.queue.why(&*rig.session, m))
        .collect();
    assert!(why.iter().filter(|why| busy(why)).count() > 80, "{why:?}");
    // Nothing waits for its schedule: a hundred messages, three in ten seconds.
    tokio::time::sleep(340 * SECOND).await;
    assert_eq!(rig.stored().await.len(), 0);
    assert_eq!(hosts.most.load(Ordering::SeqCst), 3);
    assert_eq!(hosts.attempts.load(Ordering::SeqCst), 100, "each once");
    assert!(!rig.events().contains(&"Deferred".to_owned()));
}

/// The first five failures count together; then the others are put off untried.
#[tokio::test(start_paused = true)]
async fn a_site_that_is_not_there_is_probed_once_for_all_its_domains() {
    let hosts = Hosts {
        is_absent: true,
        ..Hosts::default()
    };
    let (rig, _stop) = running(&hosts).await;
    for number in 0..50 {
        send(&rig, &format!("d{number}.big.example")).await;
    }
    tokio::time::sleep(100 * SECOND).await;
    let attempts = hosts.attempts.load(Ordering::SeqCst);
    assert!((5..=9).contains(&attempts), "{attempts}");
    assert_eq!(rig.stored().await.len(), 50);
    send(&rig, "other.example").await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(*hosts.delivered.lock().unwrap(), ["other.example"]);
}
