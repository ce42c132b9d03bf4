//! Commands in batches (RFC 2920), to a next hop that answers each before it reads
//! the next, over a connection that holds next to nothing.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use slimta::relay::{Connector, Endpoint, Relay, SmtpRelay, Stream, Timing};
use slimta::world::World;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use crate::mail::{codes, delivery};

/// How much is on the way at most.
const WINDOW_BYTES: usize = 64;

struct Narrow;

#[async_trait]
impl Connector for Narrow {
    async fn connect(&self, _: &Endpoint, _: Option<IpAddr>) -> io::Result<Box<dyn Stream>> {
        let (ours, theirs) = tokio::io::duplex(WINDOW_BYTES);
        tokio::spawn(serve(theirs));
        Ok(Box::new(ours))
    }
}

/// Answers one command after the other, at length.
async fn serve(stream: DuplexStream) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(1, stream);
    stream.write_all(b"220 hop.example\r\n").await?;
    let mut is_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let code = match line.split([' ', '\r']).next() {
            Some(".") => 250,
            _ if is_data => continue,
            Some("EHLO") => {
                stream.write_all(b"250-hop\r\n250 PIPELINING\r\n").await?;
                continue;
            }
            Some("DATA") => 354,
            _ => 250,
        };
        is_data = code == 354;
        let text = "x".repeat(4 * WINDOW_BYTES);
        stream
            .write_all(format!("{code} {text}\r\n").as_bytes())
            .await?;
    }
}

#[tokio::test]
async fn a_batch_and_its_replies_pass_each_other_however_little_is_on_the_way() {
    let timing = Timing {
        block: Duration::from_secs(20),
        command: Duration::from_secs(20),
        ..Timing::default()
    };
    let relay = SmtpRelay::new("127.0.0.1", 25, "us.example", World::system())
        .with_timing(timing)
        .with_connector(Narrow);
    let names: Vec<_> = (0..100).map(|n| format!("to{n}@to.example")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let report = relay.attempt(delivery(&names)).await;
    assert_eq!(codes(&report), [250; 100]);
}
