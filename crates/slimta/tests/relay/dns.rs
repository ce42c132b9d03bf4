//! Next hops by MX, as a real DNS server tells them.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use slimta::relay::{Dns, Exchanger, LookupError, MxRelay, Relay, Resolver};
use slimta::world::World;

use crate::hop::{Do, Hop};
use crate::mail::{codes, delivery};

/// dnsmasq on a free port, with what it is told and nothing else.
struct DnsServer {
    process: Child,
    address: SocketAddr,
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
    fn start(records: &[&str]) -> Self {
        for _ in 0..20 {
            let mut server = Self::start_once(records);
            while server.process.try_wait().unwrap().is_none() {
                if server.listens() {
                    return server;
                }
            }
        }
        panic!("dnsmasq ends at once");
    }

    /// Whether it, and nobody else, has the port.
    fn listens(&mut self) -> bool {
        let soon = Duration::from_millis(20);
        TcpStream::connect_timeout(&self.address, soon).is_ok()
            && self.process.try_wait().unwrap().is_none()
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
            .args([
                "--user=root",
                "--local=/example/",
                "--cache-size=0",
                "--log-facility=-",
            ])
            .arg(format!("--port={}", address.port()))
            .args(records)
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq (package dnsmasq-base) is missing: ./test installs it");
        DnsServer { process, address }
    }

    fn dns(&self) -> Dns {
        Dns::at(self.address).unwrap()
    }

    /// Waits until it answers.
    async fn ready(&self) -> Dns {
        for _ in 0..200 {
            let dns = self.dns();
            if dns.addresses("up.example").await.is_ok() {
                return dns;
            }
        }
        panic!("dnsmasq does not answer");
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

const RECORDS: [&str; 6] = [
    "--host-record=up.example,127.0.0.1",
    "--mx-host=d.example,mx2.example,20",
    "--mx-host=d.example,MX1.example,10",
    "--host-record=mx1.example,127.0.0.2",
    "--host-record=mx2.example,127.0.0.1",
    "--host-record=plain.example,127.0.0.1",
];

#[tokio::test]
async fn records_are_told_from_their_absence() {
    let server = DnsServer::start(&RECORDS);
    let dns = server.ready().await;
    let mut exchangers = dns.exchangers("d.example").await.unwrap();
    exchangers.sort_by_key(|exchanger| exchanger.preference);
    let exchanger = |preference, host: &str| Exchanger {
        preference,
        host: host.to_owned(),
    };
    assert_eq!(
        exchangers,
        [exchanger(10, "mx1.example"), exchanger(20, "mx2.example")]
    );
    assert_eq!(dns.addresses("mx1.example").await.unwrap().len(), 1);
    assert_eq!(
        dns.exchangers("plain.example").await,
        Err(LookupError::NoRecords)
    );
    assert_eq!(
        dns.exchangers("no.such.example").await,
        Err(LookupError::NoSuchName)
    );
    // It knows nothing of other names, which proves nothing.
    let unknown = dns.exchangers("elsewhere.net").await;
    assert!(
        matches!(unknown, Err(LookupError::Failed(_))),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn the_next_exchanger_is_tried_when_one_is_down() {
    let server = DnsServer::start(&RECORDS);
    let dns = server.ready().await;
    // It listens on 127.0.0.1 only: at 127.0.0.2 nobody answers.
    let hop = Hop::start(|_| Do::Fine).await;
    let relay = MxRelay::new(dns, "us.example", World::system()).with_port(hop.address.port());
    let report = relay.attempt(delivery(&["a@d.example"])).await;
    assert_eq!(codes(&report), [250]);
    assert_eq!(report.remote.as_deref(), Some("mx2.example"));
    let report = relay.attempt(delivery(&["a@plain.example"])).await;
    assert_eq!(report.remote.as_deref(), Some("plain.example"));
    let mut of_tenant = delivery(&["a@plain.example"]);
    let acme = "acme".parse().unwrap();
    let message = Arc::make_mut(&mut of_tenant.message);
    message.destination = message.destination.of_tenant(&acme);
    let report = relay.attempt(of_tenant).await;
    assert_eq!(report.remote.as_deref(), Some("plain.example"));
    let report = relay.attempt(delivery(&["a@no.such.example"])).await;
    assert_eq!(codes(&report), [550]);
    let report = relay.attempt(delivery(&["a@[127.0.0.1]"])).await;
    assert_eq!(codes(&report), [250]);
}
