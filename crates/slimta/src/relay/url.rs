//! Relays by URL, as flags and configuration name them.

use std::net::SocketAddr;

use super::smtp::{MESSAGES_PER_CONNECTION, SMTP_PORT};
use super::{
    Blackhole, Farewells, Keeping, LmtpAddress, LmtpAddressError, LmtpRelay, Maildir, Origins,
    Reject, RejectError, Relay, SmtpLogin, SmtpRelay, Socks5, Sources, Tls,
};
use crate::message::host_and_port;
use crate::queue::ByDestination;
use crate::routing::{ByDomain, Router, Smarthost};
use crate::world::World;

/// A relay, and the router that names its destinations.
pub struct NextHop {
    /// Hands messages on.
    pub relay: Box<dyn Relay>,
    /// Splits messages for it.
    pub router: Box<dyn Router>,
}

/// The port of SMTP that begins with TLS (RFC 8314 section 7.3).
#[cfg(feature = "tls")]
const SMTPS_PORT: u16 = 465;

/// How a relay connects to next hops, where it does.
#[derive(Clone, Debug)]
pub struct Connections {
    /// How many messages each carries before it is ended. Default 100.
    pub messages: ByDestination<u32>,
    /// How long each is kept. Default: see [`Keeping`].
    pub keeping: Keeping,
    /// What ends those that are kept. Default: nothing, until nobody has used them for
    /// long.
    pub farewells: Farewells,
    /// From which addresses of this host they are made. Default: as the system
    /// chooses.
    pub sources: ByDestination<Sources>,
    /// What goes from elsewhere, and what this host calls itself. Default: nothing.
    pub origins: Origins,
    /// Through which proxies they are made. Default: through none.
    pub proxies: ByDestination<Option<Socks5>>,
    /// How they are encrypted. Default: see [`Tls`].
    pub tls: Tls,
    /// Who this host says it is to the server that a URL of SMTP names. Default: it
    /// does not say it.
    pub login: Option<SmtpLogin>,
    /// Which name servers are asked for mail exchangers. Default: those that the
    /// machine is set to ask, which stands for none here, too.
    pub name_servers: Vec<SocketAddr>,
    /// Where this host takes mail itself, for the relay `mx`: see
    /// `MxRelay::with_own_addresses`. Default: nowhere.
    pub own_addresses: Vec<SocketAddr>,
    /// What finds the policies of domains (MTA-STS), for the relay `mx`. Default:
    /// nobody looks for them.
    #[cfg(feature = "mta-sts")]
    pub mta_sts: Option<super::mta_sts::MtaSts>,
    /// What counts what comes of TLS, for the relay `mx`. Default: nobody does.
    #[cfg(feature = "mta-sts")]
    pub tls_reports: Option<super::tls_reports::TlsReports>,
}

impl Default for Connections {
    fn default() -> Self {
        Connections {
            messages: MESSAGES_PER_CONNECTION.into(),
            keeping: Keeping::default(),
            farewells: Farewells::default(),
            sources: Sources::default().into(),
            origins: Origins::default(),
            proxies: None.into(),
            tls: Tls::default(),
            login: None,
            name_servers: Vec::new(),
            own_addresses: Vec::new(),
            #[cfg(feature = "mta-sts")]
            mta_sts: None,
            #[cfg(feature = "mta-sts")]
            tls_reports: None,
        }
    }
}

