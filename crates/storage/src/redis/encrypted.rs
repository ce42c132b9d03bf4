//! How connections to Redis are encrypted.

use redis::{Client, ClientTlsConfig, ConnectionInfo, RedisError, TlsCertificates};

use crate::tls::{self, File};

/// Files that a URL names, as the options of redis-cli do.
#[derive(Clone, Default, Debug)]
pub(super) struct Files {
    root: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl Files {
    /// Takes an option if it is one of these.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let place = match name {
            "cacert" => &mut self.root,
            "cert" => &mut self.certificate,
            "key" => &mut self.key,
            _ => return Ok(false),
        };
        *place = Some(tls::decoded(value)?);
        Ok(true)
    }

    /// What stands in them; nothing if connections are not encrypted.
    pub(super) fn read(
        &self,
        is_tls: bool,
        is_insecure: bool,
    ) -> Result<Option<TlsCertificates>, String> {
        let Files {
            root,
            certificate,
            key,
        } = self;
        if !is_tls {
            return match root.is_some() || certificate.is_some() || key.is_some() {
                true => Err("cacert, cert and key are for rediss://".to_owned()),
                false => Ok(None),
            };
        }
        if is_insecure && root.is_some() {
            return Err("#insecure does not look at cacert: leave out one of them".to_owned());
        }
        let root_cert = match root {
            Some(file) => {
                let file = File::read(file)?;
                file.certificates()?;
                Some(file.pem)
            }
            None => None,
        };
        let client_tls = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (File::read(certificate)?, File::read(key)?);
                certificate.certificates()?;
                key.private_key()?;
                Some(ClientTlsConfig {
                    client_cert: certificate.pem,
                    client_key: key.pem,
                })
            }
            _ => return Err("cert and key belong together".to_owned()),
        };
        Ok(Some(TlsCertificates {
            client_tls,
            root_cert,
        }))
    }
}

/// A server, with these certificates for the connections to it.
pub(super) fn encrypt(
    info: ConnectionInfo,
    certificates: TlsCertificates,
) -> Result<ConnectionInfo, String> {
    // The client crate takes what the process has; another choice stays.
    let _ = tls::provider().install_default();
    let client = Client::build_with_tls(info, certificates).map_err(|error| error.to_string())?;
    Ok(client.get_connection_info().clone())
}

/// Why a connection is not encrypted as the URL asks, in words for the operator.
pub(super) fn refusal(error: &RedisError) -> Option<String> {
    tls::refusal(error, "cacert")
}
