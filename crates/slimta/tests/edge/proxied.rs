//! Clients whose connections a proxy passes on.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::rig::{Client, Listening, Queue, edge};

const FROM: &str = "MAIL FROM:<a@example.com>";
const TO: &str = "RCPT TO:<b@example.org>";
const DENIED: &str = "550 5.7.1 Relaying denied\r\n";

#[tokio::test(start_paused = true)]
async fn a_proxy_that_says_nothing_is_sent_away() {
    let proxied = edge(&Queue::new()).with_proxy_header_from(|ip| ip.is_loopback());
    let listening = Listening::start(proxied).await;
    let mut client = Client::connect(listening.address).await;
    assert_eq!(client.rest().await, "");
    let mut client = Client::connect(listening.address).await;
    client.send("PROXY TCP4 192.0.2.1").await;
    assert_eq!(client.rest().await, "");
    listening.stopped().await;
}

/// The proxy itself may relay, but not whom it does not know.
#[tokio::test]
async fn who_is_not_named_may_not_do_what_the_proxy_may() {
    let proxied = edge(&Queue::new())
        .with_proxy_header_from(|ip| ip.is_loopback())
        .with_permit(|ip| ip.is_loopback());
    let listening = Listening::start(proxied).await;
    for (header, told) in [
        ("PROXY UNKNOWN\r\n", DENIED),
        ("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", DENIED),
        ("PROXY TCP4 192.0.2.1 127.0.0.1 1 25\r\n", DENIED),
        (
            "PROXY TCP6 ::ffff:127.0.0.1 ::1 1 25\r\n",
            "250 2.1.5 Recipient ok\r\n",
        ),
    ] {
        let mut client = Client::connect(listening.address).await;
        // With what the client says in the same segment.
        client
            .send(format!("{header}EHLO c\r\n{FROM}\r\n{TO}\r\n"))
            .await;
        for _ in 0..3 {
            client.reply().await;
        }
        assert_eq!(client.reply().await, told, "{header:?}");
    }
    listening.stopped().await;
}

/// However slowly it comes.
#[tokio::test]
async fn a_header_may_come_in_pieces() {
    let proxied = edge(&Queue::new()).with_proxy_header_from(|ip| ip.is_loopback());
    let listening = Listening::start(proxied).await;
    let mut stream = TcpStream::connect(listening.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"PROXY TCP4 127.0.0.1 127.0.0.1 1 25\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut client = Client::over(stream);
    assert!(client.reply().await.starts_with("220 "));
    client.ask("EHLO c").await;
    client.ask(FROM).await;
    assert_eq!(client.ask(TO).await, "250 2.1.5 Recipient ok\r\n");
    listening.stopped().await;
}
