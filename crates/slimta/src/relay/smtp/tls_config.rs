//! What a handshake takes for good: any certificate, or one that a root stands
//! for.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, SignatureScheme, WantsVerifier};

use super::tls_roots::Roots;
use crate::world::World;

/// For mail that need not be protected from those who can change what is sent.
pub(super) fn takes_any(world: &World) -> Result<Arc<ClientConfig>, String> {
    let any = AnyCertificate(ring::default_provider().signature_verification_algorithms);
    let builder = builder(world)?.dangerous();
    let builder = builder.with_custom_certificate_verifier(Arc::new(any));
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// For mail that only the host of that name may read.
pub(super) fn verifies(roots: Roots, world: &World) -> Result<Arc<ClientConfig>, String> {
    let builder = builder(world)?.with_root_certificates(roots.0);
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// The provider is named each time, for the process belongs to whoever embeds
/// this. Its keys are random whatever the [`World`] says.
pub(super) fn builder(world: &World) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    let provider = Arc::new(ring::default_provider());
    let time = Arc::new(WorldTime(world.clone()));
    // TLS 1.2 and 1.3.
    ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("No TLS on this host: {error}"))
}

/// Judges whether a certificate is valid yet, and still.
#[derive(Debug)]
pub(super) struct WorldTime(pub(super) World);

impl TimeProvider for WorldTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_secs()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Takes a certificate for any name, from any issuer, of any age. That the host
/// has its key is checked all the same.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
