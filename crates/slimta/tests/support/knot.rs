//! A tree of signed zones on a real name server, Knot DNS: a root of its own and
//! some zones right below it. It knows all there is, so it answers as a resolver
//! would.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// How a zone stands to those above it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signed {
    /// It is signed, and what it has not is told by name (NSEC).
    Nsec,
    /// The same by hashes of names (NSEC3).
    Nsec3,
    /// It is not signed, and the root says so.
    Not,
    /// It is signed by another than the root says.
    ByAnother,
}

/// It ends when it is dropped.
pub(crate) struct Knot {
    process: Child,
    directory: TempDir,
    pub(crate) address: SocketAddr,
}

impl Drop for Knot {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Knot {
    /// Serves zones: each its name, how it is signed, and its records in the text
    /// of zone files, with names that are relative to it.
    #[track_caller]
    pub(crate) fn start(zones: &[(&str, Signed, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        // The keys come first: the root has to name them.
        fs::write(path.join("knot.conf"), configuration(path, 53, zones)).unwrap();
        let signed = zones.iter().filter(|(_, signed, _)| *signed != Signed::Not);
        for zone in signed.map(|(zone, _, _)| *zone).chain([""]) {
            for kind in ["ksk=yes", "zsk=yes"] {
                let name = format!("{zone}.");
                keymgr(
                    path,
                    &[&name, "generate", kind, "algorithm=ecdsap256sha256"],
                );
            }
        }
        let mut root = String::new();
        for (zone, signed, records) in zones {
            writeln!(root, "{zone}. 60 NS ns.").unwrap();
            if let Some(signer) = signer(zone, *signed) {
                root += &keymgr(path, &[&format!("{signer}."), "ds"])
                    .replace(&format!("{signer}."), &format!("{zone}."));
            }
            write_zone(path, zone, records);
        }
        write_zone(path, "root", &format!("ns A 127.0.0.1\n{root}"));
        Knot::serve(directory, zones)
    }

    /// By which key the root is signed: its tag, algorithm, kind of hash and hash.
    #[track_caller]
    pub(crate) fn anchor(&self) -> String {
        let all = keymgr(self.directory.path(), &[".", "ds"]);
        let (_, anchor) = all.lines().next().unwrap().split_once(" DS ").unwrap();
        anchor.to_owned()
    }

    /// It needs its port for UDP and TCP, and somebody else may take that before
    /// it does: then it ends, and another port is tried.
    #[track_caller]
    fn serve(directory: TempDir, zones: &[(&str, Signed, &str)]) -> Self {
        let mut knot = None;
        for _ in 0..20 {
            let address = free_port();
            let path = directory.path();
            let text = configuration(path, address.port(), zones);
            fs::write(path.join("knot.conf"), text).unwrap();
            let log = fs::File::create(path.join("log")).unwrap();
            let mut process = Command::new(program("knotd"))
                .arg("-c")
                .arg(path.join("knot.conf"))
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .stdin(Stdio::null())
                .spawn()
                .expect("knotd (package knot) is missing: ./test installs it");
            // It listens once all zones are signed.
            while process.try_wait().unwrap().is_none() {
                let soon = Duration::from_millis(20);
                if TcpStream::connect_timeout(&address, soon).is_ok()
                    && process.try_wait().unwrap().is_none()
                    && answers(address)
                {
                    knot = Some((process, address));
                    break;
                }
            }
            if knot.is_some() {
                break;
            }
        }
        let log = fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        let (process, address) = knot.unwrap_or_else(|| panic!("knotd ends at once: {log}"));
        assert!(!log.contains("error"), "{log}");
        Knot {
            process,
            directory,
            address,
        }
    }
}

/// Whether a name server answers by UDP: it may have the port for TCP only.
pub(crate) fn answers(server: SocketAddr) -> bool {
    // The name servers of the root.
    let question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01";
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let soon = Some(Duration::from_millis(200));
    socket.set_read_timeout(soon).unwrap();
    socket.connect(server).unwrap();
    (0..25).any(|_| {
        let mut answer = [0; 512];
        socket.send(question).is_ok() && socket.recv(&mut answer).is_ok()
    })
}

/// Whose key the root says that a zone is signed by.
fn signer(zone: &str, signed: Signed) -> Option<&str> {
    match signed {
        Signed::Nsec | Signed::Nsec3 => Some(zone),
        Signed::Not => None,
        Signed::ByAnother => Some(""),
    }
}

fn free_port() -> SocketAddr {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap()
}

fn write_zone(directory: &Path, name: &str, records: &str) {
    let text = format!("$TTL 60\n@ SOA ns. host. 1 60 60 60 60\n@ NS ns.\n{records}\n");
    fs::write(directory.join(format!("{name}.zone")), text).unwrap();
}

fn configuration(directory: &Path, port: u16, zones: &[(&str, Signed, &str)]) -> String {
    let here = directory.display();
    let mut text = format!(
        "server:\n  rundir: {here}\n  listen: 127.0.0.1@{port}\n\
         log:\n  - target: stderr\n    any: error\n\
         database:\n  storage: {here}\n\
         policy:\n\
         \x20 - id: nsec\n    algorithm: ecdsap256sha256\n\
         \x20 - id: nsec3\n    algorithm: ecdsap256sha256\n    nsec3: on\n    nsec3-iterations: 0\n\
         template:\n  - id: default\n    storage: {here}\n    journal-content: none\n\
         \x20   zonefile-sync: -1\n    zonefile-load: whole\n\
         zone:\n"
    );
    let root = [("", Signed::Nsec, "")];
    for (zone, signed, _) in root.iter().chain(zones) {
        let file = if zone.is_empty() { "root" } else { zone };
        writeln!(text, "  - domain: {zone}.\n    file: {file}.zone").unwrap();
        let policy = match signed {
            Signed::Not => continue,
            Signed::Nsec3 => "nsec3",
            Signed::Nsec | Signed::ByAnother => "nsec",
        };
        writeln!(text, "    dnssec-signing: on\n    dnssec-policy: {policy}").unwrap();
    }
    text
}

#[track_caller]
fn keymgr(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program("keymgr"))
        .arg("-c")
        .arg(directory.join("knot.conf"))
        .args(arguments)
        .output()
        .expect("keymgr (package knot) is missing: ./test installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn program(name: &str) -> String {
    let usual = format!("/usr/sbin/{name}");
    if Path::new(&usual).exists() {
        usual
    } else {
        name.to_owned()
    }
}
