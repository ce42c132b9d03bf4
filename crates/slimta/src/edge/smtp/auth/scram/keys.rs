//! What is kept of a password (RFC 5802 section 3, RFC 5803): enough to check
//! a proof of it, not enough to make one.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

/// Bytes of a key, which is a hash of SHA-256.
pub(super) const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;
pub(super) type Key = [u8; KEY_BYTES];

/// How keys are written begins so.
const NAME: &str = "SCRAM-SHA-256";
/// Fewer are too cheap to guess by (RFC 7677 section 4).
const ITERATIONS_MIN: u32 = 4096;
/// More would take seconds of a processor where a password is checked.
const ITERATIONS_MAX: u32 = 5_000_000;
const SALT_BYTES_MIN: usize = 8;
const SALT_BYTES_MAX: usize = 256;

/// What a server keeps of a password to check proofs of it by SCRAM-SHA-256,
/// written `SCRAM-SHA-256$ITERATIONS:SALT$STORED-KEY:SERVER-KEY`, as PostgreSQL
/// does. It is a secret, and in no [`Debug`](fmt::Debug) output.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    iterations: NonZeroU32,
    salt: Box<[u8]>,
    stored_key: Key,
    server_key: Key,
}

/// A text is not what is kept of a password by SCRAM.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "it is not SCRAM-SHA-256$ITERATIONS:SALT$KEY:KEY with {ITERATIONS_MIN} to {ITERATIONS_MAX} iterations"
)]
pub struct ScramKeysError;

impl ScramKeys {
    /// How many iterations a password that is new gets: as many as let a thief
    /// guess slowly, and as few as clients take (Dovecot's takes 524,288).
    pub const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(499_999);

    /// Those of a password, which is prepared by SASLprep (RFC 4013). None if
    /// that forbids it. The salt should be 16 bytes by chance. Takes some tenths
    /// of a second.
    pub fn of_password(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Option<Self> {
        let password = str::from_utf8(password).ok()?;
        let password = stringprep::saslprep(password).ok()?;
        let mut salted: Key = [0; KEY_BYTES];
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(
            algorithm,
            iterations,
            salt,
            password.as_bytes(),
            &mut salted,
        );
        let client_key = hmac_of(&salted, b"Client Key");
        Some(ScramKeys {
            iterations,
            salt: salt.into(),
            stored_key: hash_of(&client_key),
            server_key: hmac_of(&salted, b"Server Key"),
        })
    }

    /// Those of nobody, for a name that is not there: always the same for the
    /// same name, and to look at like those of others. `secret` is any that
    /// strangers do not know.
    pub fn of_nobody(user: &str, secret: &[u8], iterations: NonZeroU32) -> Self {
        let key = |what: &str| hmac_of(secret, format!("{what} {user}").as_bytes());
        ScramKeys {
            iterations,
            salt: key("salt").iter().copied().take(16).collect(),
            stored_key: key("stored"),
            server_key: key("server"),
        }
    }

    /// Whether they are those of that password. Takes as long as making them.
    pub fn fit(&self, password: &[u8]) -> bool {
        let of_password = ScramKeys::of_password(password, &self.salt, self.iterations);
        of_password.is_some_and(|keys| is_same(&keys.stored_key, &self.stored_key))
    }

    /// What the client is told to make its proof with (`s` and `i`).
    pub(super) fn told(&self) -> String {
        format!("s={},i={}", STANDARD.encode(&self.salt), self.iterations)
    }

    /// How many iterations they took.
    pub(in crate::edge::smtp::auth) fn iterations(&self) -> NonZeroU32 {
        self.iterations
    }

    /// A secret that belongs to them.
    pub(in crate::edge::smtp::auth) fn secret(&self) -> &[u8] {
        &self.server_key
    }

    /// The signature of the server for an exchange, if the proof of the client
    /// is good (RFC 5802 section 3).
    pub(super) fn check(&self, proof: &Key, exchange: &[u8]) -> Option<Key> {
        let mut client_key = hmac_of(&self.stored_key, exchange);
        for (byte, proven) in client_key.iter_mut().zip(proof) {
            *byte ^= proven;
        }
        is_same(&hash_of(&client_key), &self.stored_key)
            .then(|| hmac_of(&self.server_key, exchange))
    }
}

/// Whether two keys are the same; how long it takes does not tell where they
/// differ.
fn is_same(one: &Key, other: &Key) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, one);
    hmac::verify(&key, other, hmac::sign(&key, one).as_ref()).is_ok()
}

