//! The configuration file.

use std::path::Path;

use super::Options;
use crate::failure::Failure;

/// A file larger than this is no configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads it. The failure names the file, the line and the key.
pub(super) fn read(path: &Path) -> Result<Options, Failure> {
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
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    parse(&text).map_err(|why| Failure::Config(format!("the configuration {shown}: {why}")))
}

pub(super) fn parse(text: &str) -> Result<Options, String> {
    toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
}
