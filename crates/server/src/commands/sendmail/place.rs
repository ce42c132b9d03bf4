//! Where the server is that takes the mail: what the environment says, else what
//! its configuration says, else where it listens by default.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::status::{Ended, Status};
use crate::config::{Options, Settings};
use crate::failure::Failure;
use crate::values::ServerAddress;

/// Names the server, `HOST:PORT`.
const SERVER_VARIABLE: &str = "SLIMTA_SMTP";
/// Names the configuration, where no option does.
const CONFIG_VARIABLE: &str = "SLIMTA_CONFIG";

/// A server, and what holds for mail that goes to it.
pub(super) struct Place {
    /// Where it takes mail.
    pub(super) server: ServerAddress,
    /// The name of this host.
    pub(super) hostname: String,
    /// The largest message.
    pub(super) bytes_max: usize,
}

impl Place {
    /// By the configuration that `-C` named, or another.
    pub(super) fn find(config: Option<PathBuf>) -> Result<Self, Ended> {
        let settings = Settings::read(options(config)).map_err(unusable)?;
        let server = match std::env::var(SERVER_VARIABLE) {
            Ok(server) if !server.is_empty() => server.parse().map_err(|why: String| {
                Status::Config.because(format!("{SERVER_VARIABLE}={server}: {why}"))
            })?,
            _ => {
                let plain = settings.listeners.iter().filter(|l| l.is_plain_smtp());
                let first = plain.flat_map(|listener| &listener.addresses).next();
                listener(first.copied())?
            }
        };
        Ok(Place {
            server,
            hostname: settings.hostname,
            bytes_max: settings.edge.message_bytes_max,
        })
    }
}

/// What of the server's options is known here.
pub(super) fn options(config: Option<PathBuf>) -> Options {
    let named = std::env::var_os(CONFIG_VARIABLE).filter(|name| !name.is_empty());
    Options {
        config: config.or_else(|| named.map(PathBuf::from)),
        ..Options::default()
    }
}

/// A failure to read the configuration.
pub(super) fn unusable(failure: Failure) -> Ended {
    Status::Config.because(failure.to_string())
}

/// How the first listener is reached from this host.
fn listener(first: Option<SocketAddr>) -> Result<ServerAddress, Ended> {
    let unknown = |why: &str| {
        Status::Config.because(format!(
            "{why}: say HOST:PORT of the server by {SERVER_VARIABLE}"
        ))
    };
    let first = first.ok_or_else(|| unknown("no SMTP is spoken in the clear"))?;
    if first.port() == 0 {
        return Err(unknown("the server takes any port that is free"));
    }
    let ip = match first.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(ServerAddress(SocketAddr::new(ip, first.port()).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_reached_here() {
        for (listen, reached) in [
            ("127.0.0.1:2525", "127.0.0.1:2525"),
            ("192.0.2.1:25", "192.0.2.1:25"),
            ("0.0.0.0:25", "127.0.0.1:25"),
            ("[::]:25", "[::1]:25"),
        ] {
            let listen = Some(listen.parse().unwrap());
            assert_eq!(listener(listen).unwrap().0, reached);
        }
        for listen in [Some("127.0.0.1:0".parse().unwrap()), None] {
            let Err(Ended::With(status, why)) = listener(listen) else {
                panic!("{listen:?} was reached");
            };
            assert_eq!(status, Status::Config);
            assert!(why.contains(SERVER_VARIABLE));
        }
    }
}
