//! Users and what is kept of their passwords, one a line: `USER:HASH`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use argon2::Argon2;
use argon2::password_hash::PasswordHasher as _;
use slimta_core::world::World;
use slimta_smtp::server::Credentials;

use super::scram::ScramKeys;
use super::verifier::Verifier;
use crate::edge::smtp::lines::{BadLine, Lines};

/// The users of a file.
#[derive(Debug, Default)]
pub(super) struct Entries {
    hashes: Vec<Verifier>,
    /// Which hash is whose.
    users: HashMap<Box<str>, usize>,
    /// How many hashes are keys of SCRAM.
    scram_count: usize,
}

impl Lines for Entries {
    const NAME: &'static str = "credentials";

    fn parse(text: &str) -> Result<Self, BadLine> {
        let mut entries = Entries::default();
        let mut lines_of = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |reason| BadLine {
                line: number,
                reason,
            };
            let (user, hash) = entry(line).map_err(bad)?;
            if let Some(earlier) = lines_of.insert(user, number) {
                return Err(bad(format!("user {user:?} has line {earlier} already")));
            }
            entries.users.insert(user.into(), entries.hashes.len());
            entries.scram_count += usize::from(matches!(hash, Verifier::Scram(_)));
            entries.hashes.push(hash);
        }
        Ok(entries)
    }

    fn len(&self) -> usize {
        self.users.len()
    }
}

impl Entries {
    /// Whether the password is that of the user. Takes its time, and memory.
    pub(super) fn fit(&self, credentials: &Credentials) -> bool {
        let Some((hash, is_own)) = self.hash_for(credentials.user()) else {
            return false;
        };
        hash.fit(credentials.password()) && is_own
    }

    /// Whether SCRAM is for everybody.
    pub(super) fn are_all_scram(&self) -> bool {
        !self.hashes.is_empty() && self.scram_count == self.hashes.len()
    }

    /// What a user's proof is checked against; for who has none, or is not
    /// there, keys that no proof fits. None if nobody is there.
    pub(super) fn scram_keys(&self, user: &str) -> Option<ScramKeys> {
        let nobody = |secret: &[u8], iterations| ScramKeys::of_nobody(user, secret, iterations);
        Some(match self.hash_for(user)? {
            (Verifier::Scram(keys), true) => keys.clone(),
            (Verifier::Scram(keys), false) => nobody(keys.secret(), keys.iterations()),
            (Verifier::Argon2id(hash), _) => {
                nobody(hash.to_string().as_bytes(), ScramKeys::ITERATIONS)
            }
        })
    }

    /// The hash that a user is checked against, and whether it is its own.
    ///
    /// For a user that is not there it is that of another, always the same for
    /// the same name: so time does not tell who is there. None if nobody is.
    fn hash_for(&self, user: &str) -> Option<(&Verifier, bool)> {
        let own = self.users.get(user).copied();
        let at = own.unwrap_or_else(|| stand_in(user, self.hashes.len()));
        Some((self.hashes.get(at)?, own.is_some()))
    }
}

/// Which of so many hashes is for a user that is not there.
fn stand_in(user: &str, hashes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    user.hash(&mut hasher);
    let number = usize::try_from(hasher.finish() >> 32).unwrap_or_default();
    number.checked_rem(hashes).unwrap_or_default()
}

/// A line that says something. What is told of it never holds the hash.
fn entry(line: &str) -> Result<(&str, Verifier), String> {
    let (user, verifier) = Verifier::of_line(line)?;
    match is_user(user) {
        true => Ok((user, verifier)),
        false => Err("the name is empty, too long, or holds control characters".to_owned()),
    }
}

/// Whether a client can say that it is that user.
fn is_user(user: &str) -> bool {
    Credentials::new(user.as_bytes(), b"x").is_some()
}

