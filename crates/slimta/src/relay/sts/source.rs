//! Where policies are fetched from (RFC 8461 section 3.3).

use std::sync::Arc;

use async_trait::async_trait;

use super::policy::{Policy, PolicyError};
use crate::relay::https::{Answer, HTTPS_PORT, Https, HttpsError, Request};
use crate::relay::{Resolver, Tls};
use crate::world::World;

/// Longest policy that is read (RFC 8461 section 3.3).
const POLICY_BYTES_MAX: usize = 64 << 10;
const PATH: &str = "/.well-known/mta-sts.txt";

/// Fetches policies.
#[async_trait]
pub trait PolicySource: Send + Sync + 'static {
    /// The policy that a domain shows now. `domain` is in ASCII and lower case. The
    /// caller limits the time.
    async fn fetch(&self, domain: &str) -> Result<Policy, FetchError>;
}

/// Why a policy could not be fetched.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Nothing came, or what is no policy at all.
    #[error("{0}")]
    Failed(String),
    /// The certificate of the server is not good.
    #[error("{0}")]
    Certificate(String),
    /// What came is broken.
    #[error("{0}")]
    Invalid(#[from] PolicyError),
}

/// The web: `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`.
pub struct WebPolicies {
    https: Https,
    resolver: Arc<dyn Resolver>,
    port: u16,
}

impl WebPolicies {
    /// Finds servers with `resolver`, and judges their certificates by the roots of
    /// `tls`, whatever its levels.
    pub fn new(resolver: impl Resolver, tls: Tls, world: World) -> Self {
        WebPolicies {
            https: Https::new(tls, world),
            resolver: Arc::new(resolver),
            port: HTTPS_PORT,
        }
    }

    /// Sets the port at which servers listen. Default 443; another is only of use
    /// in tests.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }
}

#[async_trait]
impl PolicySource for WebPolicies {
    async fn fetch(&self, domain: &str) -> Result<Policy, FetchError> {
        let host = format!("mta-sts.{domain}");
        let found = self.resolver.addresses(&host).await;
        let unknown = |error| FetchError::Failed(format!("{host} could not be looked up: {error}"));
        let request = Request {
            host: &host,
            addresses: &found.map_err(unknown)?.records,
            port: self.port,
            path: PATH,
            body_bytes_max: POLICY_BYTES_MAX,
        };
        let answer = self.https.get(request).await.map_err(|error| match error {
            HttpsError::Certificate(why) => FetchError::Certificate(why),
            HttpsError::Unreachable(why) | HttpsError::Broken(why) => FetchError::Failed(why),
        })?;
        policy(&host, &answer)
    }
}

/// The policy in an answer. Only what is there itself counts, and only as plain
/// text: other files may be those of the server's users.
fn policy(host: &str, answer: &Answer) -> Result<Policy, FetchError> {
    if answer.status != 200 {
        let why = format!("{host} answered {} for the policy", answer.status);
        return Err(FetchError::Failed(why));
    }
    let named = answer.content_type.as_deref().unwrap_or_default();
    let kind = named.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("text/plain") {
        let why = format!("{host} does not show the policy as text/plain");
        return Err(FetchError::Failed(why));
    }
    Ok(Policy::parse(&answer.body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, content_type: Option<&str>, body: &str) -> Result<Policy, String> {
        let answer = Answer {
            status,
            content_type: content_type.map(str::to_owned),
            body: body.into(),
        };
        policy("mta-sts.d.example", &answer).map_err(|error| error.to_string())
    }

    #[test]
    fn only_plain_text_that_is_there_is_a_policy() {
        let body = "version: STSv1\nmode: none\nmax_age: 1\n";
        for kind in [
            "text/plain",
            "Text/Plain; charset=us-ascii",
            "text/plain ;x",
        ] {
            assert!(read(200, Some(kind), body).is_ok(), "{kind}");
        }
        for kind in [None, Some("text/html"), Some(""), Some("text/plainer")] {
            let error = read(200, kind, body).unwrap_err();
            assert!(error.contains("as text/plain"), "{error}");
        }
        for status in [206, 301, 302, 404, 500] {
            let error = read(status, Some("text/plain"), body).unwrap_err();
            assert!(error.contains(&status.to_string()), "{error}");
        }
        let error = read(200, Some("text/plain"), "hello").unwrap_err();
        assert!(error.contains("line 1"), "{error}");
    }
}
