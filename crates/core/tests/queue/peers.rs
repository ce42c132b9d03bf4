//! Managers that share a storage share its work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use slimta_core::bus::Client as _;
use slimta_core::queue::{Direct, Queue};
use slimta_core::storage::{Memory, Session, Storage};
use slimta_core::world::World;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::rig::{START, Script, message};

const SECOND: Duration = Duration::from_secs(1);
const DESTINATIONS: usize = 40;

/// A manager that runs, and what its relay was given.
struct Manager {
    relay: Script,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Manager {
    fn start(storage: &Arc<Memory>, world: &World) -> Manager {
        let relay = Script::default();
        let (stop, stopped) = oneshot::channel::<()>();
        let queue = Queue::new(None, Some(Arc::new(Direct(relay.clone()))), storage.clone())
            .with_world(world.clone());
        let running = tokio::spawn(async move {
            queue.run(async { drop(stopped.await) }).await.unwrap();
        });
        Manager {
            relay,
            stop,
            running,
        }
    }

    fn destinations(&self) -> BTreeSet<String> {
        let deliveries = self.relay.deliveries();
        let destinations = deliveries.iter().map(|d| d.message.destination.to_string());
        destinations.collect()
    }
}

struct Stage {
    world: World,
    storage: Arc<Memory>,
    session: Arc<dyn Session>,
}

impl Stage {
    async fn new() -> Stage {
        let world = World::simulated(START, 9);
        let storage = Arc::new(Memory::new(world.clone()));
        let session = storage.connect().await.unwrap();
        Stage {
            world,
            storage,
            session,
        }
    }

    /// Stores a message for each destination, as an edge beside would.
    async fn store(&self) {
        let (server, edge) = slimta_core::bus::local(1);
        let queue = Queue::new(Some(Arc::new(server)), None, self.storage.clone())
            .with_world(self.world.clone());
        let to = (0..DESTINATIONS).map(|n| format!("to@{n}.example"));
        let to: Vec<_> = to.collect();
        let to: Vec<_> = to.iter().map(String::as_str).collect();
        let messages = vec![message("from@example.com", &to)];
        let asking = tokio::spawn(async move { edge.send(messages).await });
        queue.accept().await.unwrap().run().await;
        asking.await.unwrap().unwrap();
    }

    /// Waits until all is delivered; gives how long that took.
    async fn drained(&self) -> Duration {
        let began = self.world.monotonic();
        while self.session.stats().await.unwrap().messages > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.world.monotonic() - began
    }
}

#[tokio::test(start_paused = true)]
async fn each_destination_has_one_manager_until_that_is_gone() {
    let stage = Stage::new().await;
    let managers = [(); 3].map(|()| Manager::start(&stage.storage, &stage.world));
    // Everybody has heard of everybody.
    tokio::time::sleep(10 * SECOND).await;
    for _ in 0..3 {
        stage.store().await;
        stage.drained().await;
    }
    let shares: Vec<_> = managers.iter().map(Manager::destinations).collect();
    let all: BTreeSet<_> = shares.iter().flatten().collect();
    let count: usize = shares.iter().map(BTreeSet::len).sum();
    assert_eq!((all.len(), count), (DESTINATIONS, DESTINATIONS));
    assert!(shares.iter().all(|share| !share.is_empty()), "{shares:?}");

    let [stopped, killed, _last] = managers;
    killed.running.abort();
    stage.store().await;
    let late = stage.drained().await;
    assert!(
        late <= 3 * SECOND,
        "nobody looked after the dead one's: {late:?}"
    );

    stopped.stop.send(()).unwrap();
    stopped.running.await.unwrap();
    stage.store().await;
    let late = stage.drained().await;
    assert!(late <= 3 * SECOND, "nobody took over: {late:?}");
}
