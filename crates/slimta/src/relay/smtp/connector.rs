//! How connections to next hops are made: TCP, a Unix socket, or what stands in
//! for them.

use std::fmt::{self, Debug};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::source::bound;

/// A stream of bytes to a peer and back.
pub trait Stream: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> Stream for S {}

/// Where a next hop listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// At an address.
    Tcp(SocketAddr),
    /// At a socket of this machine, by its path.
    Unix(PathBuf),
}

impl Endpoint {
    /// The address, where there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Endpoint::Tcp(address) => Some(address.ip()),
            Endpoint::Unix(_) => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => fmt::Display::fmt(address, f),
            Endpoint::Unix(path) => fmt::Display::fmt(&path.display(), f),
        }
    }
}

/// Makes connections.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Connects to `endpoint`, from the local address `source` if one is named,
    /// as it never is for a Unix socket. The caller limits the time.
    async fn connect(
        &self,
        endpoint: &Endpoint,
        source: Option<IpAddr>,
    ) -> io::Result<Box<dyn Stream>>;
}

/// The machine's own network and files.
pub(super) struct Network;

#[async_trait]
impl Connector for Network {
    async fn connect(
        &self,
        endpoint: &Endpoint,
        source: Option<IpAddr>,
    ) -> io::Result<Box<dyn Stream>> {
        let stream = match (endpoint, source) {
            (Endpoint::Unix(path), _) => return Ok(Box::new(UnixStream::connect(path).await?)),
            (Endpoint::Tcp(address), Some(source)) => bound(source)?.connect(*address).await?,
            (Endpoint::Tcp(address), None) => TcpStream::connect(address).await?,
        };
        // Commands are written whole: waiting for more only costs time.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
