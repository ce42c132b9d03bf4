//! Postfix as a next hop that speaks TLS: an instance of its own, in a
//! temporary directory, which hands what it takes to another next hop.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::net::Net;
use crate::rig::{free_address, is_root, postfix, until};

const MAIN: &str = "\
compatibility_level = 3.6
queue_directory = DIRECTORY/queue
data_directory = DIRECTORY/data
maillog_file = DIRECTORY/log
maillog_file_prefixes = DIRECTORY
myhostname = postfix.test.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
relayhost = [127.0.0.1]:NEXT
smtp_tls_security_level = may
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = may
smtpd_tls_chain_files = DIRECTORY/host.key, DIRECTORY/host.pem
smtpd_tls_received_header = yes
";
const MASTER: &str = "\
127.0.0.1:PORT inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
";

/// It offers STARTTLS; ends with all its processes when it is dropped.
pub(crate) struct Postfix {
    /// What starts the master and waits for it.
    script: Child,
    directory: TempDir,
    pub(crate) address: SocketAddr,
}

impl Postfix {
    /// One that hands mail to `next`; none where nobody may start it.
    #[track_caller]
    pub(crate) fn start(next: SocketAddr) -> Option<Self> {
        if !is_root() {
            eprintln!("Postfix starts as root only: not tried");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let address = free_address();
        let path = directory.path();
        configure(path, address, next);
        let script = Command::new(postfix("postfix"))
            .arg("-c")
            .arg(path.join("configuration"))
            .arg("start-fg")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut started = Postfix {
            script,
            directory,
            address,
        };
        until("Postfix", || {
            let ended = started.script.try_wait().unwrap();
            assert!(ended.is_none(), "Postfix: {ended:?}\n{}", started.log());
            TcpStream::connect(address).ok()
        });
        Some(started)
    }

    /// One in a network of its own, at port 25, with this key and certificate. It
    /// throws away what it takes.
    #[track_caller]
    pub(crate) fn start_in(net: &Net, files: &[PathBuf; 2]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = ([127, 0, 0, 1], 25).into();
        let path = directory.path();
        configure(path, address, address);
        let discarding = "default_transport = discard\nrelayhost =\n";
        let main = path.join("configuration/main.cf");
        let text = fs::read_to_string(&main).unwrap();
        fs::write(
            &main,
            text.replace("relayhost = [127.0.0.1]:25\n", discarding),
        )
        .unwrap();
        let master = path.join("configuration/master.cf");
        let text = fs::read_to_string(&master).unwrap();
        fs::write(&master, format!("{text}discard unix - - n - - discard\n")).unwrap();
        for (file, name) in files.iter().zip(["host.key", "host.pem"]) {
            fs::copy(file, path.join(name)).unwrap();
        }
        let script = net
            .command(postfix("postfix"))
            .arg("-c")
            .arg(path.join("configuration"))
            .arg("start-fg")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        net.until_open(25);
        Postfix {
            script,
            directory,
            address,
        }
    }

    /// What `--relay` says.
    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The root that signed its certificate, and one that did not.
    pub(crate) fn roots(&self) -> [String; 2] {
        ["root.pem", "other.pem"].map(|name| self.directory.path().join(name).display().to_string())
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The file of its certificate.
    pub(crate) fn certificate(&self) -> String {
        self.directory.path().join("host.pem").display().to_string()
    }

    /// What it says of itself.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // The master leads a group of its own, of which all others are. Some of
        // them take their time to end in good order.
        let file = self.directory.path().join("queue/pid/master.pid");
        if let Ok(master) = fs::read_to_string(file) {
            let group = format!("-{}", master.trim());
            let mut kill = Command::new("kill");
            let _ = kill.args(["-KILL", "--", &group]).status();
        }
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

fn configure(directory: &Path, address: SocketAddr, next: SocketAddr) {
    // Its processes have users of their own and must come in.
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["configuration", "queue", "data"] {
        fs::create_dir(directory.join(name)).unwrap();
    }
    let owned = Command::new("chown")
        .arg("postfix")
        .arg(directory.join("data"))
        .status();
    assert!(owned.unwrap().success());
    for root in ["root", "other"] {
        certificate(directory, root, &["-subj", &format!("/CN={root}")]);
    }
    let host = [
        "-subj",
        "/CN=127.0.0.1",
        "-CA",
        "root.pem",
        "-CAkey",
        "root.key",
    ];
    let host = [
        &host[..],
        &["-addext", "subjectAltName=IP:127.0.0.1"],
        &["-addext", "basicConstraints=critical,CA:FALSE"],
    ];
    certificate(directory, "host", &host.concat());
    let here = directory.display().to_string();
    let filled = |text: &str| {
        text.replace("DIRECTORY", &here)
            .replace("NEXT", &next.port().to_string())
            .replace("PORT", &address.port().to_string())
    };
    let configuration = directory.join("configuration");
    fs::write(configuration.join("main.cf"), filled(MAIN)).unwrap();
    fs::write(configuration.join("master.cf"), filled(MASTER)).unwrap();
}

/// `NAME.pem` with its key `NAME.key`.
fn certificate(directory: &Path, name: &str, more: &[&str]) {
    let output = Command::new("openssl")
        .current_dir(directory)
        .args(["req", "-x509", "-days", "2", "-nodes", "-newkey", "ec"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
        .args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ])
        .args(more)
        .output()
        .expect("openssl is missing: ./test installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
