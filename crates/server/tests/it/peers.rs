//! Mail servers of others, a proxy, delivery agents and spam filters, each in a root
//! directory of its own: `./test` unpacks them, nothing is installed.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::encryption::Certificates;
use crate::rig::{free_address, is_root, until};

const EXIM: &str = "\
primary_hostname = peer.test.example
daemon_smtp_ports = PORT
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = /etc/host.pem
tls_privatekey = /etc/host.key
dsn_advertise_hosts = *
log_selector = +pipelining +smtp_connection
keep_environment =
host_lookup =
rfc1413_hosts =
acl_smtp_rcpt = taken
begin acl
taken:
  accept
begin routers
all:
  driver = manualroute
  transport = next
  route_list = * 127.0.0.1 byname
  self = send
begin transports
next:
  driver = smtp
  port = NEXT
  hosts_require_tls = *
  allow_localhost
begin retry
* * F,1h,1m
";
const OPENSMTPD: &str = "\
pki peer cert \"/etc/host.pem\"
pki peer key \"/etc/host.key\"
listen on 127.0.0.1 port PORT tls pki peer hostname peer.test.example
action next relay host smtp+tls://127.0.0.1:NEXT tls no-verify
match from any for any action next
";
/// `known@to.example` has a mailbox. What users submit goes to the next hop.
const DOVECOT: &str = "\
protocols = lmtp submission
base_dir = /run/dovecot
log_path = /var/log/peer
hostname = peer.test.example
ssl = yes
ssl_cert = </etc/host.pem
ssl_key = </etc/host.key
disable_plaintext_auth = no
mail_location = maildir:/var/mail/%u
first_valid_uid = 1
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = passwd-file
  args = /etc/users
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = PORT
  }
}
service submission-login {
  inet_listener submission {
    address = 127.0.0.1
    port = SUBMISSION
  }
}
submission_relay_host = 127.0.0.1
submission_relay_port = NEXT
submission_relay_ssl = starttls
submission_relay_ssl_verify = no
";
/// It looks whether the server behind it is well, too, and passes nobody on
/// until it is.
const HAPROXY: &str = "\
defaults
  mode tcp
  timeout connect 30s
  timeout client 1m
  timeout server 1m
frontend clients
  bind 127.0.0.1:PORT
  default_backend servers
backend servers
  option smtpchk EHLO peer.test.example
  server one 127.0.0.1:NEXT check inter 100ms fall 1 rise 1 HOW
