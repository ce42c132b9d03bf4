//! The handshake of a client, and its session behind it.

use std::future::Future;
use std::io;
use std::pin::Pin;

use bytes::BytesMut;
use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::server::TlsStream;

use super::Encryption;
use crate::edge::smtp::connection::{Connection, Ended, linger, reached};
use crate::edge::smtp::listen::Phase;

/// A connection under TLS. In a box, because what TLS keeps is large.
type Encrypted<S> = Connection<Box<TlsStream<S>>>;

/// Turns a connection to TLS and serves the client there. `place` is that of
/// the handshake, and given back after it.
///
/// In boxes of their own: a connection in the clear keeps no room for it, nor a
/// session for its handshake.
pub(in crate::edge::smtp) fn serve<S>(
    connection: Connection<S>,
    encryption: Encryption,
    place: OwnedSemaphorePermit,
) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let shaking = Box::pin(handshake(connection, encryption.clone()));
    Box::pin(async move {
        let mut connection = shaking.await?;
        drop(place);
        if encryption.is_implicit() {
            connection.greet().await;
        }
        match connection.converse().await? {
            Ended::Over => Ok(()),
            // A session that is secured never asks for it.
            Ended::Encrypting(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    })
}

/// Makes the handshake, within the time that a command may take. If it fails
/// the connection is closed.
async fn handshake<S>(connection: Connection<S>, encryption: Encryption) -> io::Result<Encrypted<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Connection {
        edge,
        stream,
        ip,
        mut session,
        pace,
        mut phase,
        is_permitted,
        place: origin_place,
        ..
    } = connection;
    let accepting = async {
        let acceptor = encryption.tls.acceptor(&edge.world).await;
        acceptor.accept(stream).into_fallible().await
    };
    let limit = edge.limits.command_time_max;
    let accepted = tokio::select! {
        biased;
        () = reached(&mut phase, Phase::Stopping) => return Err(io::ErrorKind::Interrupted.into()),
        accepted = edge.world.timeout(limit, accepting) => accepted,
    };
    let stream = match accepted {
        Some(Ok(stream)) => stream,
        Some(Err((error, mut stream))) => {
            tracing::info!(%ip, %error, "no TLS with a client");
            // It is to see the alert that says why.
            let _ = linger(&edge.world, &mut stream, &mut BytesMut::new()).await;
            return Err(error);
        }
        None => {
            tracing::info!(%ip, "no TLS with a client: it took too long");
            return Err(io::ErrorKind::TimedOut.into());
        }
    };
    let (_, tls) = stream.get_ref();
    let version = version_name(tls.protocol_version());
    let cipher = tls.negotiated_cipher_suite().map(|cipher| cipher.suite());
    let name = tls.server_name();
    let cipher = cipher.map(tracing::field::debug);
    tracing::debug!(%ip, version, cipher, name, "client encrypted");
    session.secured(version);
    Ok(Connection {
        edge,
        stream: Box::new(stream),
        ip,
        session,
        // It was empty: nothing that came in the clear goes on under TLS.
        input: BytesMut::new(),
        pace,
        phase,
        is_permitted,
        exchange: None,
        place: origin_place,
    })
}

/// The name of a version as it is written.
fn version_name(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLS",
    }
}
