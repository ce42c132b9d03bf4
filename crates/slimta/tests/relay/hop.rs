//! A next hop that does as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What a next hop meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Met<'a> {
    /// A new connection, counted from 1.
    Connection(usize),
    /// A command line.
    Command(&'a str),
    /// Contents with their final dot.
    Contents(&'a str),
}

/// What it does about it.
pub(crate) enum Do {
    /// Answers, as a polite server would.
    Fine,
    Say(&'static str),
    Close,
    Hang,
}

/// Everything it met, over all connections.
type Log = Arc<Mutex<Vec<String>>>;

pub(crate) struct Hop {
    pub(crate) address: SocketAddr,
    log: Log,
}

impl Hop {
    /// Listens on a free port of 127.0.0.1 and does as `script` says.
    pub(crate) async fn start(script: impl Fn(Met<'_>) -> Do + Send + Sync + 'static) -> Hop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hop = Hop {
            address: listener.local_addr().unwrap(),
            log: Log::default(),
        };
        let (script, log) = (Arc::new(script), hop.log.clone());
        tokio::spawn(async move {
            let mut count = 0;
            while let Ok((stream, _)) = listener.accept().await {
                count += 1;
                let (script, log) = (script.clone(), log.clone());
                tokio::spawn(async move { serve(stream, count, &*script, &log).await });
            }
        });
        hop
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// How many lines of the log begin so.
    pub(crate) fn count(&self, begin: &str) -> usize {
        self.log()
            .iter()
            .filter(|line| line.starts_with(begin))
            .count()
    }
}

async fn serve(
    stream: TcpStream,
    count: usize,
    script: &(impl Fn(Met<'_>) -> Do + Send + Sync),
    log: &Log,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    log.lock().unwrap().push("connection".to_owned());
    answer(
        &mut stream,
        script(Met::Connection(count)),
        "220 hop.example",
    )
    .await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            log.lock().unwrap().push("end".to_owned());
            return None;
        }
        let line = line.trim_end().to_owned();
        log.lock().unwrap().push(line.clone());
        let fine = match line.split(' ').next().unwrap_or_default() {
            "EHLO" => "250-hop.example\r\n250-PIPELINING\r\n250 8BITMIME",
            "DATA" => "354 Go",
            "QUIT" => "221 Bye",
            _ => "250 Fine",
        };
        let said = answer(&mut stream, script(Met::Command(&line)), fine).await?;
        if line == "DATA" && said.starts_with("354") {
            let contents = read_contents(&mut stream, log).await?;
            answer(&mut stream, script(Met::Contents(&contents)), "250 Taken").await?;
        }
    }
}

async fn read_contents(stream: &mut BufReader<TcpStream>, log: &Log) -> Option<String> {
    let mut contents = Vec::new();
    let is_end = |c: &[u8]| c == b".\r\n" || c.ends_with(b"\r\n.\r\n");
    while !is_end(&contents) {
        let byte = stream.read_u8().await;
        if byte.is_err() {
            log.lock().unwrap().push("cut short".to_owned());
        }
        contents.push(byte.ok()?);
    }
    let contents = String::from_utf8(contents).unwrap();
    log.lock().unwrap().push(contents.clone());
    Some(contents)
}

/// Does it, and gives what was said; none when there is nobody left to talk to.
async fn answer(
    stream: &mut BufReader<TcpStream>,
    what: Do,
    fine: &'static str,
) -> Option<&'static str> {
    let said = match what {
        Do::Fine => fine,
        Do::Say(said) => said,
        Do::Close => return None,
        Do::Hang => std::future::pending().await,
    };
    stream
        .write_all(format!("{said}\r\n").as_bytes())
        .await
        .ok()?;
    Some(said)
}
