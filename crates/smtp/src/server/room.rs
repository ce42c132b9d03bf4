//! How much memory messages may take while they are received, over all
//! sessions: a client cannot make a server keep more by opening more of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number of bytes that sessions share. Clones are the same room.
#[derive(Clone, Debug)]
pub struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes_max: u64,
    used: AtomicU64,
}

impl Room {
    /// Room for `bytes_max` bytes of messages at once.
    pub fn new(bytes_max: u64) -> Self {
        let used = AtomicU64::new(0);
        Room(Arc::new(Shared { bytes_max, used }))
    }

    /// How many bytes are taken now.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// How many bytes are free now.
    pub fn left(&self) -> u64 {
        self.0.bytes_max.saturating_sub(self.used())
    }

    /// A part of the room, empty at first.
    pub(super) fn share(&self) -> Share {
        Share {
            room: self.clone(),
            bytes: 0,
        }
    }
}

/// One message's part of the room; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    room: Room,
    bytes: u64,
}

impl Share {
    /// Makes it at least `bytes` large, or says that there is no room.
    #[must_use]
    pub(super) fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let shared = &self.room.0;
        // Nothing is read on the strength of the count, so no order is needed.
        let grown = shared
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(more)
                    .filter(|used| *used <= shared.bytes_max)
            });
        if grown.is_ok() {
            self.bytes += more;
        }
        grown.is_ok()
    }

    /// Gives all of it back.
    pub(super) fn clear(&mut self) {
        self.room.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_their_room_and_give_it_back() {
        let room = Room::new(10);
        let (mut a, mut b) = (room.share(), room.share());
        assert!(a.grow_to(6) && a.grow_to(3));
        assert!(!b.grow_to(5) && b.grow_to(4));
        assert!(!a.grow_to(u64::MAX));
        assert_eq!((room.used(), room.left()), (10, 0));
        drop(a);
        assert_eq!(room.left(), 6);
        b.clear();
        assert_eq!(room.left(), 10);
    }
}
