//! Next hops are connected to through a real SOCKS5 proxy, microsocks.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::rig::{Store, free_address, run, send, stderr, text, until};

const SENDER: &str = "sender@from.example";
const SECRET: &str = "canary";

/// It connects from 127.0.0.9, and ends when it is dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    #[track_caller]
    fn start(options: &[&str]) -> Self {
        let address = free_address();
        let child = Command::new("microsocks")
            .args(["-i", "127.0.0.1", "-b", "127.0.0.9"])
            .args(["-p", &address.port().to_string()])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("microsocks is missing: ./test installs it");
        let proxy = Proxy { child, address };
        until("the proxy", || TcpStream::connect(address).ok());
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who was seen to hand in the message for this recipient.
#[track_caller]
fn seen(hop: &Store, recipient: &str) -> String {
    let list = hop.list();
    let came = |message: &&Value| message["recipients"][0] == recipient;
    let id = text(list.iter().find(came).unwrap(), "id");
    let shown = hop.queue_ok(&["show", id, "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    text(&shown, "client_ip").to_owned()
}

#[test]
fn mail_goes_through_the_proxy_of_its_destination() {
    let (store, hop) = (Store::new(), Store::new());
    let next = hop.serve(&["--relay", "none"]);
    let relay = format!("smtp://{}", next.address);
    let open = Proxy::start(&[]);
    let closed = Proxy::start(&["-u", "ann", "-P", SECRET]);
    let (config, file) = (
        store.path().with_extension("toml"),
        store.path().with_extension("password"),
    );
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let table =
        |name: &str, keys: &str| format!("[destination.'{name}']\nrelay = '{relay}'\n{keys}\n");
    let login = format!(
        "socks5 = '{}'\nsocks5-user = 'ann'\nsocks5-password-file = '{}'",
        closed.address,
        file.display()
    );
    let tables = [
        table("direct.example", "socks5 = 'none'"),
        table("login.example", &login),
    ];
    fs::write(&config, tables.concat()).unwrap();
    let socks5 = open.address.to_string();
    let path = config.display().to_string();
    let options = ["--relay", &relay, "--socks5", &socks5, "--config", &path];
    let server = store.serve(&[&options[..], &["--log-level", "trace"]].concat());
    for (recipient, ip) in [
        ("a@other.example", "127.0.0.9"),
        ("a@direct.example", "127.0.0.1"),
        ("a@login.example", "127.0.0.9"),
    ] {
        send(server.address, SENDER, &[recipient]);
        store.until_empty();
        assert_eq!(seen(&hop, recipient), ip, "{recipient}");
    }
    assert!(!store.logged().contains(SECRET));
    server.stop();
    next.stop();
}

/// What the proxy does is not blamed on the next hop, which is left alone only if it
/// is not there itself.
#[test]
fn what_a_proxy_does_not_do_is_told_and_keeps_mail() {
    let proxy = Proxy::start(&["-u", "ann", "-P", SECRET]);
    let store = Store::new();
    let file = store.path().with_extension("password");
    let (address, nobody) = (proxy.address.to_string(), free_address().to_string());
    let path = file.display().to_string();
    let relay = format!("smtp://{}", free_address());
    let login = ["--socks5-user", "ann", "--socks5-password-file", &path];
    for (socks5, login, password, why) in [
        (&nobody, &[][..], "", "451 4.3.0 No connection to "),
        (&address, &[], "", "takes none of the ways to log in"),
        (&address, &login, "wrong", "refused name and password"),
        (&address, &login, SECRET, "451 4.4.1 Connection to "),
    ] {
        fs::write(&file, password).unwrap();
        let options = [
            "--relay",
            &relay,
            "--socks5",
            socks5,
            "--retry",
            "1h..;until=1d",
        ];
        let server = store.serve(&[&options[..], login].concat());
        let id = send(server.address, SENDER, &["a@to.example"]);
        store.until_list("a message that waits", |list| {
            let response = list.first()?["last_response"].as_str()?;
            assert!(response.contains(why), "{response}");
            assert!(response.contains("SOCKS5 proxy"), "{response}");
            Some(())
        });
        assert!(store.queue_ok(&["explain", &id]).contains(why));
        server.stop();
        store.queue_ok(&["delete", "--all"]);
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_named_at_the_start() {
    let store = Store::new();
    let url = store.url();
    for (options, why) in [
        (
            &["--socks5-user", "ann"][..],
            "needs its socks5-password-file",
        ),
        (
            &["--socks5-user", "ann", "--socks5-password-file", "/x"],
            "needs a socks5 beside it",
        ),
        (&["--socks5", "host:0"], "is no proxy"),
        (
            &[
                "--socks5",
                "h",
                "--socks5-user",
                "ann",
                "--socks5-password-file",
                "/nowhere/x",
            ],
            "look at /nowhere/x",
        ),
    ] {
        let fixed = ["serve", "--relay", "smtp://h", "--storage", &url];
        let said = run(&[&fixed[..], options].concat());
        assert_eq!(said.status.code(), Some(2), "{options:?}");
        assert!(
            stderr(&said).contains(why),
            "{options:?}: {}",
            stderr(&said)
        );
    }
}