/// Why a relay URL could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No relay has that name. The error lists what exists.
    #[error(
        "unknown relay \"{0}\": there are \"mx\", \"smtp://HOST:PORT\", \"smtps://HOST:PORT\", \"lmtp://HOST:PORT\", \"lmtp:/SOCKET\", \"pipe:/COMMAND ARGUMENT...\", \"maildir:DIRECTORY\", \"reject:CODE TEXT\" and \"blackhole:\""
    )]
    Unknown(String),
    /// What follows `smtp://` or `smtps://` is not a host and a port.
    #[error("the relay \"{0}\" lacks its host and port, as in \"smtp://127.0.0.1:2526\"")]
    NoHost(String),
    /// What follows `lmtp:` names no server.
    #[error("the relay \"{url}\" cannot be used: {error}")]
    Lmtp {
        /// The URL.
        url: String,
        /// Why.
        error: LmtpAddressError,
    },
    /// What follows `pipe:` is no command.
    #[cfg(feature = "pipe")]
    #[error("the relay \"{url}\" cannot be used: {error}")]
    Command {
        /// The URL.
        url: String,
        /// Why.
        error: super::PipeCommandError,
    },
    /// The program of a pipe is not there.
    #[cfg(feature = "pipe")]
    #[error("the relay \"{url}\" cannot be used: its command is not there: {error}")]
    Program {
        /// The URL.
        url: String,
        /// Why.
        error: std::io::Error,
    },
    /// What follows `reject:` is no answer.
    #[error(
        "the relay \"{url}\" cannot be used: {error}, as in \"reject:550 5.1.2 No mail for them\""
    )]
    Reject {
        /// The URL.
        url: String,
        /// Why.
        error: RejectError,
    },
    /// A Maildir without its directory.
    #[error("the relay \"{0}\" lacks its directory, as in \"maildir:./mail\"")]
    NoDirectory(String),
    /// A Maildir that cannot be made or written.
    #[error("the relay \"{url}\" cannot be used: {error}")]
    Directory {
        /// The URL.
        url: String,
        /// Why.
        error: std::io::Error,
    },
    /// The machine's DNS settings cannot be read.
    #[error("the relay \"mx\" cannot be used: {0}")]
    Dns(String),
}

/// Opens the relay that a URL names: `mx`, `smtp://HOST:PORT` (port 25 if it is
/// left out), `smtps://HOST:PORT` (with the feature `tls`; port 465),
/// `lmtp://HOST:PORT`, `lmtp:/SOCKET` (the path of a Unix socket),
/// `pipe:/COMMAND ARGUMENT...` (with the feature `pipe`: the words of a
/// `PipeCommand`), `maildir:DIRECTORY`, `reject:CODE TEXT` (a [`Reject`]) or `blackhole:`. `hostname` is what this host
/// calls itself.
pub fn open(url: &str, hostname: &str, world: World) -> Result<NextHop, OpenError> {
    open_with(url, hostname, Connections::default(), world)
}

/// As [`open`]; where there are connections, they are made so.
pub fn open_with(
    url: &str,
    hostname: &str,
    connections: Connections,
    world: World,
) -> Result<NextHop, OpenError> {
    let by_domain = || -> Box<dyn Router> {
        Box::new(ByDomain {
            local_domain: hostname.to_owned(),
        })
    };
    if let Some(relay) = smarthost(url, hostname, &world) {
        let relay = relay?.with_connections(connections);
        return Ok(NextHop {
            relay: Box::new(relay),
            router: Box::new(Smarthost::new(url)),
        });
    }
    if url.starts_with("lmtp:") {
        let address: LmtpAddress = url.parse().map_err(|error| OpenError::Lmtp {
            url: url.to_owned(),
            error,
        })?;
        let relay = LmtpRelay::new(address, hostname, world).with_connections(connections);
        return Ok(NextHop {
            relay: Box::new(relay),
            router: Box::new(Smarthost::new(url)),
        });
    }
    let relay: Box<dyn Relay> = match url.split_once(':') {
        #[cfg(feature = "mx")]
        None if url == "mx" => Box::new(mx(hostname, connections, world)?),
        Some(("blackhole", "")) => Box::new(Blackhole),
        Some(("reject", reply)) => Box::new(reject(url, reply)?),
        #[cfg(feature = "pipe")]
        Some(("pipe", command)) => Box::new(pipe(url, command, hostname, world)?),
        Some(("maildir", "")) => return Err(OpenError::NoDirectory(url.to_owned())),
        Some(("maildir", path)) => match Maildir::open(path) {
            Ok(maildir) => Box::new(maildir),
            Err(error) => {
                let url = url.to_owned();
                return Err(OpenError::Directory { url, error });
            }
        },
        _ => return Err(OpenError::Unknown(url.to_owned())),
    };
    Ok(NextHop {
        relay,
        router: by_domain(),
    })
}

