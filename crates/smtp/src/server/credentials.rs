//! Who a client says it is, and what it knows as proof.

use std::fmt;

/// Longest name. RFC 4616 section 2 asks for at least 255 bytes.
const USER_BYTES_MAX: usize = 255;

/// A name and a password, as the client sent them. Whether they fit is for the
/// driver to find out.
///
/// The password is in no [`Debug`](fmt::Debug) output.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: Box<str>,
    password: Box<[u8]>,
}

impl Credentials {
    /// None if one of them is empty or holds a NUL (RFC 4616 section 2), or if
    /// the name is not UTF-8, longer than 255 bytes, or holds a control
    /// character: it goes into logs.
    pub fn new(user: &[u8], password: &[u8]) -> Option<Self> {
        if password.is_empty() || password.contains(&0) {
            return None;
        }
        Some(Credentials {
            user: name(user)?.into(),
            password: password.into(),
        })
    }

    /// Who the client says it is.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// What it knows as proof. A secret.
    pub fn password(&self) -> &[u8] {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Credentials");
        shown.field("user", &self.user).finish_non_exhaustive()
    }
}

/// The bytes as a name, if they can be one.
pub(super) fn name(user: &[u8]) -> Option<&str> {
    let user = str::from_utf8(user).ok()?;
    let is_name = !user.is_empty() && user.len() <= USER_BYTES_MAX;
    (is_name && !user.chars().any(char::is_control)).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_them_is_no_secret() {
        let shown = format!("{:?}", Credentials::new(b"ann", b"secret").unwrap());
        assert_eq!(shown, "Credentials { user: \"ann\", .. }");
    }

    #[test]
    fn names_are_text_that_a_log_can_hold() {
        let (longest, longer) = ([b'x'; 255], [b'x'; 256]);
        assert!(Credentials::new(&longest, &longer).is_some());
        assert!(Credentials::new("ann\u{e5}".as_bytes(), b"\xff").is_some());
        for user in [&b""[..], &longer, b"\xff", b"a\nb", b"a\0b", b"a\xc2\x85"] {
            assert_eq!(Credentials::new(user, b"secret"), None, "{user:?}");
        }
        for password in [&b""[..], b"a\0b"] {
            assert_eq!(Credentials::new(b"ann", password), None);
        }
    }
}