";
/// With the rules that are in the program, among them that of the test message.
const RSPAMD: &str = "\
options {
  filters = \"\";
  url_tld = \"/etc/tlds\";
  dns { nameserver = [\"127.0.0.1:9\"]; timeout = 1s; retransmits = 1; }
}
logging { type = \"console\"; level = \"info\"; }
actions { reject = 15; add_header = 6; }
worker \"normal\" { bind_socket = \"127.0.0.1:PORT\"; count = 1; }
";
const DOVECOT_USERS: &str = "known@to.example::106:106::/var/mail/known::\n";

/// One of them; ends with all its processes when it is dropped.
pub(crate) struct Peer {
    root: TempDir,
    daemon: Option<Child>,
    pub(crate) address: SocketAddr,
    /// Where Dovecot takes mail of its users.
    pub(crate) submission: SocketAddr,
}

impl Peer {
    /// Exim that hands all mail to `next`.
    #[track_caller]
    pub(crate) fn exim(next: SocketAddr) -> Option<Self> {
        let peer = Peer::unpacked()?;
        fs::create_dir_all(peer.path("etc/exim4")).unwrap();
        peer.configure("etc/exim4/exim4.conf", EXIM, next);
        for directory in ["var/spool/exim4", "var/log"] {
            owned_by(&peer.path(directory), 101);
        }
        owned_by(&peer.path("etc/host.key"), 101);
        Some(peer.run(&["/usr/sbin/exim4", "-bdf", "-q1m"]))
    }

    /// OpenSMTPD that hands all mail to `next`.
    #[track_caller]
    pub(crate) fn opensmtpd(next: SocketAddr) -> Option<Self> {
        let peer = Peer::unpacked()?;
        peer.configure("etc/smtpd.conf", OPENSMTPD, next);
        permit(&peer.path("var/spool/smtpd"), 0o711);
        Some(peer.run(&["/usr/sbin/smtpd", "-d"]))
    }

    /// Dovecot that delivers by LMTP and hands what users submit to `next`.
    #[track_caller]
    pub(crate) fn dovecot(next: SocketAddr) -> Option<Self> {
        let peer = Peer::unpacked()?;
        peer.configure("etc/dovecot.conf", DOVECOT, next);
        fs::write(peer.path("etc/users"), DOVECOT_USERS).unwrap();
        fs::create_dir_all(peer.path("run/dovecot")).unwrap();
        owned_by(&peer.path("var/mail"), 106);
        Some(peer.run(&["/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot.conf"]))
    }

    /// HAProxy in front of `next`, which it tells so whose connections it passes on.
    #[track_caller]
    pub(crate) fn haproxy(next: SocketAddr, how: &str) -> Option<Self> {
        let peer = Peer::unpacked()?;
        peer.configure("etc/haproxy.cfg", &HAPROXY.replace("HOW", how), next);
        Some(peer.run(&["/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy.cfg"]))
    }

    /// Rspamd.
    #[track_caller]
    pub(crate) fn rspamd() -> Option<Self> {
        let peer = Peer::unpacked()?;
        peer.configure("etc/rspamd.conf", RSPAMD, peer.address);
        // It makes an automaton of all that there are otherwise, for ten seconds.
        fs::write(peer.path("etc/tlds"), "com\nexample\n").unwrap();
        owned_by(&peer.path("var/lib/rspamd"), 65534);
        let command = ["/usr/bin/rspamd", "-f", "-c", "/etc/rspamd.conf"];
        Some(peer.run(&[&command[..], &["-u", "nobody", "-g", "nobody"]].concat()))
    }

    /// A root with maildrop, which knows `known`, who has a Maildir.
    #[track_caller]
    pub(crate) fn maildrop() -> Option<Self> {
        let peer = Peer::unpacked()?;
        let mut users = fs::OpenOptions::new();
        let mut users = users.append(true).open(peer.path("etc/passwd")).unwrap();
        users
            .write_all(b"known:x:106:106::/home/known:/bin/false\n")
            .unwrap();
        fs::write(peer.path("etc/maildroprc"), "DEFAULT=\"$HOME/Maildir/\"\n").unwrap();
        for directory in ["", "Maildir", "Maildir/new", "Maildir/cur", "Maildir/tmp"] {
            let directory = peer.path("home/known").join(directory);
            fs::create_dir_all(&directory).unwrap();
            owned_by(&directory, 106);
        }
        Some(peer)
    }

    /// What it says of itself.
    pub(crate) fn log(&self) -> String {
        let files = ["var/log/peer", "var/log/exim4/mainlog", "said"];
        let read = |file: &&str| fs::read_to_string(self.path(file)).unwrap_or_default();
        files.iter().map(read).collect()
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.root.path().join(file)
    }

    /// A root with all of them in it, and a certificate; none where nobody may
    /// change the root of a process.
    pub(crate) fn unpacked() -> Option<Self> {
        if !is_root() {
            eprintln!("other mail servers start as root only: not tried");
            return None;
        }
        let servers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/mail-servers");
        assert!(
            servers.join("complete").exists(),
            "no {}: ./test unpacks it",
            servers.display()
        );
        let root = tempfile::tempdir().unwrap();
        permit(root.path(), 0o755);
        let mut copy = Command::new("cp");
        copy.args(["-a", "--reflink=auto"]).arg(servers.join("."));
        assert!(copy.arg(root.path()).status().unwrap().success());
        let certificates = Certificates::new();
        certificates.make("host", "peer.test.example");
        for file in ["host.pem", "host.key"] {
            fs::copy(certificates.path(file), root.path().join("etc").join(file)).unwrap();
        }
        permit(&root.path().join("etc/host.key"), 0o600);
        Some(Peer {
            root,
            daemon: None,
            address: free_address(),
            submission: free_address(),
        })
    }

    fn configure(&self, file: &str, text: &str, next: SocketAddr) {
        let text = text
            .replace("PORT", &self.address.port().to_string())
            .replace("SUBMISSION", &self.submission.port().to_string())
            .replace("NEXT", &next.port().to_string());
        fs::write(self.path(file), text).unwrap();
    }

    #[track_caller]
    fn run(mut self, command: &[&str]) -> Self {
        let said = fs::File::create(self.path("said")).unwrap();
        let daemon = Command::new("chroot")
            .arg(self.root.path())
            .args(command)
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
        let address = self.address;
        until(command[0], || {
            let ended = self.daemon.as_mut()?.try_wait().unwrap();
            assert!(ended.is_none(), "{command:?}: {ended:?}\n{}", self.log());
            TcpStream::connect(address).ok()
        });
        self
    }

    /// Its processes: those whose root is here, or further down.
    fn processes(&self) -> Vec<String> {
        let own = |pid: &String| {
            let root = fs::read_link(format!("/proc/{pid}/root"));
            root.is_ok_and(|root| root.starts_with(self.root.path()))
        };
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        all.filter_map(|entry| entry.file_name().into_string().ok())
            .filter(own)
            .collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Whoever is left may have made others meanwhile.
        loop {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            let _ = Command::new("kill").arg("-KILL").args(left).status();
            if let Some(mut daemon) = self.daemon.take() {
                let _ = daemon.wait();
            }
        }
    }
}

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn owned_by(path: &Path, user: u32) {
    std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
}
