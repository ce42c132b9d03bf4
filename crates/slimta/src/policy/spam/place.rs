//! Where a filter is reached.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::message::host_and_port;

/// Why a text is no URL of a filter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScannerUrlError {
    /// It is for no filter that is known.
    #[error(
        "it is the URL of no spam filter: spamd://HOST:PORT, spamd:/SOCKET, rspamd://HOST:PORT and rspamd:/SOCKET are"
    )]
    Scheme,
    /// It does not say where the filter is.
    #[error(
        "it lacks its host, as in \"{0}://127.0.0.1\", or the whole path of its socket, as in \"{0}:/run/{0}.sock\""
    )]
    NoPlace(&'static str),
    /// The path cannot be that of a socket.
    #[error("its path cannot be that of a socket: {0}")]
    Path(String),
}

/// The address of a filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    scheme: &'static str,
    door: Door,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Door {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Place {
    /// Reads `SCHEME://HOST:PORT` or `SCHEME:/PATH`.
    pub(super) fn read(
        url: &str,
        scheme: &'static str,
        port: u16,
    ) -> Result<Self, ScannerUrlError> {
        let rest = url
            .strip_prefix(scheme)
            .and_then(|rest| rest.strip_prefix(':'));
        let rest = rest.ok_or(ScannerUrlError::Scheme)?;
        let door = if let Some(authority) = rest.strip_prefix("//") {
            let place = host_and_port(authority, port);
            let (host, port) = place.ok_or(ScannerUrlError::NoPlace(scheme))?;
            Door::Tcp { host, port }
        } else {
            if !Path::new(rest).is_absolute() || rest.ends_with('/') {
                return Err(ScannerUrlError::NoPlace(scheme));
            }
            std::os::unix::net::SocketAddr::from_pathname(rest)
                .map_err(|error| ScannerUrlError::Path(error.to_string()))?;
            Door::Unix(rest.into())
        };
        Ok(Place { scheme, door })
    }

    /// Connects to it.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.door {
            Door::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Door::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme;
        match &self.door {
            Door::Tcp { host, port } if host.contains(':') => {
                write!(f, "{scheme}://[{host}]:{port}")
            }
            Door::Tcp { host, port } => write!(f, "{scheme}://{host}:{port}"),
            Door::Unix(path) => write!(f, "{scheme}:{}", path.display()),
        }
    }
}
