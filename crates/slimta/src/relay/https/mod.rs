//! A client of HTTPS for the few requests that mail needs: one a connection, no
//! redirects, no cache. A certificate is always verified.

mod answer;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(super) use answer::Answer;
use answer::Incoming;

use super::Tls;
use crate::world::World;

/// The port of HTTPS.
pub(super) const HTTPS_PORT: u16 = 443;
/// How long an address of a server may take to be connected to.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How much is read at once.
const READ_BYTES: usize = 8 << 10;

/// What is asked of a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    /// The name of the server, in ASCII; its certificate is for this name.
    pub(super) host: &'a str,
    /// Where it may listen; the first that can be connected to is asked.
    pub(super) addresses: &'a [IpAddr],
    pub(super) port: u16,
    /// The path with its query, as it goes into the request.
    pub(super) path: &'a str,
    /// The longest body that the answer may have.
    pub(super) body_bytes_max: usize,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum HttpsError {
    /// Nobody could be asked.
    #[error("{0}")]
    Unreachable(String),
    /// Who was asked is not the server of that name.
    #[error("{0}")]
    Certificate(String),
    /// What came is no answer.
    #[error("{0}")]
    Broken(String),
}

/// Asks servers.
#[derive(Clone, Debug)]
pub(super) struct Https {
    tls: Tls,
    world: World,
}

impl Https {
    /// Certificates are judged by the roots of `tls`.
    pub(super) fn new(tls: Tls, world: World) -> Self {
        Https { tls, world }
    }

    /// Asks for what is at a path (GET). The caller limits the time.
    pub(super) async fn get(&self, request: Request<'_>) -> Result<Answer, HttpsError> {
        let Request { path, .. } = request;
        let head = format!(
            "GET {path} HTTP/1.1\r\n{}\r\n",
            fields(request.host, request.port)
        );
        self.exchange(request, head.as_bytes()).await
    }

    /// Hands something to what is at a path (POST). The caller limits the time.
    pub(super) async fn post(
        &self,
        request: Request<'_>,
        content_type: &str,
        body: &[u8],
    ) -> Result<Answer, HttpsError> {
        let head = format!(
            "POST {} HTTP/1.1\r\n{}Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            request.path,
            fields(request.host, request.port),
            body.len()
        );
        self.exchange(request, &[head.as_bytes(), body].concat())
            .await
    }

    async fn exchange(&self, request: Request<'_>, said: &[u8]) -> Result<Answer, HttpsError> {
        let Request { host, .. } = request;
        let config = self.tls.verifying(&self.world).await;
        let connector = TlsConnector::from(config.map_err(HttpsError::Unreachable)?);
        let nameless = |_| HttpsError::Certificate(format!("{host} has no name for a certificate"));
        let name = ServerName::try_from(host.to_owned()).map_err(nameless)?;
        let stream = self.connect(request).await?;
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|error| no_tls(host, &error))?;
        let broken = |why: String| HttpsError::Broken(format!("{host} gave no answer: {why}"));
        converse(stream, said, request.body_bytes_max)
            .await
            .map_err(broken)
    }

    async fn connect(&self, request: Request<'_>) -> Result<TcpStream, HttpsError> {
        let Request {
            host,
            addresses,
            port,
            ..
        } = request;
        let mut why = format!("{host} has no address");
        for ip in addresses {
            let address = SocketAddr::new(*ip, port);
            let connecting = TcpStream::connect(address);
            match self.world.timeout(CONNECT_TIME_MAX, connecting).await {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => why = format!("no connection to {host} at {address}: {error}"),
                None => why = format!("no connection to {host} at {address}: no answer"),
            }
        }
        Err(HttpsError::Unreachable(why))
    }
}

/// The fields of every request. The end of the connection is that of the answer,
/// unless the answer knows better.
fn fields(host: &str, port: u16) -> String {
    let port = match port {
        HTTPS_PORT => String::new(),
        port => format!(":{port}"),
    };
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "Host: {host}{port}\r\nUser-Agent: slimta/{version}\r\nAccept: */*\r\nConnection: close\r\n"
    )
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    said: &[u8],
    body_bytes_max: usize,
) -> Result<Answer, String> {
    let lost = |error: io::Error| error.to_string();
    stream.write_all(said).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;
    let mut incoming = Incoming::new(body_bytes_max);
    let mut piece = vec![0; READ_BYTES];
    loop {
        let length = stream.read(&mut piece).await.map_err(lost)?;
        let heard = piece.get(..length).unwrap_or_default();
        if length == 0 || incoming.hear(heard)? {
            return Ok(incoming.end()?);
        }
    }
}

/// Why a handshake with the server came to nothing.
fn no_tls(host: &str, error: &io::Error) -> HttpsError {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error @ rustls::Error::InvalidCertificate(_)) => {
            HttpsError::Certificate(format!("the certificate of {host} is not good: {error}"))
        }
        _ => HttpsError::Unreachable(format!("no TLS with {host}: {error}")),
    }
}
