//! Whether and how connections are encrypted: the parameters of a URL, with the
//! meaning that libpq gives them.

use std::error::Error;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::rows::told;
use crate::tls::{self, File};

/// The root that stands for all that the system trusts.
const SYSTEM: &str = "system";
/// As libpq does when it is told which version of the protocol it is.
const PROTOCOL: &[u8] = b"postgresql";
/// What tokio-postgres says of a server that declines.
const NOT_OFFERED: &str = "server does not support TLS";

/// What a URL says of encryption.
#[derive(Clone, Default, Debug)]
pub(super) struct Parameters {
    mode: Option<String>,
    root: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

/// What is checked of a server's certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Check {
    Nothing,
    Issuer,
    IssuerAndName,
}

impl Parameters {
    /// Takes a parameter if it is one of these.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let place = match name {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.root,
            "sslcert" => &mut self.certificate,
            "sslkey" => &mut self.key,
            _ => return Ok(false),
        };
        *place = Some(tls::decoded(value)?);
        Ok(true)
    }

    /// Whether connections are encrypted, and what makes them so.
    pub(super) fn settle(&self) -> Result<(SslMode, MakeRustlsConnect), String> {
        let (mode, check) = self.mode()?;
        let provider = Arc::new(tls::provider());
        let algorithms = provider.signature_verification_algorithms;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = match check {
            Check::IssuerAndName => config.with_root_certificates(self.roots()?),
            Check::Issuer | Check::Nothing => {
                let roots = match check {
                    Check::Issuer => Some(self.roots()?),
                    _ => None,
                };
                let lenient = Lenient { roots, algorithms };
                let config = config.dangerous();
                config.with_custom_certificate_verifier(Arc::new(lenient))
            }
        };
        let mut config = match (&self.certificate, &self.key) {
            (None, None) => config.with_no_client_auth(),
            (Some(certificate), Some(key)) => config
                .with_client_auth_cert(
                    File::read(certificate)?.certificates()?,
                    File::read(key)?.private_key()?,
                )
                .map_err(|error| format!("{certificate} and {key} do not fit: {error}"))?,
            _ => return Err("sslcert and sslkey belong together".to_owned()),
        };
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok((mode, MakeRustlsConnect::new(config)))
    }

    fn mode(&self) -> Result<(SslMode, Check), String> {
        let is_system = self.root.as_deref() == Some(SYSTEM);
        let default = if is_system { "verify-full" } else { "prefer" };
        let mode = self.mode.as_deref().unwrap_or(default);
        let known = match mode {
            "disable" => (SslMode::Disable, Check::Nothing),
            "prefer" => (SslMode::Prefer, Check::Nothing),
            // With a root, libpq does what verify-ca says.
            "require" if self.root.is_some() => (SslMode::Require, Check::Issuer),
            "require" => (SslMode::Require, Check::Nothing),
            "verify-ca" => (SslMode::Require, Check::Issuer),
            "verify-full" => (SslMode::Require, Check::IssuerAndName),
            other => {
                return Err(format!(
                    "sslmode is disable, prefer, require, verify-ca or verify-full, not \"{other}\""
                ));
            }
        };
        // Anybody gets a certificate that the system trusts, for a name of theirs.
        if is_system && known.1 != Check::IssuerAndName {
            return Err(format!(
                "sslrootcert=system needs sslmode=verify-full, not {mode}"
            ));
        }
        if self.root.is_some() && known.1 == Check::Nothing {
            return Err(format!(
                "sslmode={mode} does not look at sslrootcert: say sslmode=verify-full"
            ));
        }
        Ok(known)
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        match self.root.as_deref().filter(|root| *root != SYSTEM) {
            Some(file) => {
                for certificate in File::read(file)?.certificates()? {
                    let added = roots.add(certificate);
                    added.map_err(|error| format!("{file} is no root: {error}"))?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    let why = "this system has no root certificates (Debian's are in \
                               ca-certificates): install them, or name a file as sslrootcert";
                    return Err(why.to_owned());
                }
            }
        }
        Ok(roots)
    }
}

/// Why a connection is not encrypted as the URL asks, in words for the operator.
pub(super) fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    if told(error).ends_with(NOT_OFFERED) {
        let why = "it offers no TLS: set ssl = on there, or sslmode=disable in the URL if nobody \
                   can listen in";
        return Some(why.to_owned());
    }
    tls::refusal(error, "sslrootcert")
}

/// Takes a certificate for any name, and without roots from any issuer.
#[derive(Debug)]
struct Lenient {
    roots: Option<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(certificate)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                roots,
                intermediates,
                now,
                algorithms,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    // Who is bound to the channel by a password has the key of its certificate.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
