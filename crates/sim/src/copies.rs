//! What clients handed in, copy by copy: who hears no 250 sends again, and then
//! both copies may arrive (window W1).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The copies of one run, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copies(Arc<Mutex<BTreeMap<usize, Copy>>>);

#[derive(Debug)]
struct Copy {
    /// The number of the first copy of the same message.
    mark: usize,
    /// Its client broke off before the end of the contents.
    is_half: bool,
    is_stored: bool,
    /// The queue knows that it is stored.
    is_known: bool,
}

impl Copies {
    fn map(&self) -> MutexGuard<'_, BTreeMap<usize, Copy>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client begins to hand a message in; gives the number of the copy.
    /// `mark` is that of the first one, if there was one.
    pub(crate) fn begin(&self, mark: Option<usize>) -> usize {
        self.add(mark, false)
    }

    /// A client begins what it will never end.
    pub(crate) fn begin_half(&self) -> usize {
        self.add(None, true)
    }

    fn add(&self, mark: Option<usize>, is_half: bool) -> usize {
        let mut map = self.map();
        let number = map.len();
        let copy = Copy {
            mark: mark.unwrap_or(number),
            is_half,
            is_stored: false,
            is_known: false,
        };
        map.insert(number, copy);
        number
    }

    /// A copy is about to be stored: it must have come whole.
    pub(crate) fn is_whole(&self, number: usize) -> bool {
        self.map().get(&number).is_some_and(|copy| !copy.is_half)
    }

    /// A copy was stored in a commit.
    pub(crate) fn stored(&self, number: usize) {
        if let Some(copy) = self.map().get_mut(&number) {
            copy.is_stored = true;
        }
    }

    /// The queue was told that it was.
    pub(crate) fn known(&self, number: usize) {
        if let Some(copy) = self.map().get_mut(&number) {
            copy.is_known = true;
        }
    }

    /// Whether the queue knows that it is stored.
    pub(crate) fn is_known(&self, number: usize) -> bool {
        self.map().get(&number).is_some_and(|copy| copy.is_known)
    }

    /// How many copies were stored beyond the first of their message.
    pub(crate) fn surplus(&self) -> u64 {
        let map = self.map();
        let mut stored = BTreeMap::<usize, u64>::new();
        for copy in map.values().filter(|copy| copy.is_stored) {
            *stored.entry(copy.mark).or_default() += 1;
        }
        stored.values().map(|copies| copies - 1).sum()
    }
}
