//! The policies that are kept: in memory, and in a directory over restarts.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use super::kept::Kept;
use super::policy::is_host_name;
use crate::relay::whole_file;
use crate::world::Timestamp;

/// Most policies that are kept.
const POLICIES_MAX: usize = 10_000;
/// Most bytes of them, as files hold them.
const BYTES_MAX: usize = 32 << 20;
/// A file larger than this holds no policy.
const FILE_BYTES_MAX: u64 = 128 << 10;

/// Policies by domain, in ASCII and lower case.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// One file a domain; none to forget all at the end of the process.
    directory: Option<PathBuf>,
    /// A std mutex: held to look one up or to count them.
    stock: Mutex<Stock>,
}

#[derive(Debug, Default)]
struct Stock {
    policies: BTreeMap<String, Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    kept: Arc<Kept>,
    used: Timestamp,
    bytes: usize,
}

impl Shelf {
    /// Opens the directory, which is made if it is not there, and reads what still
    /// holds of it. Blocks.
    pub(super) fn open(directory: &Path, now: Timestamp) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let mut stock = Stock::default();
        for file in fs::read_dir(directory)? {
            let file = file?;
            let name = file.file_name();
            let Some(domain) = name.to_str().filter(|name| is_host_name(name)) else {
                continue;
            };
            match read(&file.path(), now) {
                Some(kept) if kept.holds(now) => drop(stock.put(domain, Arc::new(kept))),
                Some(_) => fs::remove_file(file.path())?,
                None => {
                    let file = file.path();
                    tracing::warn!(file = %file.display(), "a file of MTA-STS holds no policy");
                }
            }
        }
        Ok(Shelf {
            directory: Some(directory.to_owned()),
            stock: Mutex::new(stock),
        })
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The policy of a domain, if one is kept that holds; it is used now.
    pub(super) fn take_down(&self, domain: &str, now: Timestamp) -> Option<Arc<Kept>> {
        let mut stock = self.stock();
        let entry = stock.policies.get_mut(domain)?;
        entry.used = entry.used.max(now);
        entry.kept.holds(now).then(|| entry.kept.clone())
    }

    /// The same, only to look at it.
    pub(super) fn look_at(&self, domain: &str, now: Timestamp) -> Option<Arc<Kept>> {
        let stock = self.stock();
        let kept = &stock.policies.get(domain)?.kept;
        kept.holds(now).then(|| kept.clone())
    }

    /// Keeps a policy in the place of the one before, and those that were not used
    /// for longest no more if there are too many.
    pub(super) async fn put(self: &Arc<Self>, domain: &str, kept: Arc<Kept>) {
        let gone = self.stock().put(domain, kept.clone());
        self.on_disk(domain, gone, move |directory, name| {
            whole_file::replace(directory, name, kept.write().as_bytes())
        })
        .await;
    }

    /// The domains whose policies should be fetched again, each with when it was
    /// used. What holds no more is forgotten.
    pub(super) async fn due(self: &Arc<Self>, now: Timestamp) -> Vec<(String, Timestamp)> {
        let (due, over) = {
            let mut stock = self.stock();
            let over = stock
                .policies
                .iter()
                .filter(|(_, entry)| !entry.kept.holds(now));
            let over: Vec<_> = over.map(|(domain, _)| domain.clone()).collect();
            for domain in &over {
                stock.forget(domain);
            }
            let due = stock.policies.iter().filter(|(_, entry)| {
                let used = entry.used;
                Kept {
                    used,
                    ..(*entry.kept).clone()
                }
                .is_due(now)
            });
            let due = due.map(|(domain, entry)| (domain.clone(), entry.used));
            (due.collect(), over)
        };
        self.on_disk("", over, |_, _| Ok(())).await;
        due
    }

    /// Removes the files of what is gone, and does something to that of `domain`.
    /// What a disk cannot do is only told: the policies are in memory.
    async fn on_disk(
        self: &Arc<Self>,
        domain: &str,
        gone: Vec<String>,
        change: impl FnOnce(&Path, &str) -> io::Result<()> + Send + 'static,
    ) {
        let Some(directory) = self.directory.clone() else {
            return;
        };
        let domain = domain.to_owned();
        let done = tokio::task::spawn_blocking(move || {
            for gone in gone {
                fs::remove_file(directory.join(gone))?;
            }
            change(&directory, &domain)
        });
        if let Ok(Err(error)) = done.await {
            let directory = self.directory.as_deref().unwrap_or(Path::new(""));
            tracing::warn!(%error, directory = %directory.display(), "policies of MTA-STS are not kept over a restart");
        }
    }
}

