//! A name server that is told its records, or validates those of another: dnsmasq.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::knot::{Knot, answers};

/// dnsmasq on a free port, with what it is told and nothing else.
pub(crate) struct DnsServer {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl DnsServer {
    /// It needs its port for UDP and TCP, and somebody else may take that before
    /// it does: then it ends, and another port is tried.
    pub(crate) fn start(records: &[&str]) -> Self {
        for _ in 0..20 {
            let mut server = Self::start_once(records);
            while server.process.try_wait().unwrap().is_none() {
                if server.listens() {
                    if answers(server.address) {
                        return server;
                    }
                    break;
                }
            }
        }
        panic!("dnsmasq ends at once");
    }

    /// Whether it, and nobody else, has the port for TCP.
    fn listens(&mut self) -> bool {
        let soon = Duration::from_millis(20);
        TcpStream::connect_timeout(&self.address, soon).is_ok()
            && self.process.try_wait().unwrap().is_none()
    }

    /// One that validates what a name server knows, by the keys of its own root.
    #[track_caller]
    pub(crate) fn validating(knot: &Knot) -> Self {
        let server = format!("--server={}#{}", knot.address.ip(), knot.address.port());
        let anchor = format!("--trust-anchor=.,{}", knot.anchor().replace(' ', ","));
        Self::start(&["--dnssec", "--dnssec-check-unsigned", &anchor, &server])
    }

    fn start_once(records: &[&str]) -> Self {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let process = Command::new(program())
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
            ])
            .args([
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--pid-file=",
            ])
            .args(["--user=root", "--local=/example/", "--log-facility=-"])
            .arg(format!("--port={}", address.port()))
            .args(records)
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq (package dnsmasq-base) is missing: ./test installs it");
        DnsServer { process, address }
    }
}

fn program() -> &'static str {
    let usual = "/usr/sbin/dnsmasq";
    if std::path::Path::new(usual).exists() {
        usual
    } else {
        "dnsmasq"
    }
}
