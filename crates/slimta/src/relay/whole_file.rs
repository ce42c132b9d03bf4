//! Small files that are there as a whole or as they were before.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What a file is called before it is complete; no domain and no day is.
const UNFINISHED: &str = ".new";

/// Puts `bytes` in the place of a file of this directory. Blocks.
pub(super) fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = directory.join(format!("{name}{UNFINISHED}"));
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, directory.join(name))?;
    // Else the old name could come back after a power cut.
    File::open(directory)?.sync_all()
}
