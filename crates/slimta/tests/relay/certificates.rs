//! Certificates of next hops, good ones and others.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use slimta::relay::Roots;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert, WantsServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::TLS12;
use tokio_rustls::rustls::{ALL_VERSIONS, ConfigBuilder, ServerConfig, SupportedProtocolVersion};

type Versions<'v> = &'v [&'static SupportedProtocolVersion];

/// One who signs the certificates of others.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        Authority(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// As a file of its certificate is read.
    pub(crate) fn roots(&self) -> Roots {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("roots.pem");
        std::fs::write(&file, self.0.pem()).unwrap();
        Roots::read(&file).unwrap()
    }

    /// A host of this name, or at this address.
    pub(crate) fn host(&self, name: &str) -> Arc<ServerConfig> {
        self.sign(CertificateParams::new([name.to_owned()]).unwrap())
    }

    /// The same, years too late.
    pub(crate) fn host_of_old(&self, name: &str) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    /// One that knows no version of TLS above 1.2.
    pub(crate) fn host_of_tls12(&self, name: &str) -> Arc<ServerConfig> {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        config(&certificate, &key, &[&TLS12])
    }

    /// A host of this name that shows the certificate of its root, too, or does not.
    pub(crate) fn host_with_root(&self, name: &str, shows: bool) -> Shown {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        self.show(params, shows)
    }

    /// The same, years too late.
    pub(crate) fn host_of_old_with_root(&self, name: &str) -> Shown {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.show(params, true)
    }

    fn show(&self, params: CertificateParams, shows: bool) -> Shown {
        let key = KeyPair::generate().unwrap();
        let host = params.signed_by(&key, &self.0).unwrap();
        let root: &Certificate = self.0.as_ref();
        let mut chain = vec![host.der().clone()];
        chain.extend(shows.then(|| root.der().clone()));
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = builder(ALL_VERSIONS).with_single_cert(chain, private);
        Shown {
            config: Arc::new(config.unwrap()),
            certificate: root.der().to_vec(),
            key: self.0.key().subject_public_key_info(),
        }
    }

    fn sign(&self, params: CertificateParams) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        config(&certificate, &key, ALL_VERSIONS)
    }
}

/// A host, and the certificate that its TLSA records speak of.
pub(crate) struct Shown {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

/// A host whose certificate nobody signed but itself, years too late.
pub(crate) fn shown_by_itself(name: &str) -> Shown {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    Shown {
        config: config(&certificate, &key, ALL_VERSIONS),
        certificate: certificate.der().to_vec(),
        key: key.subject_public_key_info(),
    }
}

/// A host whose certificate nobody signed but itself.
pub(crate) fn self_signed(name: &str) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    config(&params.self_signed(&key).unwrap(), &key, ALL_VERSIONS)
}

fn config(certificate: &Certificate, key: &KeyPair, versions: Versions<'_>) -> Arc<ServerConfig> {
    let chain = vec![certificate.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Arc::new(builder(versions).with_single_cert(chain, key).unwrap())
}

/// A host that has no certificate, and so fails each handshake.
pub(crate) fn without_certificate() -> Arc<ServerConfig> {
    #[derive(Debug)]
    struct Nobody;
    impl ResolvesServerCert for Nobody {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            None
        }
    }
    Arc::new(builder(ALL_VERSIONS).with_cert_resolver(Arc::new(Nobody)))
}

fn builder(versions: Versions<'_>) -> ConfigBuilder<ServerConfig, WantsServerCert> {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
}
