//! A PostgreSQL server in a temporary directory, stopped when the last who uses
//! it is done.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::ports::free_port;

const START_TIME_MAX: Duration = Duration::from_secs(20);

static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());

/// A running server, or one that is stopped and can be started again.
#[derive(Debug)]
pub(crate) struct Server {
    process: Mutex<Option<Child>>,
    port: u16,
    settings: Vec<String>,
    schemas: AtomicU32,
    directory: TempDir,
}

/// How a server ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// Clients are cut off, what they began is rolled back.
    Fast,
    /// As a crash: what is not in the log on disk is gone.
    Immediate,
}

impl Server {
    /// The one that runs, or a new one.
    pub(crate) fn running() -> Arc<Self> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = running.upgrade() {
            return server;
        }
        let server = Arc::new(Server::with(&[]));
        *running = Arc::downgrade(&server);
        server
    }

    /// One of its own, with these settings (`name=value`).
    pub(crate) fn with(settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        if is_root() {
            assert!(run(Command::new("chown").arg("postgres").arg(&data)));
        }
        let mut initdb = as_postgres(&program("initdb"));
        initdb.args(["--auth=trust", "--username=slimta", "--encoding=UTF8"]);
        initdb.args(["--no-sync", "-D"]);
        assert!(run(initdb.arg(&data)), "initdb failed");
        let server = Server {
            process: Mutex::new(None),
            port: free_port(),
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            schemas: AtomicU32::new(0),
            directory,
        };
        server.start();
        server
    }

    /// Starts it, again on what it has left.
    pub(crate) fn start(&self) {
        let data = self.directory.path().join("data").display().to_string();
        let mut command = as_postgres(&program("postgres"));
        command.args(["-D", &data, "-p", &self.port.to_string()]);
        command.args(["-h", "127.0.0.1", "-k", "", "-c", "max_connections=500"]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        *self.process.lock().unwrap() = Some(command.spawn().unwrap());
        let begin = Instant::now();
        let mut ready = Command::new(program("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        while !run(&mut ready) {
            assert!(
                begin.elapsed() < START_TIME_MAX,
                "PostgreSQL does not start"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it and waits for its end.
    pub(crate) fn stop(&self, how: Stop) {
        let Some(mut process) = self.process.lock().unwrap().take() else {
            return;
        };
        let signal = match how {
            Stop::Fast => "-INT",
            Stop::Immediate => "-QUIT",
        };
        run(Command::new("kill").args([signal, &process.id().to_string()]));
        let _ = process.wait();
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://slimta@127.0.0.1:{}/postgres", self.port)
    }

    /// The URL of an empty schema.
    pub(crate) fn schema(&self) -> String {
        let number = self.schemas.fetch_add(1, Ordering::Relaxed);
        self.sql(&format!("CREATE SCHEMA test{number}"));
        format!("{}?options=-csearch_path%3Dtest{number}", self.url())
    }

    /// What statements give, as psql prints it.
    #[track_caller]
    pub(crate) fn sql(&self, statements: &str) -> String {
        let said = self.try_sql(&self.url(), statements);
        said.unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    /// The same with another URL, or what psql complains of.
    pub(crate) fn try_sql(&self, url: &str, statements: &str) -> Result<String, String> {
        let mut psql = Command::new(program("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", url]);
        let output = psql.args(["-c", statements]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Connections that are still open do not keep it from stopping.
        self.stop(Stop::Fast);
    }
}

/// Where Debian keeps the programs of its newest version, or any in the PATH.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions.flatten().map(|version| version.path()).max();
    let found = newest.map(|version| version.join("bin").join(name));
    found
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from(name))
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        "--",
    ]);
    command.arg(program).current_dir("/");
    command
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

fn run(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.unwrap().success()
}
