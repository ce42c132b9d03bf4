//! Room in memory for the contents of large messages.
//!
//! Small messages are bounded by their number. Those that are not small have
//! their bytes counted, and wait for room before their contents are read; one
//! destination may have a quarter of it, so that a slow one leaves some to the
//! others.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Contents up to this many bytes are not counted.
const SMALL_BYTES: u64 = 32 << 10;
/// What is counted.
const UNIT_BYTES: u64 = 1 << 10;
/// So many destinations at least can have what they may have at once.
const SHARES: usize = 4;

/// Whether contents of so many bytes may be in memory without being counted.
pub(super) fn is_small(bytes: u64) -> bool {
    bytes <= SMALL_BYTES
}

/// The room that all destinations share.
#[derive(Debug)]
pub(super) struct Room {
    all: Arc<Semaphore>,
    /// What one destination may have, in units.
    share: usize,
}

/// The room of one destination.
#[derive(Clone, Debug)]
pub(super) struct Share {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
    units: usize,
}

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    _own: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        let units = bytes / UNIT_BYTES as usize;
        let units = units.clamp(SHARES, u32::MAX as usize);
        Room {
            all: Arc::new(Semaphore::new(units)),
            share: units / SHARES,
        }
    }

    pub(super) fn share(&self) -> Share {
        Share {
            all: self.all.clone(),
            own: Arc::new(Semaphore::new(self.share)),
            units: self.share,
        }
    }
}

impl Share {
    /// Waits for room for so many bytes; what is larger than the share counts as
    /// the share. None if it is small. The semaphores are never closed.
    pub(super) async fn take(&self, bytes: u64) -> Option<Taken> {
        if is_small(bytes) {
            return None;
        }
        let units = usize::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(usize::MAX);
        let units = u32::try_from(units.min(self.units)).unwrap_or(u32::MAX);
        let own = self.own.clone().acquire_many_owned(units).await.ok();
        let all = self.all.clone().acquire_many_owned(units).await.ok();
        Some(Taken {
            _own: own,
            _all: all,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    const MIB: u64 = 1 << 20;

    fn take(share: &Share, bytes: u64) -> Option<Option<Taken>> {
        share.take(bytes).now_or_never()
    }

    #[test]
    fn one_destination_leaves_room_to_the_others() {
        let room = Room::new(8 << 20);
        let (slow, other) = (room.share(), room.share());
        let first = take(&slow, 2 * MIB).unwrap();
        assert!(first.is_some());
        assert!(take(&slow, MIB).is_none(), "it has its share");
        assert!(take(&slow, 1000).unwrap().is_none(), "small ones go on");
        let huge = take(&other, 500 * MIB).unwrap();
        assert!(huge.is_some(), "what is larger than the share counts as it");
        drop(first);
        assert!(take(&slow, MIB).unwrap().is_some());
    }

    #[test]
    fn all_together_have_no_more_than_there_is() {
        let room = Room::new(8 << 20);
        let shares: Vec<_> = (0..5).map(|_| room.share()).collect();
        let taken: Vec<_> = shares.iter().map(|share| take(share, 2 * MIB)).collect();
        let sizes: Vec<_> = taken.iter().map(Option::is_some).collect();
        assert_eq!(sizes, [true, true, true, true, false]);
    }
}
