//! A next hop that does as it is told.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use slimta::relay::Stream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What a next hop meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Met<'a> {
    /// A new connection, counted from 1.
    Connection(usize),
    /// A command line in clear.
    Command(&'a str),
    /// A command line in TLS.
    Encrypted(&'a str),
    /// Contents with their final dot, or of a chunk; what is no UTF-8 is replaced.
    Contents(&'a str),
}

/// What it does about it.
pub(crate) enum Do {
    /// Answers, as a polite server would.
    Fine,
    Say(&'static str),
    /// Says it and closes.
    SayLast(&'static str),
    /// Begins TLS: at a connection at once, else after saying that it does.
    Tls(Arc<ServerConfig>),
    Close,
    Hang,
}

/// A connection, encrypted or not.
struct Line {
    stream: BufReader<Box<dyn Stream>>,
    is_encrypted: bool,
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
        Hop::start_at(([127, 0, 0, 1], 0), script).await
    }

    /// The same elsewhere.
    pub(crate) async fn start_at(
        address: impl Into<SocketAddr>,
        script: impl Fn(Met<'_>) -> Do + Send + Sync + 'static,
    ) -> Hop {
        let listener = TcpListener::bind(address.into()).await.unwrap();
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
                tokio::spawn(async move { serve(Box::new(stream), count, &*script, &log).await });
            }
        });
        hop
    }

    /// The same at a Unix socket; its address says nothing.
    pub(crate) fn start_at_socket(
        path: &Path,
        script: impl Fn(Met<'_>) -> Do + Send + Sync + 'static,
    ) -> Hop {
        let listener = UnixListener::bind(path).unwrap();
        let hop = Hop {
            address: ([127, 0, 0, 1], 0).into(),
            log: Log::default(),
        };
        let (script, log) = (Arc::new(script), hop.log.clone());
        tokio::spawn(async move {
            let mut count = 0;
            while let Ok((stream, _)) = listener.accept().await {
                count += 1;
                let (script, log) = (script.clone(), log.clone());
                tokio::spawn(async move { serve(Box::new(stream), count, &*script, &log).await });
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
    stream: Box<dyn Stream>,
    count: usize,
    script: &(impl Fn(Met<'_>) -> Do + Send + Sync),
    log: &Log,
) -> Option<()> {
    let mut line = Line {
        stream: BufReader::new(stream),
        is_encrypted: false,
    };
    log.lock().unwrap().push("connection".to_owned());
    let greeting = "220 hop.example";
    match script(Met::Connection(count)) {
        Do::Tls(config) => {
            line.encrypt(config, log).await?;
            line.answer(Do::Fine, greeting, log).await?;
        }
        what => drop(line.answer(what, greeting, log).await?),
    }
    loop {
        let mut text = String::new();
        if line.stream.read_line(&mut text).await.ok()? == 0 {
            log.lock().unwrap().push("end".to_owned());
            return None;
        }
        let text = text.trim_end().to_owned();
        log.lock().unwrap().push(text.clone());
        let fine = match text.split(' ').next().unwrap_or_default() {
            "EHLO" | "LHLO" => "250-hop.example\r\n250-PIPELINING\r\n250 8BITMIME",
            "DATA" => "354 Go",
            "QUIT" => "221 Bye",
            _ => "250 Fine",
        };
        let met = match line.is_encrypted {
            false => Met::Command(&text),
            true => Met::Encrypted(&text),
        };
        if let Some(said) = text.strip_prefix("BDAT ") {
            // Its octets follow, whatever is made of it.
            let what = script(met);
            let contents = line.read_chunk(said, log).await?;
            if !matches!(what, Do::Fine) {
                line.answer(what, "250 Taken", log).await?;
                continue;
            }
            line.answer(script(Met::Contents(&contents)), "250 Taken", log)
                .await?;
            continue;
        }
        let what = script(met);
        let said = line.answer(what, fine, log).await?;
        if text == "DATA" && said.starts_with("354") {
            let contents = line.read_contents(log).await?;
            let what = script(Met::Contents(&contents));
            line.answer(what, "250 Taken", log).await?;
        }
    }
}

impl Line {
    async fn read_contents(&mut self, log: &Log) -> Option<String> {
        let mut contents = Vec::new();
        let is_end = |c: &[u8]| c == b".\r\n" || c.ends_with(b"\r\n.\r\n");
        while !is_end(&contents) {
            let byte = self.stream.read_u8().await;
            if byte.is_err() {
                log.lock().unwrap().push("cut short".to_owned());
            }
            contents.push(byte.ok()?);
        }
        let contents = String::from_utf8(contents).unwrap();
        log.lock().unwrap().push(contents.clone());
        Some(contents)
    }

    async fn read_chunk(&mut self, said: &str, log: &Log) -> Option<String> {
        let size = said.split(' ').next().unwrap_or_default();
        let mut octets = vec![0; size.parse().unwrap()];
        if self.stream.read_exact(&mut octets).await.is_err() {
            log.lock().unwrap().push("cut short".to_owned());
            return None;
        }
        let contents = String::from_utf8_lossy(&octets).into_owned();
        log.lock().unwrap().push(contents.clone());
        Some(contents)
    }

    /// Does it, and gives what was said; none when there is nobody left to talk
    /// to.
    async fn answer(&mut self, what: Do, fine: &'static str, log: &Log) -> Option<&'static str> {
        match what {
            Do::Fine => self.say(fine).await,
            Do::Say(said) => self.say(said).await,
            Do::SayLast(said) => {
                self.say(said).await?;
                None
            }
            Do::Tls(config) => {
                let said = self.say("220 Go").await?;
                self.encrypt(config, log).await?;
                Some(said)
            }
            Do::Close => None,
            Do::Hang => std::future::pending().await,
        }
    }

    async fn say(&mut self, said: &'static str) -> Option<&'static str> {
        let text = format!("{said}\r\n");
        self.stream.write_all(text.as_bytes()).await.ok()?;
        self.stream.flush().await.ok()?;
        Some(said)
    }

    /// Logs `TLS`, whether a session was resumed, and for what name the client
    /// asked; or `no TLS` and why.
    async fn encrypt(&mut self, config: Arc<ServerConfig>, log: &Log) -> Option<()> {
        let nobody: Box<dyn Stream> = Box::new(tokio::io::empty());
        let clear = std::mem::replace(&mut self.stream, BufReader::new(nobody));
        let accepting = TlsAcceptor::from(config).accept(clear.into_inner());
        let (note, stream) = match accepting.await {
            Ok(stream) => {
                let (_, tls) = stream.get_ref();
                let (kind, name) = (tls.handshake_kind(), tls.server_name());
                (format!("TLS {kind:?} {name:?}"), Some(stream))
            }
            Err(error) => (format!("no TLS: {error}"), None),
        };
        log.lock().unwrap().push(note);
        self.stream = BufReader::new(Box::new(stream?));
        self.is_encrypted = true;
        Some(())
    }
}
