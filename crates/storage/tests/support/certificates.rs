//! Certificates for servers of a test, made for it and signed by a root of its own.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

/// Some of the conformance suite: it has no rule for encryption, and takes a
/// minute on a busy machine.
macro_rules! conformance_over_tls {
    ($engine:expr) => {
        slimta_core::storage_conformance! { @rules $engine;
            storing::contents_survive_byte_for_byte
            storing::big_contents_and_many_recipients_survive
            leasing::racing_sessions_never_get_the_same_message
            settling::a_notice_is_stored_with_the_removal
            settling::a_stale_settlement_stores_no_notice
            operating::lists_come_in_pages_in_order
        }
    };
}
pub(crate) use conformance_over_tls;

/// Files in a directory, in PEM: for the root, and for each name given, a
/// certificate `NAME.pem` and its key `NAME.key`.
#[derive(Debug)]
pub(crate) struct Certificates {
    root: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Certificates {
    /// A root, and a server certificate `server` for this machine by address only.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut root = CertificateParams::default();
        root.distinguished_name.push(DnType::CommonName, "a root");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let certificates = Certificates { root, directory };
        let root = &certificates.root;
        certificates.write("root", &root.pem(), root.key());
        certificates.make("server", "127.0.0.1");
        certificates
    }

    /// A certificate for a name or an address, and a user of PostgreSQL.
    pub(crate) fn make(&self, file: &str, name: &str) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "slimta");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.root).unwrap();
        self.write(file, &signed.pem(), &key);
    }

    fn write(&self, file: &str, certificate: &str, key: &KeyPair) {
        fs::write(self.file(&format!("{file}.pem")), certificate).unwrap();
        let key_file = self.file(&format!("{file}.key"));
        fs::write(&key_file, key.serialize_pem()).unwrap();
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Where one of the files is.
    pub(crate) fn file(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Gives a key to the user that PostgreSQL runs as, if that is another.
    pub(crate) fn give_to_postgres(&self, name: &str) {
        // Without the right to do so it is the same user.
        let mut chown = Command::new("chown");
        let _ = chown.args(["-f", "postgres", &self.file(name)]).status();
    }
}
