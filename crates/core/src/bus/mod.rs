//! Buses: arrays of requests one way, as many responses the other way, in
//! order.
//!
//! N requests are answered by exactly N responses. A handler that goes away,
//! or answers with another number, is an error for all N on the asking side,
//! never a hang and never a guess.

mod local;
mod proxy;

use async_trait::async_trait;
use tokio::sync::oneshot;

pub use local::{LocalClient, LocalServer, local};
pub use proxy::Proxy;

/// The asking end of a bus.
#[async_trait]
pub trait Client<Q, R>: Send + Sync + 'static {
    /// Sends `requests` and waits for their responses: as many, in order.
    ///
    /// Waits while the bus is full; bound it with a time-out. Dropping the
    /// future gives up the wait, not what the other end does with the requests.
    async fn send(&self, requests: Vec<Q>) -> Result<Vec<R>, BusError>;
}

/// The answering end of a bus.
#[async_trait]
pub trait Server<Q, R>: Send + Sync + 'static {
    /// Waits for the next requests. Cancel-safe: a dropped wait loses none.
    async fn accept(&self) -> Result<Transaction<Q, R>, BusError>;
}

/// Why a bus gave no responses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The other end of the bus no longer exists; nothing was done.
    #[error("the other end of the bus is closed")]
    Closed,
    /// The handler went away without an answer; what it did is unknown.
    #[error("the request was dropped without an answer")]
    Dropped,
    /// The handler broke the contract; what it did is unknown.
    #[error("{asked} requests got {answered} responses")]
    WrongCount {
        /// How many requests there were.
        asked: usize,
        /// How many responses came.
        answered: usize,
    },
}

/// Requests that wait for their responses. Dropping it tells the asking end
/// that no answer will come.
#[derive(Debug)]
pub struct Transaction<Q, R> {
    requests: Vec<Q>,
    reply: Reply<R>,
}

/// The way back of a [`Transaction`].
#[derive(Debug)]
pub struct Reply<R> {
    asked: usize,
    sender: oneshot::Sender<Result<Vec<R>, BusError>>,
}

impl<Q, R> Transaction<Q, R> {
    /// A transaction, and where its responses arrive.
    pub fn new(requests: Vec<Q>) -> (Self, Responses<R>) {
        let (sender, receiver) = oneshot::channel();
        let reply = Reply {
            asked: requests.len(),
            sender,
        };
        (Transaction { requests, reply }, Responses(receiver))
    }

    /// What is asked.
    pub fn requests(&self) -> &[Q] {
        &self.requests
    }

    /// The requests, and the way back.
    pub fn into_parts(self) -> (Vec<Q>, Reply<R>) {
        (self.requests, self.reply)
    }
}

impl<R> Reply<R> {
    /// Sends the responses back. The asking end may be gone: then nobody hears
    /// them, which is no error on this side.
    ///
    /// With the wrong number of responses both ends get an error.
    pub fn send(self, responses: Vec<R>) -> Result<(), BusError> {
        let outcome = if responses.len() == self.asked {
            Ok(responses)
        } else {
            Err(BusError::WrongCount {
                asked: self.asked,
                answered: responses.len(),
            })
        };
        let broken = outcome.as_ref().err().copied();
        let _ = self.sender.send(outcome);
        broken.map_or(Ok(()), Err)
    }
}

/// Where the responses to a [`Transaction`] arrive.
#[derive(Debug)]
pub struct Responses<R>(oneshot::Receiver<Result<Vec<R>, BusError>>);

impl<R> Responses<R> {
    /// Waits for them.
    pub async fn receive(self) -> Result<Vec<R>, BusError> {
        self.0.await.unwrap_or(Err(BusError::Dropped))
    }
}
