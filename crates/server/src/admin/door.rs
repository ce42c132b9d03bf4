//! How a command reaches a queue: through the admin socket of the server that
//! has it open, or straight to a [`Desk`] in this process.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::desk::Desk;
use super::protocol::{ANSWER_BYTES_MAX, Answer, Asked, Reply, Request, VERSION};
use crate::failure::Failure;

/// A way to a queue.
pub(crate) enum Door {
    /// The socket of a running server.
    Socket(PathBuf),
    /// The store, open in this process.
    Desk(Desk),
}

impl Door {
    /// The door of the server that listens at `path`; none if none does.
    pub(crate) async fn beside(path: &Path) -> Result<Option<Self>, Failure> {
        match UnixStream::connect(path).await {
            // The server finds it closed without a request, and thinks nothing of it.
            Ok(_) => Ok(Some(Door::Socket(path.to_owned()))),
            Err(error) if is_nobody(&error) => Ok(None),
            Err(error) => Err(unreachable(path, &error)),
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&self, request: Request) -> Result<Reply, Failure> {
        match self {
            Door::Desk(desk) => desk
                .ask(request)
                .await
                .map_err(|error| Failure::Failed(error.to_string())),
            Door::Socket(path) => ask_socket(path, request)
                .await
                .map_err(|error| unreachable(path, &error))?,
        }
    }

    /// Ends what was opened.
    pub(crate) async fn close(self) {
        if let Door::Desk(desk) = self {
            desk.close().await;
        }
    }
}

/// Nobody listens: there is no socket, or only the file of a dead server.
fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

fn unreachable(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!(
        "the server at {} cannot be asked: {error}",
        path.display()
    ))
}

async fn ask_socket(path: &Path, request: Request) -> io::Result<Result<Reply, Failure>> {
    let mut line = serde_json::to_vec(&Asked {
        version: VERSION,
        request,
    })?;
    line.push(b'\n');
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(&line).await?;
    let mut reading = BufReader::new(stream);
    let mut line = Vec::new();
    (&mut reading)
        .take(ANSWER_BYTES_MAX as u64)
        .read_until(b'\n', &mut line)
        .await?;
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(match serde_json::from_slice(&line)? {
        Answer::Listed(listed) => Ok(Reply::Listed(listed)),
        Answer::Stats(stats) => Ok(Reply::Stats(stats)),
        Answer::Destinations(all) => Ok(Reply::Destinations(all)),
        Answer::Acted(acted) => Ok(Reply::Acted(acted)),
        Answer::Previewed(previewed) => Ok(Reply::Previewed(previewed)),
        Answer::Suspended(suspended) => Ok(Reply::Suspended(suspended)),
        Answer::Resumed(resumed) => Ok(Reply::Resumed(resumed)),
        Answer::Reloaded(reloaded) => Ok(Reply::Reloaded(reloaded)),
        Answer::Missing => Ok(Reply::Contents(None)),
        Answer::Failed(why) => Err(Failure::Failed(why)),
        Answer::Contents { bytes } => {
            Ok(Reply::Contents(Some(contents(&mut reading, bytes).await?)))
        }
    })
}

async fn contents(reading: &mut BufReader<UnixStream>, bytes: u64) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    reading.take(bytes).read_to_end(&mut contents).await?;
    if contents.len() as u64 == bytes {
        Ok(contents)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
