//! Connections that a proxy passes on: whose they are stands in a header in
//! front of them (PROXY protocol), and counts from then on.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use slimta_smtp::proxy::{self, Header, NoHeader, Progress};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;

use super::SmtpEdge;
use super::connection::reached;
use super::listen::Phase;

/// How long a proxy may take for its header, which it sends at once.
const HEADER_TIME_MAX: Duration = Duration::from_secs(5);

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) ip: IpAddr,
    /// Whether that is the client itself, and not a proxy that cannot say who
    /// the client is: what the proxy may, such a client may not.
    pub(super) is_client: bool,
}

impl Peer {
    /// A client that has connected itself.
    pub(super) fn client(ip: IpAddr) -> Self {
        let is_client = true;
        Peer { ip, is_client }
    }
}

impl SmtpEdge {
    /// Whether connections from that address begin with a header.
    pub(super) fn has_header_from(&self, ip: IpAddr) -> bool {
        let is_proxy = self.proxy_headers.as_ref();
        is_proxy.is_some_and(|is_proxy| is_proxy(ip))
    }

    /// Reads the header that the proxy at `ip` sends; none if the connection is
    /// to be closed.
    pub(super) async fn peer_behind(
        &self,
        ip: IpAddr,
        stream: &mut (impl AsyncRead + Unpin),
        mut phase: watch::Receiver<Phase>,
    ) -> Option<Peer> {
        let header = tokio::select! {
            biased;
            () = reached(&mut phase, Phase::Stopping) => return None,
            header = self.world.timeout(HEADER_TIME_MAX, header(stream)) => header,
        };
        match header {
            Some(Ok(Header::Client(client))) => {
                tracing::debug!(%client, proxy = %ip, "client connected by a proxy");
                Some(Peer::client(client.ip().to_canonical()))
            }
            Some(Ok(Header::Nobody)) => {
                tracing::debug!(proxy = %ip, "a proxy connected for nobody");
                let is_client = false;
                Some(Peer { ip, is_client })
            }
            Some(Err(error)) => {
                tracing::warn!(proxy = %ip, %error, "connection of a proxy closed");
                None
            }
            None => {
                tracing::warn!(proxy = %ip, "connection of a proxy closed: no header came in time");
                None
            }
        }
    }
}

/// Reads a header, and nothing behind it.
async fn header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Header> {
    let wrong = |error: NoHeader| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut input = Vec::new();
    loop {
        match proxy::read(&input).map_err(wrong)? {
            Progress::Done(header) => return Ok(header),
            Progress::Needs(bytes) => {
                let more = stream.take(bytes as u64).read_buf(&mut input).await?;
                if more == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}
