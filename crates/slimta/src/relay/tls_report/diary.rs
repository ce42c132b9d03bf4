//! What was counted, by day: in memory, and in a directory over restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::counts::{Counted, Day, FailureTold, PolicyTold};
use super::report::{DAY_SECONDS, date};
use crate::relay::whole_file;
use crate::world::{Timestamp, World};

/// Reports go out at a moment within so many seconds after midnight, so that those
/// of all hosts do not come at once.
const JITTER_SECONDS: u64 = 4 * 3_600;
/// On how many days after it a day is told, where it cannot be told before.
const DAYS_MAX: i64 = 2;
/// A file larger than this is none of a day.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Days of which nothing, or not all, was told yet.
pub(super) struct Diary {
    world: World,
    /// None to forget all at the end of the process.
    directory: Option<PathBuf>,
    /// A std mutex: held to count, or to copy a day.
    days: Mutex<Days>,
}

#[derive(Default)]
struct Days {
    /// By days since the epoch.
    days: BTreeMap<i64, Day>,
    /// Those that are not on the disk as they are.
    changed: BTreeSet<i64>,
    /// When those that are over are told.
    sending: BTreeMap<i64, Timestamp>,
}

/// The directory of counts cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the directory {place} for reports on TLS cannot be used: {error}")]
pub struct ReportsError {
    place: String,
    error: io::Error,
}

impl Diary {
    pub(super) fn new(world: World) -> Self {
        Diary {
            world,
            directory: None,
            days: Mutex::default(),
        }
    }

    pub(super) fn open(directory: &Path, world: World) -> Result<Self, ReportsError> {
        let days = read(directory).map_err(|error| ReportsError {
            place: directory.display().to_string(),
            error,
        })?;
        let days = Days {
            days,
            ..Days::default()
        };
        Ok(Diary {
            directory: Some(directory.to_owned()),
            days: Mutex::new(days),
            ..Diary::new(world)
        })
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    fn days(&self) -> MutexGuard<'_, Days> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn today(&self) -> i64 {
        self.world.now().as_secs().div_euclid(DAY_SECONDS)
    }

    pub(super) fn count(&self, policy: PolicyTold, failure: Option<FailureTold>) {
        let today = self.today();
        let mut days = self.days();
        days.days.entry(today).or_default().count(policy, failure);
        days.changed.insert(today);
    }

    /// A day that is over and to be told now. What could not be told for long is
    /// forgotten.
    pub(super) fn due(&self) -> Option<i64> {
        let (today, now) = (self.today(), self.world.now());
        let mut days = self.days();
        let over: Vec<_> = days.days.range(..today).map(|(day, _)| *day).collect();
        for day in over {
            if today - day > DAYS_MAX {
                days.forget(day);
                continue;
            }
            let midnight = Timestamp::from_secs((day + 1).saturating_mul(DAY_SECONDS));
            let chance = self.world.random_u64() % (JITTER_SECONDS * 1_000);
            let moment = midnight.after(std::time::Duration::from_millis(chance));
            if now >= *days.sending.entry(day).or_insert(moment) {
                return Some(day);
            }
        }
        None
    }

    /// The domains of a day that are still to be told.
    pub(super) fn domains(&self, day: i64) -> Vec<String> {
        let days = self.days();
        let domains = days.days.get(&day).map(|day| day.domains.keys().cloned());
        domains.into_iter().flatten().collect()
    }

    pub(super) fn counted(&self, day: i64, domain: &str) -> Option<Counted> {
        self.days().days.get(&day)?.domains.get(domain).cloned()
    }

    /// The report on a domain has gone to a place.
    pub(super) fn note_sent(&self, day: i64, domain: &str, place: &str) {
        let mut days = self.days();
        let domains = days.days.get_mut(&day).map(|day| &mut day.domains);
        if let Some(counted) = domains.and_then(|domains| domains.get_mut(domain)) {
            counted.sent.push(place.to_owned());
            days.changed.insert(day);
        }
    }

    /// All is told of a domain.
    pub(super) fn forget(&self, day: i64, domain: &str) {
        let mut days = self.days();
        if let Some(counted) = days.days.get_mut(&day) {
            counted.domains.remove(domain);
            if counted.domains.is_empty() {
                days.forget(day);
            } else {
                days.changed.insert(day);
            }
        }
    }

    /// Something could not be told yet: it is tried again then.
    pub(super) fn put_off(&self, day: i64, until: Timestamp) {
        self.days().sending.insert(day, until);
    }

    /// Writes what has changed. What a disk cannot do is only told.
    pub(super) async fn save(&self) {
        let changed = {
            let mut days = self.days();
            let changed = std::mem::take(&mut days.changed);
            let copy = |day| (day, days.days.get(&day).cloned());
            changed.into_iter().map(copy).collect::<Vec<_>>()
        };
        let Some(directory) = self.directory.clone().filter(|_| !changed.is_empty()) else {
            return;
        };
        let again: Vec<_> = changed.iter().map(|(day, _)| *day).collect();
        let saving = tokio::task::spawn_blocking(move || write(&directory, changed));
        if let Ok(Err(error)) = saving.await {
            tracing::warn!(%error, "counts for reports on TLS are not kept over a restart");
            self.days().changed.extend(again);
        }
    }
}

impl Days {
    fn forget(&mut self, day: i64) {
        self.days.remove(&day);
        self.sending.remove(&day);
        self.changed.insert(day);
    }
}

fn name(day: i64) -> String {
    format!("{}.json", date(day))
}

fn write(directory: &Path, days: Vec<(i64, Option<Day>)>) -> io::Result<()> {
    for (number, day) in days {
        match day {
            Some(day) => {
                let bytes = serde_json::to_vec(&Kept { number, day })?;
                whole_file::replace(directory, &name(number), &bytes)?;
            }
            None => match fs::remove_file(directory.join(name(number))) {
                // It was told before it was written.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            },
        }
    }
    Ok(())
}

/// What a file holds.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    /// The day, in days since the epoch.
    number: i64,
    day: Day,
}

fn read(directory: &Path) -> io::Result<BTreeMap<i64, Day>> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let mut days = BTreeMap::new();
    for file in fs::read_dir(directory)? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let is_small = fs::metadata(&path)?.len() <= FILE_BYTES_MAX;
        let bytes = if is_small {
            fs::read(&path)?
        } else {
            Vec::new()
        };
        match serde_json::from_slice(&bytes) {
            Ok(Kept { number, day }) => drop(days.insert(number, day)),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a file of counts for reports on TLS cannot be read");
            }
        }
    }
    Ok(days)
}
