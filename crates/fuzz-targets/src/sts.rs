//! Policies of MTA-STS: whoever shows one chooses its bytes.

use slimta_server::fuzz;

/// What an error may say.
const TOLD_BYTES_MAX: usize = 200;

/// Bytes as a policy: it names hosts that it could name, and is read alike when it
/// is written again.
pub(crate) fn policy(bytes: &[u8]) {
    let host = "mx.d.example";
    match fuzz::sts_policy(bytes, host) {
        Ok((lines, names_it)) => {
            assert!(lines.len() <= bytes.len() + 100, "{lines}");
            assert!(lines.is_ascii() && !lines.contains('\r'), "{lines}");
            let named = |line: &str| matches!(line, "mx: mx.d.example" | "mx: *.d.example");
            assert_eq!(lines.lines().any(named), names_it, "{lines}");
            assert_eq!(
                fuzz::sts_policy(lines.as_bytes(), host),
                Ok((lines, names_it))
            );
        }
        Err(told) => assert!(told.len() <= TOLD_BYTES_MAX, "{told}"),
    }
}
