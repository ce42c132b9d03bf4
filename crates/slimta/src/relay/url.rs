//! Relays by URL, as flags and configuration name them.

use super::smtp::MESSAGES_PER_CONNECTION;
use super::{Blackhole, Maildir, Relay, SmtpRelay, Sources};
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

/// Why a relay URL could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No relay has that name. The error lists what exists.
    #[error(
        "unknown relay \"{0}\": there are \"mx\", \"smtp://HOST:PORT\", \"maildir:DIRECTORY\" and \"blackhole:\""
    )]
    Unknown(String),
    /// What follows `smtp://` is not a host and a port.
    #[error("the relay \"{0}\" lacks its host and port, as in \"smtp://127.0.0.1:2526\"")]
    NoHost(String),
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
/// left out), `maildir:DIRECTORY` or `blackhole:`. `hostname` is what this host
/// calls itself.
pub fn open(url: &str, hostname: &str, world: World) -> Result<NextHop, OpenError> {
    let (messages, sources) = (MESSAGES_PER_CONNECTION.into(), Sources::default().into());
    open_with(url, hostname, messages, sources, world)
}

/// As [`open`]; where there are connections, each carries so many messages and
/// is made from such an address of this host.
pub fn open_with(
    url: &str,
    hostname: &str,
    messages: ByDestination<u32>,
    sources: ByDestination<Sources>,
    world: World,
) -> Result<NextHop, OpenError> {
    let by_domain = || -> Box<dyn Router> {
        Box::new(ByDomain {
            local_domain: hostname.to_owned(),
        })
    };
    if let Some(authority) = url.strip_prefix("smtp://") {
        let (host, port) =
            host_and_port(authority).ok_or_else(|| OpenError::NoHost(url.to_owned()))?;
        return Ok(NextHop {
            relay: Box::new(
                SmtpRelay::new(host, port, hostname, world)
                    .with_messages_per_connection(messages)
                    .with_sources(sources),
            ),
            router: Box::new(Smarthost::new(url)),
        });
    }
    let relay: Box<dyn Relay> = match url.split_once(':') {
        #[cfg(feature = "mx")]
        None if url == "mx" => {
            let dns = super::Dns::of_system().map_err(|e| OpenError::Dns(e.to_string()))?;
            let relay = super::MxRelay::new(dns, hostname, world);
            let relay = relay.with_messages_per_connection(messages);
            Box::new(relay.with_sources(sources))
        }
        Some(("blackhole", "")) => Box::new(Blackhole),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        let opened = open(url, "mx.example", World::system());
        opened.err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn an_unknown_relay_is_told_what_exists() {
        for url in ["", "smtp", "pigeon:home", "blackhole", "blackhole:x", "mx:"] {
            let error = error(url);
            assert!(
                error.contains("mx") && error.contains("maildir:"),
                "{url}: {error}"
            );
        }
    }

    #[test]
    fn a_next_hop_has_a_host_and_a_port() {
        let parsed = |text| host_and_port(text).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(parsed("127.0.0.1:2526").as_deref(), Some("127.0.0.1 2526"));
        assert_eq!(parsed("mx.example").as_deref(), Some("mx.example 25"));
        assert_eq!(parsed("[::1]:26/").as_deref(), Some("::1 26"));
        for url in [
            "", ":25", "a:", "a:0", "a:65536", "a:b", "::1", "[a]:25", "[::1]25", "u@h:25",
        ] {
            assert_eq!(parsed(url), None, "{url}");
            assert!(error(&format!("smtp://{url}")).contains("host and port"));
        }
    }

    #[test]
    fn a_maildir_that_cannot_be_made_is_named() {
        assert!(error("maildir:").contains("directory"));
        assert!(error("maildir:/dev/null/x").contains("/dev/null/x"));
    }
}
