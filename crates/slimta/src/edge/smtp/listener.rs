//! Where clients come from: a TCP listener, or what stands in for it.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Gives the connections that clients open.
#[async_trait]
pub trait Listener: Send + Sync + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Waits for the next client, and says who it is. Cancel-safe.
    async fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;

    /// Says a line to a client for whom there is no place, and hangs up. Never
    /// waits.
    fn refuse(stream: Self::Stream, line: &[u8]) -> io::Result<()>;
}

#[async_trait]
impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // Replies are written whole; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        Ok((stream, peer))
    }

    fn refuse(stream: TcpStream, line: &[u8]) -> io::Result<()> {
        let mut stream = stream.into_std()?;
        stream.write_all(line)
    }
}
