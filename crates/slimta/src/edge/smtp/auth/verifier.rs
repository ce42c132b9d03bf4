//! What a line of a file of users keeps of a password: a hash of Argon2id
//! (RFC 9106) as a PHC string, or the keys of SCRAM-SHA-256.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params};

use super::scram::ScramKeys;

/// Most memory that a hash may ask for, in KiB.
const MEMORY_KIB_MAX: u32 = 256 << 10;
/// Most passes that it may ask for.
const PASSES_MAX: u32 = 100;
/// How the keys of SCRAM begin, behind the name.
const SCRAM: &str = ":SCRAM-SHA-256$";

/// What is kept of a password.
#[derive(Debug)]
pub(super) enum Verifier {
    Argon2id(PasswordHash),
    Scram(ScramKeys),
}

impl Verifier {
    /// Parts a line into a name and what is kept for it. What is told of an
    /// error never holds that.
    pub(super) fn of_line(line: &str) -> Result<(&str, Self), String> {
        if let Some((user, keys)) = line.rfind(SCRAM).and_then(|at| line.split_at_checked(at)) {
            let keys = keys.strip_prefix(':').unwrap_or_default();
            let keys = keys
                .parse()
                .map_err(|error| format!("the keys are no good: {error}"))?;
            return Ok((user, Verifier::Scram(keys)));
        }
        let (user, hash) = line
            .rsplit_once(':')
            .ok_or("it is not USER:HASH, as \"slimta password\" prints it")?;
        Ok((user, Verifier::Argon2id(hash_of(hash)?)))
    }

    /// Whether it is that of the password. Takes its time, and memory.
    pub(super) fn fit(&self, password: &[u8]) -> bool {
        match self {
            Verifier::Argon2id(hash) => Argon2::default().verify_password(password, hash).is_ok(),
            Verifier::Scram(keys) => keys.fit(password),
        }
    }
}

fn hash_of(text: &str) -> Result<PasswordHash, String> {
    let no_hash = |error: password_hash::Error| {
        format!("the hash is not one of Argon2id, as \"slimta password\" prints it: {error}")
    };
    let hash =
        PasswordHash::new(text).map_err(|_| no_hash(password_hash::Error::EncodingInvalid))?;
    if hash.algorithm != Algorithm::Argon2id.ident() || hash.salt.is_none() || hash.hash.is_none() {
        return Err(no_hash(password_hash::Error::Algorithm));
    }
    let params = Params::try_from(&hash).map_err(no_hash)?;
    if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX {
        return Err(format!(
            "the hash costs too much: m may be {MEMORY_KIB_MAX} and t {PASSES_MAX} at most"
        ));
    }
    Ok(hash)
}
