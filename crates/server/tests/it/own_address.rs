//! A domain whose mail exchanger is this host, under another name.

use crate::net::Net;
use crate::rig::{Store, stderr, stdout};

#[test]
fn mail_to_an_exchanger_at_our_own_address_does_not_go_in_circles() {
    let Some(mut net) = Net::new() else {
        return;
    };
    net.names(&[
        "--mx-host=d.example,mail.d.example,10",
        "--host-record=mail.d.example,127.0.0.1",
    ]);
    let store = Store::new();
    let mut command = net.command(env!("CARGO_BIN_EXE_slimta"));
    let options = ["--relay", "mx", "--listen", "0.0.0.0:25"];
    let server = store.serve_by(&mut command, &options);
    let mut swaks = net.command("swaks");
    swaks.args([
        "--server",
        "127.0.0.1",
        "--port",
        "25",
        "--to",
        "a@d.example",
    ]);
    let handed = swaks.args(["--helo", "c.example", "--from", "<>"]).output();
    let handed = handed.unwrap();
    assert!(
        handed.status.success(),
        "{}{}",
        stdout(&handed),
        stderr(&handed)
    );
    store.until_empty();
    let log = store.logged();
    assert!(log.contains("554 5.4.6 mail.d.example is"), "{log}");
    assert_eq!(log.matches(" received ").count(), 1, "{log}");
    server.stop();
}