impl Stock {
    /// Gives the domains that had to go for it.
    fn put(&mut self, domain: &str, kept: Arc<Kept>) -> Vec<String> {
        let before = self.policies.get(domain).map(|entry| entry.used);
        let used = before.map_or(kept.used, |before| before.max(kept.used));
        self.forget(domain);
        let bytes = kept.write().len();
        self.bytes += bytes;
        self.policies
            .insert(domain.to_owned(), Entry { kept, used, bytes });
        let mut gone = Vec::new();
        while self.policies.len() > POLICIES_MAX || self.bytes > BYTES_MAX {
            let others = self.policies.iter().filter(|(other, _)| *other != domain);
            let Some((oldest, _)) = others.min_by_key(|(_, entry)| entry.used) else {
                break;
            };
            let oldest = oldest.clone();
            self.forget(&oldest);
            gone.push(oldest);
        }
        gone
    }

    fn forget(&mut self, domain: &str) {
        if let Some(entry) = self.policies.remove(domain) {
            self.bytes -= entry.bytes;
        }
    }
}

fn read(file: &Path, now: Timestamp) -> Option<Kept> {
    let is_small = fs::metadata(file).ok()?.len() <= FILE_BYTES_MAX;
    let text = is_small.then(|| fs::read_to_string(file).ok())??;
    Kept::read(&text, now)
}

#[cfg(test)]
mod tests {
    use super::super::policy::Policy;
    use super::super::record::PolicyId;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn kept(mx: &str, seconds: i64) -> Arc<Kept> {
        let text = format!("version: STSv1\nmode: enforce\nmx: {mx}\nmax_age: 1000");
        Arc::new(Kept {
            policy: Policy::parse(text.as_bytes()).unwrap(),
            id: PolicyId::parse("7").unwrap(),
            fetched: at(seconds),
            used: at(seconds),
        })
    }

    #[tokio::test]
    async fn policies_are_kept_over_a_restart_as_long_as_they_hold() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep").join("er");
        let open = |seconds| Arc::new(Shelf::open(&path, at(seconds)).unwrap());
        let shelf = open(0);
        shelf.put("a.example", kept("mx.a.example", 100)).await;
        shelf.put("b.example", kept("mx.b.example", 500)).await;
        fs::write(path.join("c.example"), "garbage").unwrap();
        fs::write(path.join("d.example.new"), "gar").unwrap();
        let shelf = open(1_099);
        for domain in ["a.example", "b.example"] {
            let found = shelf.take_down(domain, at(1_099)).unwrap();
            assert!(found.policy.names(&format!("mx.{domain}")));
        }
        assert_eq!(shelf.take_down("a.example", at(1_100)), None);
        assert_eq!(shelf.take_down("c.example", at(1_099)), None);
        let shelf = open(1_100);
        assert!(shelf.take_down("b.example", at(1_100)).is_some());
        assert!(!path.join("a.example").exists());
        assert_eq!(shelf.due(at(1_500)).await, []);
        assert!(!path.join("b.example").exists());
    }

    #[tokio::test]
    async fn a_policy_takes_the_place_of_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Arc::new(Shelf::open(directory.path(), at(0)).unwrap());
        let shelf = open();
        shelf.put("a.example", kept("old.example", 0)).await;
        shelf.put("a.example", kept("new.example", 0)).await;
        for shelf in [shelf, open()] {
            let found = shelf.take_down("a.example", at(1)).unwrap();
            assert!(found.policy.names("new.example"));
            assert_eq!(shelf.stock().bytes, found.write().len());
        }
    }

    #[test]
    fn there_are_no_more_than_so_many_and_the_used_ones_stay() {
        let mut stock = Stock::default();
        for number in 0..POLICIES_MAX {
            let seconds = i64::try_from(number).unwrap();
            assert!(
                stock
                    .put(&format!("{number}.example"), kept("a", seconds))
                    .is_empty()
            );
        }
        stock.policies.get_mut("0.example").unwrap().used = at(1 << 30);
        assert_eq!(stock.put("more.example", kept("a", -5)), ["1.example"]);
        assert_eq!(stock.policies.len(), POLICIES_MAX);
        let long = format!("{}\nmx: a", "\nmx: long.example".repeat(3_000));
        let long = kept(&long[5..], 1 << 20);
        let bytes = long.write().len();
        for number in 0..BYTES_MAX / bytes + 2 {
            stock.put(&format!("{number}.long.example"), long.clone());
        }
        assert!(stock.bytes <= BYTES_MAX);
        let bytes: usize = stock.policies.values().map(|entry| entry.bytes).sum();
        assert_eq!(stock.bytes, bytes);
    }

    #[tokio::test]
    async fn what_is_used_is_fetched_again_before_it_ends() {
        let shelf = Arc::new(Shelf::default());
        shelf.put("a.example", kept("a", 0)).await;
        shelf.put("b.example", kept("b", 0)).await;
        assert_eq!(shelf.due(at(499)).await, []);
        shelf.take_down("b.example", at(450));
        let due = shelf.due(at(500)).await;
        assert_eq!(
            due,
            [
                ("a.example".to_owned(), at(0)),
                ("b.example".to_owned(), at(450))
            ]
        );
    }
}
