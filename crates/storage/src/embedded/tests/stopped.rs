//! A queue over a store that has failed to write: it delivers nothing that it
//! cannot record, and ends, so that the store can be opened anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use slimta_core::message::{Report, Response};
use slimta_core::queue::{Direct, Queue, QueueError};
use slimta_core::relay::{Delivery, Relay};
use slimta_core::storage::{Storage, StorageError};

use super::disk::{Fault, SimDisk};
use super::{LIMITS, mail, world};
use crate::embedded::Embedded;

/// Takes everything; the disk fails from the first delivery on.
#[derive(Clone)]
struct Last {
    disk: Arc<SimDisk>,
    deliveries: Arc<AtomicUsize>,
}

#[async_trait]
impl Relay for Last {
    async fn attempt(&self, _: Delivery) -> Report {
        self.disk.fail(Fault::Once(1));
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        Report::all(Response::success(6, 0, "taken"), 1)
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_twice_for_want_of_a_record() {
    let world = world();
    let disk = Arc::new(SimDisk::default());
    let store = Arc::new(Embedded::on(disk.clone(), world.clone(), LIMITS).unwrap());
    let session = store.connect().await.unwrap();
    let new = || mail(&world, &["a.example"], b"hello\r\n".to_vec());
    session.store(new(), None).await.unwrap();
    // Due when nothing can be written any more.
    let mut later = new();
    later.messages[0].due = world.now().after(Duration::from_secs(600));
    session.store(later, None).await.unwrap();
    let deliveries: Arc<AtomicUsize> = Arc::default();
    let relay = Last {
        disk,
        deliveries: deliveries.clone(),
    };
    let queue = Queue::new(None, Some(Arc::new(Direct(relay))), store).with_world(world);
    let running = queue.run(std::future::pending());
    // A lease lasts two minutes.
    let ended = tokio::time::timeout(Duration::from_secs(3600), running).await;
    assert_eq!(deliveries.load(Ordering::Relaxed), 1);
    let ended = ended.expect("it goes on over a store that cannot write");
    assert!(
        matches!(ended, Err(QueueError::Storage(StorageError::Poisoned(_)))),
        "{ended:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_hears_at_once_that_its_storage_has_stopped_writing() {
    for relays in [false, true] {
        let world = world();
        let disk = Arc::new(SimDisk::default());
        let store = Arc::new(Embedded::on(disk.clone(), world.clone(), LIMITS).unwrap());
        let session = store.connect().await.unwrap();
        let relay = relays.then(|| {
            let relay = Last {
                disk: disk.clone(),
                deliveries: Arc::default(),
            };
            Arc::new(Direct(relay)) as Arc<_>
        });
        let queue = Queue::new(None, relay, store).with_world(world.clone());
        let running = tokio::spawn(async move { queue.run(std::future::pending()).await });
        // It has found nothing to do, and waits.
        tokio::time::sleep(Duration::from_secs(1)).await;
        disk.fail(Fault::Once(1));
        let stored = session
            .store(mail(&world, &["a.example"], b"hello\r\n".to_vec()), None)
            .await;
        assert!(matches!(stored, Err(StorageError::Poisoned(_))));
        // Well before it would look again of its own.
        let ended = tokio::time::timeout(Duration::from_secs(1), running).await;
        let ended = ended.expect("it has heard nothing").unwrap();
        assert!(
            matches!(ended, Err(QueueError::Storage(StorageError::Poisoned(_)))),
            "{ended:?}"
        );
    }
}
