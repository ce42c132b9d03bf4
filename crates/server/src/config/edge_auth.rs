//! Who may authenticate, as options say it.

use std::path::PathBuf;

use slimta::edge::smtp::{AuthMode, CredentialsFile, SendersFile};

use super::Options;
use crate::failure::Failure;

/// The users of the edge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EdgeAuth {
    file: PathBuf,
    senders: Option<PathBuf>,
    is_in_clear: bool,
}

impl EdgeAuth {
    /// What options say; none if it is nothing.
    pub(super) fn of(options: &Options) -> Result<Option<Self>, Failure> {
        let is_in_clear = options.auth_in_clear.unwrap_or(false);
        let senders = options.senders.clone();
        let Some(file) = options.credentials.clone() else {
            let needing = [
                ("auth-in-clear", is_in_clear),
                ("senders", senders.is_some()),
            ];
            return match needing.into_iter().find(|(_, is_said)| *is_said) {
                Some((option, _)) => Err(Failure::setting(
                    option,
                    "it needs a file of users: name it as credentials",
                )),
                None => Ok(None),
            };
        };
        if !is_in_clear && options.tls_certificate.is_empty() {
            return Err(Failure::setting(
                "credentials",
                "they need TLS, or nobody can use them: name a certificate as tls-certificate \
                 and tls-key, or take passwords in the clear by auth-in-clear = true",
            ));
        }
        Ok(Some(EdgeAuth {
            file,
            senders,
            is_in_clear,
        }))
    }

    /// Reads the file.
    pub(crate) fn open(&self) -> Result<CredentialsFile, Failure> {
        let opened = CredentialsFile::open(self.file.clone());
        opened.map_err(|error| Failure::setting("credentials", error))
    }

    /// Reads the file of the addresses that they may send from, if there is one.
    pub(crate) fn open_senders(&self) -> Result<Option<SendersFile>, Failure> {
        let opened = self.senders.clone().map(SendersFile::open).transpose();
        opened.map_err(|error| Failure::setting("senders", error))
    }

    /// Where clients may say who they are.
    pub(crate) fn mode(&self) -> AuthMode {
        match self.is_in_clear {
            true => AuthMode::InClear,
            false => AuthMode::UnderTls,
        }
    }
}
