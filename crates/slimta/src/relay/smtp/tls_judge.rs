//! What is wrong with a certificate that is taken anyway, because its host's domain
//! only wants to be told (RFC 8461 section 5).

use std::sync::Arc;

use rustls::Error;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::time_provider::TimeProvider as _;

use super::tls_config::WorldTime;
use super::tls_roots::Roots;
use super::tls_seen::{FaultKind, TlsFault};
use super::tls_words::certificate;
use crate::world::World;

/// Says what a verified session would have failed for.
pub(super) struct Judge {
    verifier: Arc<WebPkiServerVerifier>,
    time: WorldTime,
}

impl Judge {
    /// By these roots; none if they cannot serve.
    pub(super) fn new(roots: Roots, world: &World) -> Option<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = WebPkiServerVerifier::builder_with_provider(roots.0, provider);
        Some(Judge {
            verifier: builder.build().ok()?,
            time: WorldTime(world.clone()),
        })
    }

    /// What is wrong with the certificates that the host `host` has shown.
    pub(super) fn fault(
        &self,
        shown: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        host: &str,
    ) -> Option<TlsFault> {
        let (own, others) = shown.split_first()?;
        let now = self.time.current_time()?;
        let verdict = self
            .verifier
            .verify_server_cert(own, others, name, &[], now);
        Some(match verdict.err()? {
            Error::InvalidCertificate(why) => certificate(&why, host),
            other => TlsFault::new(FaultKind::ValidationFailure, other.to_string()),
        })
    }
}
