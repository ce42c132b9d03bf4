//! `sendmail -bs`: the server's own session, on stdin and stdout.
//!
//! Every byte is passed on as it is, and nothing is added: what is said is between
//! the program that called and the server.

use std::path::PathBuf;

use tokio::io::{AsyncWriteExt, copy, stdin, stdout};
use tokio::net::TcpStream;

use super::place::Place;
use super::status::{Ended, Status};
use crate::commands::block_on;

/// Passes bytes both ways until the server has ended the session, which it also
/// does when nothing more can come.
pub(super) fn pipe(config: Option<PathBuf>) -> Result<(), Ended> {
    let place = Place::find(config)?;
    let piped = block_on(both_ways(&place.server.0));
    let piped = piped.map_err(|failure| Status::System.because(failure.to_string()))?;
    piped.map_err(|error| {
        let server = &place.server.0;
        Status::Later.because(format!("the session with {server} failed: {error}"))
    })
}

async fn both_ways(server: &str) -> std::io::Result<()> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let (mut from_server, mut to_server) = stream.into_split();
    let mut output = stdout();
    let up = async move {
        // It fails if the server has ended the session, and it is told why below.
        let _ = copy(&mut stdin(), &mut to_server).await;
        let _ = to_server.shutdown().await;
    };
    let down = async {
        copy(&mut from_server, &mut output).await?;
        output.flush().await
    };
    tokio::pin!(down);
    tokio::select! {
        // The last word is the server's.
        done = &mut down => done,
        () = up => down.await,
    }
}
