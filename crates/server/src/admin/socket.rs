//! The admin socket of a running server.
//!
//! Whoever may open the socket file is an operator: it has mode 0600 and lies
//! in the storage's directory, which only its owner may enter. One request a
//! connection; sizes, times and the number of connections are bounded.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use slimta_core::world::World;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::desk::Desk;
use super::protocol::{ANSWER_BYTES_MAX, Answer, Asked, REQUEST_BYTES_MAX, Reply, VERSION};
use crate::failure::Failure;

/// Its name in the storage's directory.
const SOCKET_NAME: &str = "admin.sock";
/// Longest path of a Unix socket, which the system keeps in 108 bytes with a
/// zero at the end.
const PATH_BYTES_MAX: usize = 107;
/// Operators served at the same time; others wait.
const CONNECTIONS_MAX: usize = 16;
/// How long a request may take to arrive, and its answer to be read.
const TRANSFER_TIME_MAX: Duration = Duration::from_secs(30);
/// How long an answer may take to be read once the server ends.
const LAST_WORD_TIME_MAX: Duration = Duration::from_secs(1);
/// Wait after a connection could not be taken, as when no file can be opened.
const ACCEPT_FAILURE_DELAY: Duration = Duration::from_millis(100);

/// Where the admin socket of a storage in `directory` lies.
pub(crate) fn socket_path(directory: &Path) -> PathBuf {
    directory.join(SOCKET_NAME)
}

/// A listening admin socket. Its file goes with it.
pub(crate) struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Listens at `path`, which must not be too long. A socket file that lies
    /// there already, but that nobody answers on, is what a crashed server left
    /// behind, and is replaced.
    pub(crate) fn bind(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::Usage(format!(
                "cannot listen on the admin socket {}: {error}",
                path.display()
            ))
        };
        remove_stale(path).map_err(failed)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        let owner_only = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, owner_only).map_err(failed)?;
        Ok(AdminSocket {
            listener,
            path: path.to_owned(),
        })
    }

    /// Serves until `stopped` completes and what was asked by then is done.
    pub(crate) async fn serve(
        &self,
        desk: Arc<Desk>,
        world: World,
        stopped: impl Future<Output = ()>,
    ) {
        let answer = move |line: Vec<u8>| {
            let desk = desk.clone();
            async move { answer(&line, &desk).await }
        };
        self.serve_with(answer, world, stopped).await;
    }

    /// The same, whoever gives the answers.
    pub(super) async fn serve_with<F>(
        &self,
        answer: impl Fn(Vec<u8>) -> F + Clone + Send + 'static,
        world: World,
        stopped: impl Future<Output = ()>,
    ) where
        F: Future<Output = Written> + Send,
    {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        // The sender never sends: what ends the wait is that it is gone.
        let (serves, ends) = watch::channel(());
        let mut serving = JoinSet::new();
        tokio::pin!(stopped);
        loop {
            let accepted = tokio::select! {
                () = &mut stopped => break,
                accepted = self.accept(&places) => accepted,
            };
            match accepted {
                Ok((stream, place)) => {
                    let (answer, world, ends) = (answer.clone(), world.clone(), ends.clone());
                    serving.spawn(async move {
                        // An operator who hangs up is no event.
                        let _ = serve_one(stream, answer, &world, ends).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "admin socket could not take a connection");
                    world.sleep(ACCEPT_FAILURE_DELAY).await;
                }
            }
            while serving.try_join_next().is_some() {}
        }
        drop(serves);
        while serving.join_next().await.is_some() {}
    }

    async fn accept(
        &self,
        places: &Arc<Semaphore>,
    ) -> io::Result<(UnixStream, OwnedSemaphorePermit)> {
        let place = places.clone().acquire_owned().await;
        let place = place.map_err(io::Error::other)?;
        let (stream, _) = self.listener.accept().await?;
        Ok((stream, place))
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Left behind it would only be replaced by the next server.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Says what is wrong with a path that the system would only call invalid.
pub(crate) fn check_length(path: &Path) -> Result<(), Failure> {
    let length = path.as_os_str().len();
    if length <= PATH_BYTES_MAX {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "the path of the admin socket has {length} bytes, but at most {PATH_BYTES_MAX} are \
         possible: {}; keep the storage in a shorter path, or name one with --admin-socket",
        path.display()
    )))
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if found.file_type().is_socket() => {
            match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another server answers there",
                )),
                Err(_) => std::fs::remove_file(path),
            }
        }
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of that name that is not a socket",
        )),
    }
}

