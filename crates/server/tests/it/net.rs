//! A network of its own, with names of its own and every port free: for what
//! listens where everybody expects it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::rig::{is_root, until};

/// A loopback that nothing outside reaches. Its DNS is asked at 127.0.0.1.
pub(crate) struct Net {
    /// Holds it open.
    holder: Child,
    directory: TempDir,
    running: Vec<Child>,
    dns: Option<Child>,
}

impl Drop for Net {
    fn drop(&mut self) {
        let dns = self.dns.iter_mut();
        for child in self.running.iter_mut().chain(dns).chain([&mut self.holder]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Net {
    /// None where nobody may make one.
    #[track_caller]
    pub(crate) fn new() -> Option<Self> {
        if !is_root() {
            eprintln!("only root makes networks: not tried");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("resolv.conf");
        fs::write(
            &file,
            "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n",
        )
        .unwrap();
        let script = "ip link set lo up && mount --bind \"$1\" /etc/resolv.conf && echo up && exec sleep infinity";
        let mut holder = Command::new("unshare")
            .args(["-mn", "sh", "-c", script, "sh"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let out = holder.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut said).unwrap();
        if said != "up\n" {
            // A container may have a root that may do little.
            let _ = holder.kill();
            let ended = holder.wait();
            eprintln!("this machine lets nobody make a network: not tried ({ended:?})");
            return None;
        }
        Some(Net {
            holder,
            directory,
            running: Vec::new(),
            dns: None,
        })
    }

    /// A program in it.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "-m", "-n"]);
        command.arg(program).stdin(Stdio::null());
        command
    }

    /// Starts one that listens at a port of 127.0.0.1, and waits until it does.
    #[track_caller]
    pub(crate) fn start(&mut self, command: &mut Command, port: u16) {
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        self.running.push(child);
        self.until_open(port);
    }

    /// Ends those that were started, but for the DNS.
    pub(crate) fn stop(&mut self) {
        for mut child in self.running.drain(..) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[track_caller]
    pub(crate) fn until_open(&self, port: u16) {
        until("a port that is open", || {
            let mut look = self.command("bash");
            look.args(["-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port}")]);
            let seen = look.stderr(Stdio::null()).status().unwrap();
            seen.success().then_some(())
        });
    }

    /// The names that its DNS knows from now on, as options of dnsmasq.
    #[track_caller]
    pub(crate) fn names(&mut self, records: &[&str]) {
        if let Some(mut dns) = self.dns.take() {
            dns.kill().unwrap();
            dns.wait().unwrap();
        }
        let mut dnsmasq = self.command("dnsmasq");
        dnsmasq
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
            ])
            .args([
                "--no-hosts",
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
            ])
            .args(["--pid-file=", "--user=root", "--local=/example/"])
            .args(["--cache-size=0", "--log-facility=-"])
            .args(records)
            .stderr(Stdio::null());
        self.dns = Some(dnsmasq.spawn().unwrap());
        self.until_open(53);
    }

    /// A place for files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes `NAME.pem` and `NAME.key`, a certificate for these hosts that the root
    /// `root.pem` has signed; the root is made with the first.
    #[track_caller]
    pub(crate) fn certificate(&self, name: &str, hosts: &[&str]) {
        if !self.path("root.pem").exists() {
            self.openssl("root", &["-subj", "/CN=a root"]);
        }
        let hosts: Vec<_> = hosts.iter().map(|host| format!("DNS:{host}")).collect();
        let names = format!("subjectAltName={}", hosts.join(","));
        let by_root = ["-CA", "root.pem", "-CAkey", "root.key"];
        let kind = ["-addext", "basicConstraints=critical,CA:FALSE"];
        let subject = ["-subj", "/CN=a host", "-addext", &names];
        self.openssl(name, &[&by_root[..], &kind, &subject].concat());
    }

    #[track_caller]
    fn openssl(&self, name: &str, more: &[&str]) {
        let files = [format!("{name}.key"), format!("{name}.pem")];
        let made = Command::new("openssl")
            .current_dir(self.directory.path())
            .args(["req", "-x509", "-days", "2", "-nodes", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-keyout", &files[0], "-out", &files[1]])
            .args(more)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
    }

    /// Python's web server with TLS at port 443, which shows this directory.
    #[track_caller]
    pub(crate) fn web(&mut self, certificate: &str, directory: &Path) {
        let script = "\
import http.server, ssl, sys
chain, key, directory = sys.argv[1:]
class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args):
        super().__init__(*args, directory=directory)
server = http.server.ThreadingHTTPServer(('127.0.0.1', 443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(chain, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";
        let [chain, key] = ["pem", "key"].map(|end| self.path(&format!("{certificate}.{end}")));
        let mut python = self.command("python3");
        python
            .args(["-c", script])
            .arg(chain)
            .arg(key)
            .arg(directory);
        python.stderr(Stdio::null());
        self.start(&mut python, 443);
    }
}