/// The line of a [`CredentialsFile`](super::CredentialsFile) for a user: its
/// password as a hash of Argon2id, with 19 MiB of memory and two passes.
///
/// None if no client could send that name and password, or if the name begins
/// with `#`. `world` gives the salt.
pub fn password_line(user: &str, password: &[u8], world: &World) -> Option<String> {
    Credentials::new(user.as_bytes(), password)?;
    if user.starts_with('#') {
        return None;
    }
    let salt: [u8; 16] = world.random();
    let hashed = Argon2::default().hash_password_with_salt(password, &salt);
    Some(format!("{user}:{}", hashed.ok()?))
}

/// The line of a [`CredentialsFile`](super::CredentialsFile) for a user: its
/// password as keys of SCRAM-SHA-256. They check PLAIN and LOGIN, too, but cost
/// who steals the file no memory for a guess, as Argon2id does.
///
/// None as for [`password_line`], or if SASLprep (RFC 4013) forbids one of the
/// two. The name is written as that prepares it, for so do clients.
pub fn scram_line(user: &str, password: &[u8], world: &World) -> Option<String> {
    let user = stringprep::saslprep(user).ok()?;
    Credentials::new(user.as_bytes(), password)?;
    if user.starts_with('#') {
        return None;
    }
    let salt: [u8; 16] = world.random();
    let keys = ScramKeys::of_password(password, &salt, ScramKeys::ITERATIONS)?;
    Some(format!("{user}:{keys}"))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use slimta_core::world::Timestamp;

    use super::*;

    fn line(user: &str, password: &str) -> String {
        let world = World::simulated(Timestamp::from_secs(0), 1);
        password_line(user, password.as_bytes(), &world).unwrap()
    }

    fn fit(entries: &Entries, user: &str, password: &str) -> bool {
        let credentials = Credentials::new(user.as_bytes(), password.as_bytes());
        entries.fit(&credentials.unwrap())
    }

    #[test]
    fn everybody_has_a_password_of_their_own() {
        let text = format!(
            "# users\n\n{}\r\n{}\n",
            line("ann", "one"),
            line("b:ob@x", "two")
        );
        let entries = Entries::parse(&text).unwrap();
        assert!(fit(&entries, "ann", "one") && fit(&entries, "b:ob@x", "two"));
        for (user, password) in [
            ("ann", "two"),
            ("b:ob@x", "one"),
            ("Ann", "one"),
            ("ann", "ON"),
        ] {
            assert!(!fit(&entries, user, password), "{user} {password}");
        }
        // Whose hash is taken for a user that is not there, does not matter.
        for user in ["carl", "dora", "emil", "fred", "greg", "hans"] {
            assert!(!fit(&entries, user, "one") && !fit(&entries, user, "two"));
        }
        assert!(!fit(&Entries::default(), "ann", "one"));
    }

    #[test]
    fn a_user_that_is_not_there_has_a_hash_to_check() {
        let text = [
            line("ann", "one"),
            line("bob", "two"),
            line("carl", "three"),
        ]
        .join("\n");
        let entries = Entries::parse(&text).unwrap();
        let written = |user: &str| match entries.hash_for(user).unwrap() {
            (Verifier::Argon2id(hash), is_own) => (hash.to_string(), is_own),
            (Verifier::Scram(_), _) => panic!("nobody has such keys"),
        };
        let (own, is_own) = written("bob");
        assert!(is_own && text.contains(&format!("bob:{own}\n")));
        for user in ["dora", "emil", "fred", "greg", "hans"] {
            let (hash, is_own) = written(user);
            assert!(!is_own && text.contains(&hash));
            assert_eq!(written(user), (hash, false));
        }
    }

    /// One of the tests of the reference implementation, with other costs than
    /// ours.
    #[test]
    fn hashes_of_others_are_understood() {
        let hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$\
                    CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let entries = Entries::parse(&format!("ann:{hash}")).unwrap();
        assert!(fit(&entries, "ann", "password") && !fit(&entries, "ann", "Password"));
    }

    #[test]
    fn a_bad_line_is_named_without_its_hash() {
        let good = line("ann", "one");
        let other = |from: &str, to: &str| {
            let changed = good.replace(from, to);
            assert_ne!(changed, good);
            changed
        };
        for (bad, reason) in [
            ("ann".to_owned(), "it is not USER:HASH"),
            ("ann:canary".to_owned(), "not one of Argon2id"),
            (other("ann:", ":"), "the name is empty"),
            (other("argon2id", "argon2i"), "not one of Argon2id"),
            (other("m=19456", "m=262145"), "costs too much"),
            (other("t=2", "t=101"), "costs too much"),
            (other("m=19456", "m=1"), "not one of Argon2id"),
            (
                good.rsplit_once('$').unwrap().0.to_owned(),
                "not one of Argon2id",
            ),
            (good.clone(), "user \"ann\" has line 1 already"),
            (
                "ann:SCRAM-SHA-256$canary".to_owned(),
                "the keys are no good",
            ),
        ] {
            let told = Entries::parse(&format!("{good}\n#\n{bad}\n")).unwrap_err();
            assert_eq!(told.line, 3, "{bad}");
            assert!(told.reason.contains(reason), "{bad}: {}", told.reason);
            let hash = bad.rsplit_once(':').map_or("canary", |(_, hash)| hash);
            assert!(!told.reason.contains(hash));
        }
    }

    #[test]
    fn what_no_client_can_send_has_no_line() {
        let world = World::system();
        for (user, password) in [
            ("", "x"),
            ("#a", "x"),
            ("a", ""),
            ("a\nb", "x"),
            ("a", "x\0"),
        ] {
            assert_eq!(password_line(user, password.as_bytes(), &world), None);
        }
        let lines = [(); 2].map(|()| password_line("ann", b"x", &world).unwrap());
        assert_ne!(lines[0], lines[1]);
    }

    #[test]
    fn scram_is_for_everybody_or_for_nobody() {
        // Cheap ones.
        let cost = NonZeroU32::new(4096).unwrap();
        let keys = ScramKeys::of_password(b"pencil", &[7; 16], cost).unwrap();
        let scram = |user: &str| format!("{user}:{keys}");
        let all = Entries::parse(&[scram("a:b"), scram("ann")].join("\n")).unwrap();
        assert!(all.are_all_scram());
        assert!(fit(&all, "a:b", "pencil") && !fit(&all, "a:b", "pen"));
        assert_eq!(all.scram_keys("a:b"), Some(keys.clone()));
        let mixed = Entries::parse(&[scram("ann"), line("bob", "one")].join("\n")).unwrap();
        assert!(!mixed.are_all_scram() && !Entries::default().are_all_scram());
        assert!(fit(&mixed, "ann", "pencil") && fit(&mixed, "bob", "one"));
        // Who has no keys is told of some that fit nothing.
        let of_carl = all.scram_keys("carl").unwrap();
        assert_eq!(all.scram_keys("carl"), Some(of_carl.clone()));
        assert_eq!(of_carl.iterations(), cost);
        assert!(of_carl != keys && !of_carl.fit(b"pencil"));
        let of_bob = mixed.scram_keys("bob").unwrap();
        assert_eq!(of_bob.iterations(), ScramKeys::ITERATIONS);
        assert_eq!(Entries::default().scram_keys("ann"), None);
    }

    #[test]
    fn keys_are_made_as_clients_make_them() {
        let world = World::simulated(Timestamp::from_secs(0), 1);
        // RFC 4013 section 3, by which clients prepare both.
        let line = scram_line("I\u{ad}X", b"pen\xc2\xadcil", &world).unwrap();
        assert!(line.starts_with("IX:SCRAM-SHA-256$500000:"), "{line}");
        assert!(fit(&Entries::parse(&line).unwrap(), "IX", "pencil"));
        for (user, password) in [
            ("#ann", &b"x"[..]),
            ("ann", b"\x07"),
            ("a\u{627}1", b"x"),
            ("ann", b""),
        ] {
            assert_eq!(scram_line(user, password, &world), None, "{user}");
        }
    }
}