/// The relay to mail exchangers.
#[cfg(feature = "mx")]
fn mx(hostname: &str, connections: Connections, world: World) -> Result<super::MxRelay, OpenError> {
    let dns = super::Dns::open(&connections.name_servers, super::DnsTrust::Nobody);
    let dns = dns.map_err(|error| OpenError::Dns(error.to_string()))?;
    Ok(super::MxRelay::new(dns, hostname, world).with_connections(connections))
}

fn reject(url: &str, reply: &str) -> Result<Reject, OpenError> {
    let url = || url.to_owned();
    let wrong = |error| OpenError::Reject { url: url(), error };
    reply.parse().map_err(wrong)
}

#[cfg(feature = "pipe")]
fn pipe(
    url: &str,
    command: &str,
    hostname: &str,
    world: World,
) -> Result<super::PipeRelay, OpenError> {
    let url = || url.to_owned();
    let command: super::PipeCommand = command
        .parse()
        .map_err(|error| OpenError::Command { url: url(), error })?;
    std::fs::metadata(command.program())
        .map_err(|error| OpenError::Program { url: url(), error })?;
    Ok(super::PipeRelay::new(command, hostname, world))
}

/// The relay to one server, if the URL names one.
fn smarthost(url: &str, hostname: &str, world: &World) -> Option<Result<SmtpRelay, OpenError>> {
    let to = |authority: &str, default_port| {
        let (host, port) = host_and_port(authority, default_port)
            .ok_or_else(|| OpenError::NoHost(url.to_owned()))?;
        Ok(SmtpRelay::new(host, port, hostname, world.clone()))
    };
    #[cfg(feature = "tls")]
    if let Some(authority) = url.strip_prefix("smtps://") {
        return Some(to(authority, SMTPS_PORT).map(SmtpRelay::with_implicit_tls));
    }
    let authority = url.strip_prefix("smtp://")?;
    Some(to(authority, SMTP_PORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        let opened = open(url, "mx.example", World::system());
        opened.err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn an_unknown_relay_is_told_what_exists() {
        for url in [
            "",
            "smtp",
            "smtps:",
            "pigeon:home",
            "blackhole",
            "blackhole:x",
            "mx:",
        ] {
            let error = error(url);
            assert!(
                error.contains("mx") && error.contains("maildir:"),
                "{url}: {error}"
            );
        }
    }

    #[test]
    fn a_next_hop_has_a_host_and_a_port() {
        let parsed = |text| host_and_port(text, 25).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(parsed("127.0.0.1:2526").as_deref(), Some("127.0.0.1 2526"));
        assert_eq!(parsed("mx.example").as_deref(), Some("mx.example 25"));
        assert_eq!(parsed("[::1]:26/").as_deref(), Some("::1 26"));
        for url in [
            "", ":25", "a:", "a:0", "a:65536", "a:b", "::1", "[a]:25", "[::1]25", "u@h:25",
        ] {
            assert_eq!(parsed(url), None, "{url}");
            assert!(error(&format!("smtp://{url}")).contains("host and port"));
            assert!(error(&format!("smtps://{url}")).contains("host and port"));
        }
    }

    #[test]
    fn a_server_of_lmtp_is_not_at_the_port_of_smtp() {
        assert!(error("lmtp://127.0.0.1:25").contains("RFC 2033"));
        assert!(error("lmtp:run/lmtp").contains("whole path"));
        assert_eq!(error("lmtp:/run/dovecot/lmtp"), "");
    }

    #[cfg(feature = "pipe")]
    #[test]
    fn a_command_is_there_and_named_by_its_whole_path() {
        assert!(error("pipe:maildrop -d {user}").contains("whole path"));
        assert!(error("pipe:/nowhere/maildrop").contains("not there"));
        assert!(error("pipe:/bin/sh -d{user}").contains("an argument of its own"));
        assert_eq!(error("pipe:/bin/sh {user}"), "");
    }

    #[test]
    fn a_maildir_that_cannot_be_made_is_named() {
        assert!(error("maildir:").contains("directory"));
        assert!(error("maildir:/dev/null/x").contains("/dev/null/x"));
    }
}
