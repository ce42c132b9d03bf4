//! How connections to next hops are made: TCP, or what stands in for it.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::source::bound;

/// A stream of bytes to a peer and back.
pub trait Stream: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> Stream for S {}

/// Makes connections.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Connects to `address`, from the local address `source` if one is named.
    /// The caller limits the time.
    async fn connect(
        &self,
        address: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<Box<dyn Stream>>;
}

/// The machine's own network.
pub(super) struct Tcp;

#[async_trait]
impl Connector for Tcp {
    async fn connect(
        &self,
        address: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<Box<dyn Stream>> {
        let stream = match source {
            Some(source) => bound(source)?.connect(address).await?,
            None => TcpStream::connect(address).await?,
        };
        // Commands are written whole: waiting for more only costs time.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
