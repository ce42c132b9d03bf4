//! Who this host says it is to a next hop, and what it knows as proof.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest name (RFC 4616 section 2 asks for 255 bytes at least).
const USER_BYTES_MAX: usize = 255;
/// Longest password: more is a file that was named by mistake.
const PASSWORD_BYTES_MAX: usize = 1024;

/// A name and a password that a next hop wants to see (AUTH, RFC 4954).
///
/// The password is in no [`Debug`](fmt::Debug) output.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    user: Box<str>,
    password: Box<[u8]>,
    is_for_clear: bool,
}

impl Login {
    /// None if one of them is empty, too long or holds a NUL (RFC 4616 section
    /// 2), or if the name holds a control character: it goes into logs.
    pub fn new(user: &str, password: &[u8]) -> Option<Self> {
        let is_name = (1..=USER_BYTES_MAX).contains(&user.len());
        let is_password = (1..=PASSWORD_BYTES_MAX).contains(&password.len());
        let is_odd = user.chars().any(char::is_control) || password.contains(&0);
        (is_name && is_password && !is_odd).then(|| Login {
            user: user.into(),
            password: password.into(),
            is_for_clear: false,
        })
    }

    /// Lets it be said where everybody on the way can read it, too.
    #[must_use]
    pub fn even_in_clear(mut self) -> Self {
        self.is_for_clear = true;
        self
    }

    /// Whether it may be said in clear.
    pub fn goes_in_clear(&self) -> bool {
        self.is_for_clear
    }

    /// The name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The message of PLAIN (RFC 4616): nobody to act as, the name, and the
    /// password.
    pub(super) fn plain(&self) -> Secret {
        let message = [b"\0", self.user.as_bytes(), b"\0", &self.password].concat();
        Secret(STANDARD.encode(message))
    }

    /// The two messages of LOGIN (draft-murchison-sasl-login-00).
    pub(super) fn name_and_password(&self) -> [Secret; 2] {
        [self.user.as_bytes(), &self.password].map(|part| Secret(STANDARD.encode(part)))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Login");
        shown.field("user", &self.user).finish_non_exhaustive()
    }
}

/// A line that nobody else is to see.
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_it_is_no_secret() {
        let login = Login::new("ann", b"canary").unwrap();
        let shown = format!("{login:?} {:?}", login.plain());
        assert_eq!(shown, "Login { user: \"ann\", .. } Secret");
    }

    #[test]
    fn what_no_exchange_can_carry_is_no_login() {
        let (long, longer) = ("x".repeat(255), "x".repeat(256));
        assert!(Login::new(&long, b"\xff").is_some());
        for user in ["", &longer, "a\0", "a\n"] {
            assert_eq!(Login::new(user, b"secret"), None, "{user:?}");
        }
        for password in [&b""[..], b"a\0b", &[b'x'; 1025]] {
            assert_eq!(Login::new("ann", password), None);
        }
    }
}
