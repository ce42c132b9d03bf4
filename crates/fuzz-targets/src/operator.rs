//! What operators write: the configuration file, requests to the admin socket
//! and the files of an import. Mistakes are told, in bounded and readable text.

use slimta_server::fuzz;

/// What is told is a line for each mistake, with what would be right, and quotes
/// no more than the value that is wrong.
const TOLD_BYTES_SPARE: usize = 16 << 10;

/// A configuration file: taken, or refused with a reason.
pub(crate) fn configuration(bytes: &[u8]) {
    if let Err(told) = fuzz::configuration(bytes) {
        check_told(&told, bytes.len());
    }
}

/// A request to the admin socket: what is understood is written alike.
pub(crate) fn admin_request(bytes: &[u8]) {
    match fuzz::admin_request(bytes) {
        Ok(written) => assert_eq!(fuzz::admin_request(&written), Ok(written.clone())),
        Err(told) => check_told(&told, bytes.len()),
    }
}

/// The JSON of an export: what is understood is written alike.
pub(crate) fn exported(bytes: &[u8]) {
    match fuzz::exported(bytes) {
        Ok(written) => assert_eq!(fuzz::exported(&written), Ok(written.clone())),
        Err(told) => check_told(&told, bytes.len()),
    }
}

fn check_told(told: &str, input: usize) {
    assert!(!told.trim().is_empty());
    assert!(
        told.len() <= 8 * input + TOLD_BYTES_SPARE,
        "{} bytes",
        told.len()
    );
}
