//! A file of mailboxes.

use std::path::PathBuf;
use std::sync::Arc;

use super::table::Table;
use crate::edge::smtp::lines::{FileError, Watched};
use crate::world::World;

/// Mailboxes in a file, one a line: `user@example.org`, or `@example.org` for
/// all of a domain. Lines that begin with `#` say nothing; upper and lower case
/// are alike.
///
/// The file is looked at when a client names a recipient, at most once a second,
/// and read again if it has changed. If what is new cannot be used, what was
/// read before stays, and an error in the log says why. Clones share all of it.
#[derive(Clone, Debug)]
pub struct RecipientsFile(Arc<Watched<Table>>);

impl RecipientsFile {
    /// Reads the file. The error names it, and the line that is no good.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        Watched::open(path).map(RecipientsFile)
    }

    /// The mailboxes as they are now.
    pub(super) async fn table(&self, world: &World) -> Arc<Table> {
        self.0.now(world).await
    }
}
