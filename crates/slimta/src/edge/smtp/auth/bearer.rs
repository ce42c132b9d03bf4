//! OAUTHBEARER (RFC 7628): a client shows a token that somebody has given it.

use std::fmt;

/// Longest name that a client may ask for, as of users.
const USER_BYTES_MAX: usize = 255;

/// A token, and whom its bearer wants to be.
///
/// The token is a secret, and in no [`Debug`](fmt::Debug) output.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken {
    user: Option<Box<str>>,
    token: Box<str>,
}

impl BearerToken {
    /// Reads the message of a client; none if it is no such message, or asks for
    /// a binding to the channel. A client that asks what is wanted has an empty
    /// token.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let message = str::from_utf8(message).ok()?;
        let (header, pairs) = message.split_once('\u{1}')?;
        let mut parts = header.split(',');
        let (binding, whom) = (parts.next()?, parts.next()?);
        if !matches!(binding, "n" | "y") || parts.next() != Some("") || parts.next().is_some() {
            return None;
        }
        let user = match whom.strip_prefix("a=") {
            Some(user) => Some(unescaped(user)?),
            None if whom.is_empty() => None,
            None => return None,
        };
        // The last of them ends with one byte more.
        let pairs = pairs.strip_suffix("\u{1}\u{1}")?;
        let mut said = pairs.split('\u{1}');
        let auth = said.find_map(|pair| pair.strip_prefix("auth="))?;
        let token = match auth.split_once(' ') {
            Some((kind, token)) if kind.eq_ignore_ascii_case("Bearer") => {
                token.trim_start_matches(' ')
            }
            _ if auth.is_empty() => "",
            _ => return None,
        };
        token
            .bytes()
            .all(|b| b.is_ascii_graphic())
            .then(|| BearerToken {
                user: user.map(Into::into),
                token: token.into(),
            })
    }

    /// Whom the client wants to be, if it says so. That is no proof: who it is,
    /// says the token.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The token (RFC 6750). A secret.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("BearerToken");
        shown.field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a check of a token has found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenVerdict {
    /// It was given to this user: `235 2.7.0`.
    Accepted(String),
    /// It is no good, or not for whom the client wants to be: `535 5.7.8`.
    Denied,
    /// Nobody can say for now: `454 4.7.0`.
    Unavailable,
}

/// A name as it is written there (RFC 5801 section 4); no control characters,
/// for it goes into logs.
fn unescaped(written: &str) -> Option<String> {
    let name = written.replace("=2C", ",").replace("=3D", "=");
    let is_name = !name.is_empty() && name.len() <= USER_BYTES_MAX;
    (is_name && !name.chars().any(char::is_control)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Option<String>, String)> {
        let token = BearerToken::parse(text.replace('|', "\u{1}").as_bytes())?;
        Some((token.user().map(str::to_owned), token.token().to_owned()))
    }

    #[test]
    fn tokens_are_found_in_what_clients_say() {
        let (ann, token) = (
            Some("user@example.com".to_owned()),
            "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==",
        );
        // RFC 7628 section 4.1.
        let text =
            format!("n,a=user@example.com,|host=server.example.com|port=143|auth=Bearer {token}||");
        assert_eq!(read(&text), Some((ann, token.to_owned())));
        for (text, user, token) in [
            ("n,,|auth=bearer  x||", None, "x"),
            ("y,a=a=2Cb,|auth=Bearer x|host=h||", Some("a,b"), "x"),
            ("n,,|auth=||", None, ""),
        ] {
            assert_eq!(
                read(text),
                Some((user.map(str::to_owned), token.to_owned())),
                "{text}"
            );
        }
        for text in [
            "",
            "|",
            "n,,",
            "n,,|",
            "n,,|||",
            "n,,|host=h||",
            "n,,|auth=Bearer x|",
            "n,,|auth=Basic x||",
            "n,,|auth=Bearer x y||",
            "p=tls-exporter,,|auth=Bearer x||",
            "n,a=,|auth=Bearer x||",
            "n,ann,|auth=Bearer x||",
            "n,,,|auth=Bearer x||",
            "n,a=a\nb,|auth=Bearer x||",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(BearerToken::parse(b"n,,\x01auth=Bearer \xff\x01\x01"), None);
        let shown = format!("{:?}", BearerToken::parse(b"n,,\x01auth=Bearer x9\x01\x01"));
        assert!(!shown.contains("x9"), "{shown}");
    }
}
