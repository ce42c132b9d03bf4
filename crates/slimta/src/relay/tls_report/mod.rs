//! Reports on TLS (RFC 8460): counts by day and domain what came of the TLS with
//! mail exchangers, and tells those domains that want to know.

mod counts;
mod diary;
mod record;
mod report;
mod sending;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) use counts::{FailureTold, PolicyTold};
use diary::Diary;
pub use diary::ReportsError;
pub use sending::ReportSender;

use crate::message::Address;
use crate::world::World;

/// Time between two looks for what is to be kept and sent.
const LOOK_DELAY: Duration = Duration::from_secs(60);

/// Who reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportOptions {
    /// The name of this host.
    pub hostname: String,
    /// Whom those who are told may ask; mail with reports is from here.
    pub contact: Address,
    /// The name of those who run it.
    pub organization: String,
}

/// Counts what came of TLS. Clones count together.
#[derive(Clone)]
pub struct TlsReports(Arc<Diary>);

impl TlsReports {
    /// Counts in memory only: what is not yet sent is forgotten with the process.
    pub fn new(world: World) -> Self {
        TlsReports(Arc::new(Diary::new(world)))
    }

    /// Counts in this directory, one file a day, for one process at a time. It is
    /// made if it is not there. Blocks while it is read.
    pub fn open(directory: &Path, world: World) -> Result<Self, ReportsError> {
        Ok(TlsReports(Arc::new(Diary::open(directory, world)?)))
    }

    /// Counts a session that was as it should be, or failed so.
    pub(super) fn count(&self, policy: PolicyTold, failure: Option<FailureTold>) {
        self.0.count(policy, failure);
    }

    /// Keeps what was counted, and has `sender` tell of the days that are over, until
    /// it is dropped. Reports go out within four hours after midnight (UTC), and are
    /// tried again until the end of the second day.
    pub async fn run(&self, sender: &ReportSender) {
        loop {
            if let Some(day) = self.0.due() {
                sender.send(&self.0, day).await;
            }
            self.save().await;
            self.0.world().sleep(LOOK_DELAY).await;
        }
    }

    /// Keeps what was counted since the last time.
    pub async fn save(&self) {
        self.0.save().await;
    }
}

/// How much was counted is not worth a line.
impl fmt::Debug for TlsReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsReports").finish_non_exhaustive()
    }
}
