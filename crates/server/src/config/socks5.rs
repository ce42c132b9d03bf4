//! The SOCKS5 proxies through which next hops are connected to, as options say them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use slimta::message::host_and_port;
use slimta::relay::Socks5;
use slimta_core::queue::ByDestination;

use super::Options;
use crate::failure::Failure;

/// Where proxies listen (IANA).
const PORT: u16 = 1080;
const NONE: &str = "none";
/// A file larger than this is no password.
const PASSWORD_FILE_BYTES_MAX: usize = 4096;

/// The place of a proxy, or none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ProxyOrNone(Option<(String, u16)>);

impl FromStr for ProxyOrNone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == NONE {
            return Ok(ProxyOrNone(None));
        }
        let place = host_and_port(text, PORT);
        let wrong = || format!("{text:?} is no proxy: name it as HOST:PORT, or say {NONE}");
        Ok(ProxyOrNone(Some(place.ok_or_else(wrong)?)))
    }
}

/// A proxy, and who this host says it is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Proxy {
    host: String,
    port: u16,
    login: Option<Login>,
}

/// A name, the file of its password, and the option that named it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Login {
    user: String,
    file: PathBuf,
    file_key: String,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Options {
    /// Through what each destination is connected to.
    pub(super) fn proxies(&self) -> Result<ByDestination<Option<Proxy>>, Failure> {
        let (user, file) = (&self.socks5_user, &self.socks5_password_file);
        let all = Proxy::of(self.socks5.as_ref(), user, file, "")?.flatten();
        let mut proxies = ByDestination::new(all);
        for (pattern, options) in &self.destination {
            let table = format!("destination.\"{pattern}\".");
            let (user, file) = (&options.socks5_user, &options.socks5_password_file);
            if let Some(proxy) = Proxy::of(options.socks5.as_ref(), user, file, &table)? {
                proxies = proxies.with_rule(pattern.clone(), proxy);
            }
        }
        Ok(proxies)
    }
}

impl Proxy {
    /// What was said in one table, if something was.
    fn of(
        said: Option<&ProxyOrNone>,
        user: &Option<String>,
        file: &Option<PathBuf>,
        table: &str,
    ) -> Result<Option<Option<Self>>, Failure> {
        let key = |option: &str| format!("{table}{option}");
        let login = match (user, file) {
            (None, None) => None,
            (Some(user), Some(file)) => Some(Login {
                user: user.clone(),
                file: file.clone(),
                file_key: key("socks5-password-file"),
            }),
            (Some(_), None) => {
                let why = "it needs its socks5-password-file";
                return Err(Failure::setting(key("socks5-user"), why));
            }
            (None, Some(_)) => {
                let why = "it needs a socks5-user";
                return Err(Failure::setting(key("socks5-password-file"), why));
            }
        };
        match said {
            Some(ProxyOrNone(Some((host, port)))) => Ok(Some(Some(Proxy {
                host: host.clone(),
                port: *port,
                login,
            }))),
            _ if login.is_some() => Err(Failure::setting(
                key("socks5-user"),
                "it needs a socks5 beside it, HOST:PORT",
            )),
            Some(ProxyOrNone(None)) => Ok(Some(None)),
            None => Ok(None),
        }
    }

    /// Reads the password, if it has one.
    pub(crate) fn open(&self) -> Result<Socks5, Failure> {
        let proxy = Socks5::new(&self.host, self.port);
        let Some(login) = &self.login else {
            return Ok(proxy);
        };
        let wrong = |error: &dyn fmt::Display| {
            let file = login.file.display();
            let why = format!("{error}, for the proxy {self}: look at {file}");
            Failure::setting(&login.file_key, why)
        };
        let password = first_line(&login.file).map_err(|error| wrong(&error))?;
        let told = proxy.with_login(&login.user, &password);
        told.map_err(|error| wrong(&error))
    }
}

/// The first line of a file, without its end.
fn first_line(file: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::read(file)?;
    let bytes = bytes.get(..PASSWORD_FILE_BYTES_MAX).unwrap_or(&bytes);
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
    Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}
