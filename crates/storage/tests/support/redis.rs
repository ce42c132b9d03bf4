//! Redis servers in temporary directories, shared by the tests that run at the
//! same time and stopped with the last of them.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::ports::free_port;

const START_TIME_MAX: Duration = Duration::from_secs(20);

static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// What a server that loses nothing is told.
pub(crate) const SAFE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

#[derive(Debug)]
pub(crate) struct Server {
    process: Mutex<Child>,
    pub(crate) port: u16,
    settings: Vec<String>,
    prefixes: AtomicU32,
    directory: TempDir,
}

impl Server {
    /// The one that runs and loses nothing, or a new one.
    pub(crate) fn running() -> Arc<Self> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = running.upgrade() {
            return server;
        }
        let server = Arc::new(Server::start(&SAFE));
        *running = Arc::downgrade(&server);
        server
    }

    /// A server of its own.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let settings = settings.iter().map(ToString::to_string).collect();
        let server = Server {
            process: Mutex::new(spawn(port, &settings, &directory)),
            port,
            settings,
            prefixes: AtomicU32::new(0),
            directory,
        };
        server.wait();
        server
    }

    fn wait(&self) {
        let begin = Instant::now();
        while self.cli(&["PING"]) != "PONG" {
            assert!(begin.elapsed() < START_TIME_MAX, "Redis does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port on which it speaks TLS, or else its only one.
    pub(crate) fn tls_or_port(&self) -> String {
        let mut settings = self.settings.iter();
        let tls = settings.find(|setting| *setting == "--tls-port");
        let port = tls.and_then(|_| settings.next()).cloned();
        port.unwrap_or_else(|| self.port.to_string())
    }

    /// What `redis-cli` prints.
    pub(crate) fn cli(&self, command: &[&str]) -> String {
        let port = self.port.to_string();
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &port]).args(command).stderr(Stdio::null());
        let output = cli.output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The URL of an empty queue, and what the names of its keys begin with.
    pub(crate) fn queue_with_prefix(&self) -> (String, String) {
        let number = self.prefixes.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("test{number}");
        let url = format!("{}?prefix={prefix}", self.url());
        (url, prefix)
    }

    /// The URL of an empty queue.
    pub(crate) fn queue(&self) -> String {
        self.queue_with_prefix().0
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Sends it a signal, such as `-STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process.lock().unwrap().id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Starts it again on what it has on its disk.
    pub(crate) fn restart(&self) {
        *self.process.lock().unwrap() = spawn(self.port, &self.settings, &self.directory);
        self.wait();
    }

    /// The directory that it keeps its files in.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }
}

fn spawn(port: u16, settings: &Vec<String>, directory: &TempDir) -> Child {
    let mut command = Command::new("redis-server");
    command
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .args(settings)
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}