fn hmac_of(key: &[u8], text: &[u8]) -> Key {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    bytes_of(hmac::sign(&key, text).as_ref())
}

fn hash_of(text: &[u8]) -> Key {
    bytes_of(digest::digest(&digest::SHA256, text).as_ref())
}

fn bytes_of(hash: &[u8]) -> Key {
    let mut bytes = [0; KEY_BYTES];
    for (byte, hashed) in bytes.iter_mut().zip(hash) {
        *byte = *hashed;
    }
    bytes
}

impl FromStr for ScramKeys {
    type Err = ScramKeysError;

    fn from_str(text: &str) -> Result<Self, ScramKeysError> {
        let read = || {
            let (name, rest) = text.split_once('$')?;
            let (salted, keys) = rest.split_once('$')?;
            let (iterations, salt) = salted.split_once(':')?;
            let (stored_key, server_key) = keys.split_once(':')?;
            let is_number = iterations.bytes().all(|b| b.is_ascii_digit());
            let iterations: NonZeroU32 = iterations.parse().ok().filter(|_| is_number)?;
            let salt = STANDARD.decode(salt).ok()?;
            let key = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
            let is_good = name == NAME
                && (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations.get())
                && (SALT_BYTES_MIN..=SALT_BYTES_MAX).contains(&salt.len());
            is_good.then_some(ScramKeys {
                iterations,
                salt: salt.into(),
                stored_key: key(stored_key)?,
                server_key: key(server_key)?,
            })
        };
        read().ok_or(ScramKeysError)
    }
}

impl fmt::Display for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = |bytes: &[u8]| STANDARD.encode(bytes);
        let (stored, server) = (encoded(&self.stored_key), encoded(&self.server_key));
        let salt = encoded(&self.salt);
        write!(f, "{NAME}${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ScramKeys");
        shown
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iterations(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    /// The password and the salt of RFC 7677, and keys that Python's hashlib made
    /// of them.
    #[test]
    fn they_are_written_and_read_again() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = ScramKeys::of_password(b"pencil", &salt, iterations(4096)).unwrap();
        let text = keys.to_string();
        assert_eq!(
            text,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==\
             $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
        assert_eq!(text.parse(), Ok(keys.clone()));
        assert!(keys.fit(b"pencil") && !keys.fit(b"Pencil") && !keys.fit(b"\xff"));
        let shown = format!("{keys:?}");
        assert_eq!(shown, "ScramKeys { iterations: 4096, .. }");
        for (from, to) in [
            ("SHA-256", "SHA-1"),
            ("$4096", "$4095"),
            ("$4096", "$5000001"),
            ("$4096", "$+4096"),
            ("W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaJ0="),
            ("W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaJ0SNY7soEsUEjb6gQ"),
            ("WG5d", "WG5"),
            (":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", ""),
        ] {
            let bad = text.replace(from, to);
            assert_eq!(bad.parse::<ScramKeys>(), Err(ScramKeysError), "{bad}");
        }
    }

    /// RFC 4013 section 3.
    #[test]
    fn passwords_that_look_alike_are_one() {
        let of = |password: &str| {
            ScramKeys::of_password(password.as_bytes(), b"saltsalt", iterations(4096))
        };
        assert_eq!(of("I\u{ad}X"), of("IX"));
        assert_eq!(of("\u{aa}"), of("a"));
        assert_eq!(of("\u{2168}"), of("IX"));
        assert_ne!(of("user"), of("USER"));
        assert!(of("\u{7}").is_none() && of("\u{627}1").is_none());
    }

    #[test]
    fn nobody_has_keys_that_stay() {
        let of = |user| ScramKeys::of_nobody(user, b"secret", iterations(4096));
        assert_eq!(of("ann"), of("ann"));
        assert_ne!(of("ann").told(), of("bob").told());
        assert_eq!(of("ann").to_string().parse(), Ok(of("ann")));
        assert_ne!(
            of("ann"),
            ScramKeys::of_nobody("ann", b"other", iterations(4096))
        );
    }
}
