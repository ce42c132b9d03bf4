//! Doors for the fuzzer: each takes any bytes and says what became of them.

use crate::{admin, config, exported};

/// Reads bytes as a configuration file, and fills in the defaults. The failure
/// is what an operator would be told.
pub fn configuration(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    config::understand(text)
}

/// Reads bytes as a request to the admin socket; gives it as it would be
/// written.
pub fn admin_request(bytes: &[u8]) -> Result<Vec<u8>, String> {
    admin::understand_and_write(bytes)
}

/// Reads bytes as the JSON of an export; gives it as it would be written.
pub fn exported(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let messages = exported::understand(bytes)?;
    exported::to_json(messages).map_err(|error| error.to_string())
}
