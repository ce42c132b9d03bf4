//! The conformance suite, and what only this engine promises: what a crash, a
//! full disk and damaged records leave.

use std::sync::Arc;

use slimta_core::storage::Storage;
use slimta_core::world::World;

use super::Embedded;

async fn fresh(world: World) -> (Arc<dyn Storage>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let storage = Embedded::open_with_limits(directory.path(), world, 1 << 16, 0).unwrap();
    (Arc::new(storage), directory)
}

mod conformance {
    slimta_core::storage_conformance!(super::fresh);
}
