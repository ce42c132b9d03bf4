//! An SMTP server that keeps nothing: it takes mail, counts it, and answers
//! chosen recipients as it is told. For trying out and for tests; behind the
//! server that a benchmark measures it is the next hop.

mod answers;
mod session;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use slimta_core::message::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) use answers::{Answers, Rule};
pub(crate) use session::Taker;
use session::{Flow, Session};

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// What came in, counted.
#[derive(Default, Debug)]
pub(crate) struct Counts {
    /// Messages taken.
    pub(crate) messages: AtomicU64,
    /// Recipients that they were for.
    pub(crate) recipients: AtomicU64,
    /// Bytes of messages, without the final dot.
    pub(crate) bytes: AtomicU64,
    /// Recipients that a rule turned away.
    pub(crate) refused: AtomicU64,
}

impl Taker for Counts {
    fn message(&self, data: &[u8], recipients: u64) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.recipients.fetch_add(recipients, Ordering::Relaxed);
        self.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
    }

    fn refused(&self, _: &str, _: Code) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// A sink that listens.
pub(crate) struct Sink<T> {
    listener: TcpListener,
    answers: Arc<Answers>,
    taker: Arc<T>,
}

impl<T: Taker + Send + Sync + 'static> Sink<T> {
    /// Listens on `address` and tells `taker` what comes.
    pub(crate) async fn bind(
        address: SocketAddr,
        answers: Answers,
        taker: Arc<T>,
    ) -> io::Result<Self> {
        Ok(Sink {
            listener: TcpListener::bind(address).await?,
            answers: Arc::new(answers),
            taker,
        })
    }

    /// Where it listens, with the real port.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the future is dropped.
    pub(crate) async fn run(&self) {
        loop {
            // A failed accept (such as no file descriptors left) passes; until
            // then others get their turn.
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            };
            let (answers, taker) = (self.answers.clone(), self.taker.clone());
            tokio::spawn(async move {
                // A client that breaks off is no concern of a sink.
                let _ = serve(stream, &answers, &*taker).await;
            });
        }
    }
}

async fn serve(mut stream: TcpStream, answers: &Answers, taker: &impl Taker) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut session = Session::new();
    let (mut input, mut out) = (BytesMut::new(), Vec::new());
    Session::banner(&mut out);
    let mut flow = Flow::Continues;
    loop {
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
        if flow == Flow::Ends {
            return stream.shutdown().await;
        }
        input.reserve(READ_BYTES);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        flow = session.feed(&mut input, &mut out, answers, taker);
    }
}
