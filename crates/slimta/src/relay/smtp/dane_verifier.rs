//! Judges a certificate by the TLSA records of its host (RFC 7671 section 5, RFC
//! 7672 section 3).

use std::sync::Arc;

use ::ring::digest::{SHA256, SHA512, digest};
use rustls::SignatureScheme;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore};

use super::super::der;
use super::super::tlsa::{Association, Data, Holder, Part};
use super::host_tls::Dane;
use super::tls_config::builder;
use crate::world::World;

/// For mail that only the host of these records may read. A session is never
/// resumed: the records may have changed since.
pub(super) fn judged_by(dane: Arc<Dane>, world: &World) -> Result<Arc<ClientConfig>, String> {
    let verifier = DaneVerifier {
        dane,
        algorithms: ring::default_provider().signature_verification_algorithms,
    };
    let builder = builder(world)?.dangerous();
    let builder = builder.with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = builder.with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct DaneVerifier {
    dane: Arc<Dane>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl DaneVerifier {
    fn is_named(&self, holder: Holder, certificate: &CertificateDer<'_>) -> bool {
        let associations = self.dane.associations.iter();
        let mut associations = associations.filter(|association| association.holder == holder);
        associations.any(|association| fits(association, certificate))
    }

    /// The issuers that the records name: those that came with the certificate, and
    /// such as the DNS has whole, which need not come (RFC 7671 section 5.2).
    fn issuers(&self, chain: &[&CertificateDer<'_>]) -> RootCertStore {
        let mut issuers = RootCertStore::empty();
        let came = chain.iter().copied();
        let came = came.filter(|certificate| self.is_named(Holder::Issuer, certificate));
        let published = self.dane.associations.iter().filter_map(|association| {
            match (association.holder, association.part, &association.data) {
                (Holder::Issuer, Part::Whole, Data::Full(data)) => {
                    Some(CertificateDer::from(data.clone()))
                }
                _ => None,
            }
        });
        for issuer in came
            .cloned()
            .map(CertificateDer::into_owned)
            .chain(published)
        {
            // One that cannot sign stands for nothing.
            let _ = issuers.add(issuer);
        }
        issuers.roots.extend(self.bare_issuers(chain));
        issuers
    }

    /// Issuers of which the DNS has the bare key (RFC 7671 section 5.2.3). What they are
    /// called it does not say: as those who issued something of the chain are.
    fn bare_issuers(&self, chain: &[&CertificateDer<'_>]) -> Vec<TrustAnchor<'static>> {
        let names = chain
            .iter()
            .filter_map(|certificate| der::issuer(certificate));
        let names: Vec<_> = names.collect();
        let keys = self.dane.associations.iter().filter_map(|association| {
            match (association.holder, association.part, &association.data) {
                (Holder::Issuer, Part::Key, Data::Full(data)) => der::first(data),
                _ => None,
            }
        });
        let anchors = keys.flat_map(|(_, key, _)| {
            names.iter().map(move |name| TrustAnchor {
                subject: name.to_vec().into(),
                subject_public_key_info: key.to_vec().into(),
                name_constraints: None,
            })
        });
        anchors.collect()
    }

    /// An issuer stands for many hosts, so the certificate has to be this one's
    /// (RFC 7672 section 3.2.2).
    fn check_name(&self, certificate: &ParsedCertificate<'_>) -> Result<(), Error> {
        let mut checked = Err(CertificateError::NotValidForName.into());
        for name in [&self.dane.base].into_iter().chain(&self.dane.domains) {
            let Ok(name) = ServerName::try_from(name.as_str()) else {
                continue;
            };
            checked = verify_server_name(certificate, &name);
            if checked.is_ok() {
                break;
            }
        }
        checked
    }
}

impl ServerCertVerifier for DaneVerifier {
    /// The host's own certificate is good whatever its name and its age: the DNS
    /// says whose it is, and for how long (RFC 7672 section 3.1.1).
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.is_named(Holder::Host, certificate) {
            return Ok(ServerCertVerified::assertion());
        }
        let chain: Vec<_> = [certificate].into_iter().chain(intermediates).collect();
        let issuers = self.issuers(&chain);
        if issuers.is_empty() {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        let parsed = ParsedCertificate::try_from(certificate)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &issuers,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        self.check_name(&parsed)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether a certificate is what an association says (RFC 6698 section 2.1).
fn fits(association: &Association, certificate: &CertificateDer<'_>) -> bool {
    let part = match association.part {
        Part::Whole => certificate.as_ref().to_vec(),
        Part::Key => match ParsedCertificate::try_from(certificate) {
            Ok(parsed) => parsed.subject_public_key_info().as_ref().to_vec(),
            Err(_) => return false,
        },
    };
    match &association.data {
        Data::Full(data) => *data == part,
        Data::Sha256(hash) => digest(&SHA256, &part).as_ref() == hash,
        Data::Sha512(hash) => digest(&SHA512, &part).as_ref() == hash,
    }
}
