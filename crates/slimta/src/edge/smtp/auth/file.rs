//! A file of users: when it is read again, and how many passwords are checked
//! at once.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use slimta_smtp::server::{Credentials, Mechanisms};
use tokio::sync::Semaphore;

use super::entries::Entries;
use super::scram::ScramKeys;
use super::{Authenticator, Verdict};
use crate::edge::smtp::lines::{self, FileError, Lines as _};
use crate::edge::smtp::look::{Look, is_open_to_all};

/// Most checks at once: each takes the memory that its hash asks for, 19 MiB if
/// `slimta password` has made it.
const RUNNING_MAX: usize = 4;
/// Most checks that run or wait to; more clients are told to come again.
const WAITING_MAX: usize = 64;

/// Users in a file, each with a hash of its password: one a line, `USER:HASH`,
/// the hash as a PHC string of Argon2id, as
/// [`password_line`](super::password_line) makes it, or the keys of
/// SCRAM-SHA-256, as [`scram_line`](super::scram_line) does. Lines that begin
/// with `#` say nothing. Names are told apart as they are written, by case too.
///
/// PLAIN and LOGIN are for all of them. SCRAM-SHA-256 is offered if all of them
/// have its keys: clients choose it where they can, and who lacks them could
/// not log in any more.
///
/// ```
/// # use slimta::edge::smtp::{AuthMode, FileError, CredentialsFile, SmtpEdge};
/// # fn example(edge: SmtpEdge) -> Result<SmtpEdge, FileError> {
/// let users = CredentialsFile::open("/etc/slimta/users")?;
/// let edge = edge.with_authenticator(users, AuthMode::UnderTls);
/// # Ok(edge)
/// # }
/// ```
///
/// The file is looked at whenever a client authenticates, and read again if it
/// has changed. If what is new cannot be used, what was read before stays, and
/// an error in the log says why. Clones share all of it.
#[derive(Clone, Debug)]
pub struct CredentialsFile(Arc<Shared>);

/// What clones share.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    read: Mutex<Read>,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// The file as it was when it was read last.
#[derive(Debug)]
struct Read {
    look: Option<Look>,
    entries: Arc<Entries>,
}

impl CredentialsFile {
    /// Reads the file. The error names it, and the line that is no good.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        let path = path.into();
        // Looked at first: what changes from here on is read again.
        let look = Look::at(&path);
        let entries = Arc::new(read(&path)?);
        Ok(CredentialsFile(Arc::new(Shared {
            path,
            read: Mutex::new(Read { look, entries }),
            running: Arc::new(Semaphore::new(RUNNING_MAX)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        })))
    }
}

#[async_trait]
impl Authenticator for CredentialsFile {
    async fn check(&self, credentials: &Credentials) -> Verdict {
        let Ok(waiting) = self.0.waiting.clone().try_acquire_owned() else {
            return Verdict::Unavailable;
        };
        let Ok(running) = self.0.running.clone().acquire_owned().await else {
            return Verdict::Unavailable;
        };
        let (shared, credentials) = (self.0.clone(), credentials.clone());
        // On a thread that may take its time, with the permits: the check goes
        // on if nobody waits for it any more.
        let checking = tokio::task::spawn_blocking(move || {
            let fit = shared.entries().fit(&credentials);
            drop((waiting, running));
            fit
        });
        match checking.await {
            Ok(true) => Verdict::Accepted,
            Ok(false) => Verdict::Denied,
            Err(_) => Verdict::Unavailable,
        }
    }

    fn mechanisms(&self) -> Mechanisms {
        Mechanisms {
            // As it was read last: who connects is no reason to look at a disk.
            scram_sha_256: self.0.lock().entries.are_all_scram(),
            ..Mechanisms::default()
        }
    }

    async fn scram_keys(&self, user: &str) -> Option<ScramKeys> {
        let (shared, user) = (self.0.clone(), user.to_owned());
        let looking = tokio::task::spawn_blocking(move || shared.entries().scram_keys(&user));
        looking.await.ok().flatten()
    }
}

impl Shared {
    /// The users as they are now.
    fn entries(&self) -> Arc<Entries> {
        let mut seen = self.lock();
        let look = Look::at(&self.path);
        if seen.look != look {
            // Noted whatever comes of it, so that an error is told once.
            seen.look = look;
            let file = self.path.display();
            match read(&self.path) {
                Ok(entries) => {
                    tracing::info!(%file, lines = entries.len(), "credentials read again");
                    seen.entries = Arc::new(entries);
                }
                Err(error) => tracing::error!(%error, "credentials that have changed are not used"),
            }
        }
        seen.entries.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<Entries, FileError> {
    if is_open_to_all(path) {
        let file = path.display();
        tracing::warn!(%file, "everybody may read or write these credentials: chmod o= the file");
    }
    lines::read(path)
}
