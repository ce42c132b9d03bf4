//! The SOCKS5 proxies through which next hops are connected to, as options say them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use slimta::message::host_and_port;
use slimta::relay::Socks5;
use slimta_core::queue::ByDestination;

use super::Options;
use super::relay_login::warn_if_open_to_all;
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
    /// A name, and the file of its password.
    login: Option<(String, PathBuf)>,
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
            let place = format!(" (in [destination.\"{pattern}\"])");
            let (user, file) = (&options.socks5_user, &options.socks5_password_file);
            if let Some(proxy) = Proxy::of(options.socks5.as_ref(), user, file, &place)? {
                proxies = proxies.with_rule(pattern.clone(), proxy);
            }
        }
        Ok(proxies)
    }
}

impl Proxy {
    /// What was said at one place, if something was.
    fn of(
        said: Option<&ProxyOrNone>,
        user: &Option<String>,
        file: &Option<PathBuf>,
        place: &str,
    ) -> Result<Option<Option<Self>>, Failure> {
        let wrong = |why: &str| Err(Failure::Usage(format!("{why}{place}")));
        let login = match (user, file) {
            (None, None) => None,
            (Some(user), Some(file)) => Some((user.clone(), file.clone())),
            _ => return wrong("socks5-user and socks5-password-file need each other"),
        };
        match said {
            Some(ProxyOrNone(Some((host, port)))) => Ok(Some(Some(Proxy {
                host: host.clone(),
                port: *port,
                login,
            }))),
            _ if login.is_some() => wrong("socks5-user needs a socks5 beside it, HOST:PORT"),
            Some(ProxyOrNone(None)) => Ok(Some(None)),
            None => Ok(None),
        }
    }

    /// Reads the password, if it has one.
    pub(crate) fn open(&self) -> Result<Socks5, Failure> {
        let proxy = Socks5::new(&self.host, self.port);
        let Some((user, file)) = &self.login else {
            return Ok(proxy);
        };
        let wrong = |error: &dyn fmt::Display| {
            let file = file.display();
            Failure::Usage(format!(
                "{error}, for the proxy {self}: look at {file} (socks5-password-file)"
            ))
        };
        let password = first_line(file).map_err(|error| wrong(&error))?;
        warn_if_open_to_all(file);
        let told = proxy.with_login(user, &password);
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
