//! An edge that listens, a queue that answers as it is told, and a client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use slimta::bus::{self, BusError};
use slimta::edge::smtp::SmtpEdge;
use slimta::message::{Message, Response};
use slimta::world::{Timestamp, World};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// When the worlds of these tests begin.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_795_508_249);

/// What a queue does with the messages it gets.
type Answer = dyn Fn(&[Message]) -> Result<Vec<Response>, BusError> + Send + Sync;

/// A queue in memory.
pub(crate) struct Queue {
    /// Each request, in order.
    requests: Mutex<Vec<Vec<Message>>>,
    answer: Box<Answer>,
    /// Told of each request.
    pub(crate) asked: Notify,
}

impl Queue {
    /// A queue that takes all messages and numbers the requests.
    pub(crate) fn new() -> Arc<Self> {
        let number = Mutex::new(0);
        Queue::that(move |messages| {
            let mut number = number.lock().unwrap();
            *number += 1;
            let queued = Response::success(6, 0, format!("Message queued as {number}"));
            Ok(vec![queued; messages.len()])
        })
    }

    /// A queue that answers so.
    pub(crate) fn that(
        answer: impl Fn(&[Message]) -> Result<Vec<Response>, BusError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Queue {
            requests: Mutex::default(),
            answer: Box::new(answer),
            asked: Notify::new(),
        })
    }

    /// What it was asked to keep.
    pub(crate) fn requests(&self) -> Vec<Vec<Message>> {
        self.requests.lock().unwrap().clone()
    }
}

/// The end of a bus that the queue is behind.
pub(crate) struct QueueBus(pub(crate) Arc<Queue>);

#[async_trait::async_trait]
impl bus::Client<Message, Response> for QueueBus {
    async fn send(&self, requests: Vec<Message>) -> Result<Vec<Response>, BusError> {
        let responses = (self.0.answer)(&requests);
        self.0.requests.lock().unwrap().push(requests);
        self.0.asked.notify_one();
        responses
    }
}

/// An edge in a world of its own, before a queue.
pub(crate) fn edge(queue: &Arc<Queue>) -> SmtpEdge {
    SmtpEdge::new(
        Arc::new(QueueBus(queue.clone())),
        World::simulated(START, 1),
    )
    .with_hostname("mail.example.net")
}

/// An edge that listens.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Listening {
    pub(crate) async fn start(edge: SmtpEdge) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(edge.serve(listener, async move {
            let _ = stopped.await;
        }));
        Listening {
            address,
            stop,
            serving,
        }
    }

    /// A client that has read the banner.
    pub(crate) async fn client(&self) -> Client {
        let mut client = Client::connect(self.address).await;
        let banner = client.reply().await;
        assert_eq!(banner, "220 mail.example.net ESMTP slimta\r\n");
        client
    }

    /// Tells it to stop, and gives what completes when it has.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        let _ = self.stop.send(());
        self.serving
    }

    /// Stops it and waits until no client is left.
    pub(crate) async fn stopped(self) {
        self.stop().await.unwrap();
    }
}

/// A client that says what it is told to.
pub(crate) struct Client<S = TcpStream>(BufReader<S>);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        // Under a paused clock nothing may wait for real time to pass, such as
        // that of a delayed acknowledgement.
        stream.set_nodelay(true).unwrap();
        Client::over(stream)
    }

    /// The connection; all that was said on it has been read.
    #[cfg(feature = "tls")]
    pub(crate) fn into_stream(self) -> TcpStream {
        assert!(self.0.buffer().is_empty());
        self.0.into_inner()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Client(BufReader::new(stream))
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next reply, with all its lines.
    pub(crate) async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            let read = self.0.read_line(&mut reply).await.unwrap();
            if read == 0 || reply[start..].chars().nth(3) != Some('-') {
                return reply;
            }
        }
    }

    /// Sends a command and gives the reply.
    pub(crate) async fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n")).await;
        self.reply().await
    }

    /// Greets, and sends the commands up to the data of a message.
    pub(crate) async fn begin(&mut self) {
        for (command, code) in [
            ("EHLO client.example.com", "250"),
            ("MAIL FROM:<a@example.com>", "250"),
            ("RCPT TO:<b@example.org>", "250"),
            ("DATA", "354"),
        ] {
            let reply = self.ask(command).await;
            assert!(reply.starts_with(code), "{command}: {reply}");
        }
    }

    /// Every byte that is sent until the connection closes, text or not.
    #[cfg(feature = "tls")]
    pub(crate) async fn bytes(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).await.unwrap();
        rest
    }

    /// Everything that is sent until the connection closes.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).await.unwrap();
        rest
    }
}