/// The line of an answer, and the contents that follow it.
pub(super) type Written = (Vec<u8>, Vec<u8>);

async fn serve_one<F: Future<Output = Written>>(
    stream: UnixStream,
    answer: impl FnOnce(Vec<u8>) -> F,
    world: &World,
    mut ends: watch::Receiver<()>,
) -> Option<()> {
    let (reading, mut writing) = stream.into_split();
    let mut line = Vec::new();
    let mut reading = BufReader::new(reading.take(REQUEST_BYTES_MAX as u64));
    let read = reading.read_until(b'\n', &mut line);
    tokio::select! {
        read = world.timeout(TRANSFER_TIME_MAX, read) => read?.ok()?,
        // Who has not said yet what they want is not served.
        _ = ends.changed() => return None,
    };
    // Never cut: what is done has its line in the log before the server ends.
    let (answer, contents) = answer(line).await;
    let writing = async {
        writing.write_all(&answer).await?;
        writing.write_all(&contents).await?;
        writing.shutdown().await
    };
    let last_word = async {
        let _ = ends.changed().await;
        world.sleep(LAST_WORD_TIME_MAX).await;
    };
    tokio::select! {
        written = world.timeout(TRANSFER_TIME_MAX, writing) => written?.ok(),
        () = last_word => None,
    }
}

async fn answer(line: &[u8], desk: &Desk) -> Written {
    let mut contents = Vec::new();
    let answer = match understand(line) {
        Err(why) => Answer::Failed(why),
        Ok(asked) => match desk.ask(asked.request).await {
            Err(error) => Answer::Failed(error.to_string()),
            Ok(Reply::Listed(listed)) => Answer::Listed(listed),
            Ok(Reply::Stats(stats)) => Answer::Stats(stats),
            Ok(Reply::Destinations(all)) => Answer::Destinations(all),
            Ok(Reply::Acted(acted)) => Answer::Acted(acted),
            Ok(Reply::Previewed(previewed)) => Answer::Previewed(previewed),
            Ok(Reply::Suspended(suspended)) => Answer::Suspended(suspended),
            Ok(Reply::Resumed(resumed)) => Answer::Resumed(resumed),
            Ok(Reply::Reloaded(reloaded)) => Answer::Reloaded(reloaded),
            Ok(Reply::NotReloaded(why)) => Answer::Failed(why),
            Ok(Reply::Contents(None)) => Answer::Missing,
            Ok(Reply::Contents(Some(found))) => {
                contents = found;
                Answer::Contents {
                    bytes: contents.len() as u64,
                }
            }
        },
    };
    (written(&answer), contents)
}

fn understand(line: &[u8]) -> Result<Asked, String> {
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err(format!(
            "a request is one line of at most {REQUEST_BYTES_MAX} bytes"
        ));
    };
    // The version first: words of another version need not make sense.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let versioned: Versioned =
        serde_json::from_slice(line).map_err(|error| format!("not a request: {error}"))?;
    if versioned.version != VERSION {
        let theirs = versioned.version;
        return Err(format!(
            "this server speaks version {VERSION} of the admin socket, not {theirs}"
        ));
    }
    serde_json::from_slice(line).map_err(|error| format!("not a request: {error}"))
}

/// Reads a line and writes what it asks, for the fuzzer.
pub(crate) fn understand_and_write(line: &[u8]) -> Result<Vec<u8>, String> {
    let asked = understand(line)?;
    let mut line = serde_json::to_vec(&asked).map_err(|error| error.to_string())?;
    line.push(b'\n');
    Ok(line)
}

fn written(answer: &Answer) -> Vec<u8> {
    let line = serde_json::to_vec(answer).unwrap_or_default();
    let fits = !line.is_empty() && line.len() < ANSWER_BYTES_MAX;
    let mut line = if fits {
        line
    } else {
        br#"{"failed":"the answer is too long"}"#.to_vec()
    };
    line.push(b'\n');
    line
}
