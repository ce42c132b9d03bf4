//! The configuration file.

use std::path::Path;

use crate::failure::Failure;

/// A file larger than this is no configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads its text.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let unreadable = |why: &dyn std::fmt::Display| {
        Failure::Usage(format!(
            "cannot read the configuration {shown} (--config): {why}"
        ))
    };
    let size = std::fs::metadata(path)
        .map_err(|error| unreadable(&error))?
        .len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(&format!(
            "it is larger than {FILE_BYTES_MAX} bytes"
        )));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(&error))
}
