//! DKIM: any message passes octet by octet, with a signature on top or without.

use slimta_core::message::Content;
use slimta_server::fuzz;

const DOMAIN: &str = "example.org";
/// The key of RFC 8463 appendix A.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

/// A message that may be of a domain with a key.
pub(crate) fn signed(bytes: &[u8]) {
    let signed = fuzz::signed(DOMAIN, KEY, bytes).expect("no message is refused");
    let added = signed.strip_suffix(bytes).expect("what was there stays");
    assert!(added.is_ascii());
    let added = String::from_utf8_lossy(added);
    assert!(added.lines().all(|line| line.len() <= 78), "{added}");
    let (before, after) = (Content::new(bytes.to_vec()), Content::new(signed.clone()));
    let new_fields = after.fields().count() - before.fields().count();
    assert_eq!(new_fields, usize::from(!added.is_empty()), "{added}");
    assert_eq!(after.body_bytes(), before.body_bytes());
    if !added.is_empty() {
        assert!(
            added.starts_with("DKIM-Signature: v=1; a=ed25519-sha256;"),
            "{added}"
        );
        assert_eq!(before.fields_named("From").count(), 1);
        let from = before
            .field("From")
            .expect("counted")
            .value()
            .to_ascii_lowercase();
        assert!(from.replace([' ', '\t'], "").contains(DOMAIN), "{from}");
    }
}
