//! One run of a command.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};

use super::status::{failed_for_now, response};
use crate::message::Response;
use crate::world::World;

/// What a command sees of the environment of this process.
const ENVIRONMENT: [&str; 4] = ["HOME", "LANG", "PATH", "TZ"];
/// How much is kept of what a command writes to stderr; the rest is read and
/// thrown away, so that it does not wait for a reader.
const STDERR_BYTES_MAX: usize = 4 << 10;
/// How long to read what is left of it once the command has ended: something
/// that it left behind may keep it open.
const STDERR_TIME_MAX: Duration = Duration::from_secs(1);

/// A command that runs, and all that it has started. It is killed when this is
/// dropped.
struct Running {
    group: Group,
    child: Child,
    stderr: ChildStderr,
}

/// The process group of a child that is not reaped yet, so that its id is that
/// of no other.
struct Group(Option<Pid>);

impl Group {
    fn kill(&mut self) {
        if let Some(pid) = self.0.take() {
            // Nobody is left to be told if it is gone by itself.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program on `input` to its end, for as long as `limit` at most.
pub(super) async fn run(
    program: &Path,
    arguments: &[&str],
    input: File,
    world: &World,
    limit: Duration,
) -> Response {
    let mut running = match Running::start(program, arguments, input) {
        Ok(running) => running,
        Err(error) => {
            let program = program.display();
            tracing::warn!(%program, %error, "the command of a relay could not be started");
            return failed_for_now(format!("The command could not be started: {error}"));
        }
    };
    match world.timeout(limit, running.ended(world)).await {
        Some(Ok(response)) => response,
        Some(Err(error)) => failed_for_now(format!("The command was lost: {error}")),
        None => {
            let text = format!("The command took longer than {limit:?} and was killed");
            failed_for_now(text)
        }
    }
}

impl Running {
    fn start(program: &Path, arguments: &[&str], input: File) -> io::Result<Self> {
        let own = ENVIRONMENT.map(|name| (name, std::env::var_os(name)));
        let own = own
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(own)
            .current_dir("/")
            .stdin(input)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let group = Group(pid.and_then(Pid::from_raw));
        let stderr = child.stderr.take();
        Ok(Running {
            group,
            stderr: stderr.ok_or(io::ErrorKind::BrokenPipe)?,
            child,
        })
    }

    /// Waits for its end, and reads meanwhile what it says.
    async fn ended(&mut self, world: &World) -> io::Result<Response> {
        let mut said = Vec::new();
        let status = tokio::select! {
            status = self.child.wait() => status,
            () = listen(&mut self.stderr, &mut said) => self.child.wait().await,
        }?;
        self.group.0 = None;
        let listening = listen(&mut self.stderr, &mut said);
        world.timeout(STDERR_TIME_MAX, listening).await;
        Ok(response(status, &said))
    }
}

/// Reads to the end, and keeps the beginning.
async fn listen(stderr: &mut ChildStderr, said: &mut Vec<u8>) {
    let mut block = [0; 1 << 10];
    while let Ok(count @ 1..) = stderr.read(&mut block).await {
        let room = STDERR_BYTES_MAX.saturating_sub(said.len());
        said.extend(block.iter().take(count.min(room)));
    }
}
