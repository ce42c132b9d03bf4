//! A PostgreSQL server in a temporary directory, shared by the tests that run
//! at the same time and stopped with the last of them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::NoTls;

const START_TIME_MAX: Duration = Duration::from_secs(20);

static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());

#[derive(Debug)]
pub(super) struct Server {
    process: Mutex<Child>,
    port: u16,
    schemas: AtomicU32,
    _directory: TempDir,
}

impl Server {
    /// The one that runs, or a new one.
    pub(super) fn running() -> Arc<Self> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = running.upgrade() {
            return server;
        }
        let server = Arc::new(Server::start());
        *running = Arc::downgrade(&server);
        server
    }

    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        if is_root() {
            assert!(run(Command::new("chown").arg("postgres").arg(&data)));
        }
        let mut initdb = as_postgres(&program("initdb"));
        initdb.args(["--auth=trust", "--username=slimta", "--no-sync", "-D"]);
        assert!(run(initdb.arg(&data)), "initdb failed");
        let port = free_port();
        let mut command = as_postgres(&program("postgres"));
        command
            .args(["-D", &data.display().to_string(), "-p", &port.to_string()])
            .args(["-h", "127.0.0.1", "-k", "", "-c", "max_connections=500"]);
        let process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server {
            process: Mutex::new(process),
            port,
            schemas: AtomicU32::new(0),
            _directory: directory,
        };
        server.wait();
        server
    }

    fn wait(&self) {
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

    /// The URL of an empty schema.
    pub(super) async fn schema(&self) -> String {
        let number = self.schemas.fetch_add(1, Ordering::Relaxed);
        let url = format!("postgres://slimta@127.0.0.1:{}/postgres", self.port);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        let driving = tokio::spawn(connection);
        let create = format!("CREATE SCHEMA test{number}");
        client.batch_execute(&create).await.unwrap();
        drop(client);
        driving.await.unwrap().unwrap();
        format!("{url}?options=-csearch_path%3Dtest{number}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap();
        // Connections that are still open do not keep it from stopping.
        run(Command::new("kill").args(["-INT", &process.id().to_string()]));
        let _ = process.wait();
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

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

fn run(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.unwrap().success()
}
