//! The bus within one process.

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};

use super::{BusError, Client, Server, Transaction};

/// A bounded bus within this process; at most `capacity` transactions wait in
/// it, then [`Client::send`] waits. The seed's `new_local`: server end first,
/// then client end.
pub fn local<Q: Send + 'static, R: Send + 'static>(
    capacity: usize,
) -> (LocalServer<Q, R>, LocalClient<Q, R>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (LocalServer(Mutex::new(receiver)), LocalClient(sender))
}

/// The answering end of a local bus.
#[derive(Debug)]
pub struct LocalServer<Q, R>(
    /// A tokio mutex, because it is held while waiting; several callers of
    /// `accept` take turns.
    Mutex<mpsc::Receiver<Transaction<Q, R>>>,
);

/// The asking end of a local bus. Clones share it.
#[derive(Debug)]
pub struct LocalClient<Q, R>(mpsc::Sender<Transaction<Q, R>>);

impl<Q, R> Clone for LocalClient<Q, R> {
    fn clone(&self) -> Self {
        LocalClient(self.0.clone())
    }
}

#[async_trait]
impl<Q: Send + 'static, R: Send + 'static> Client<Q, R> for LocalClient<Q, R> {
    async fn send(&self, requests: Vec<Q>) -> Result<Vec<R>, BusError> {
        let (transaction, responses) = Transaction::new(requests);
        self.0
            .send(transaction)
            .await
            .map_err(|_| BusError::Closed)?;
        responses.receive().await
    }
}

#[async_trait]
impl<Q: Send + 'static, R: Send + 'static> Server<Q, R> for LocalServer<Q, R> {
    async fn accept(&self) -> Result<Transaction<Q, R>, BusError> {
        self.0.lock().await.recv().await.ok_or(BusError::Closed)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn responses_come_back_in_order() {
        let (server, client) = local::<u32, u32>(1);
        let answering = async {
            let (requests, reply) = server.accept().await.unwrap().into_parts();
            reply
                .send(requests.iter().map(|n| n * 2).collect())
                .unwrap();
        };
        let (responses, ()) = tokio::join!(client.send(vec![1, 2, 3]), answering);
        assert_eq!(responses, Ok(vec![2, 4, 6]));
    }

    #[tokio::test]
    async fn a_dropped_request_is_an_error_not_a_hang() {
        let (server, client) = local::<u32, u32>(1);
        let dropping = async { drop(server.accept().await.unwrap()) };
        let (responses, ()) = tokio::join!(client.send(vec![1]), dropping);
        assert_eq!(responses, Err(BusError::Dropped));
    }

    #[tokio::test]
    async fn a_wrong_count_is_an_error_on_both_ends() {
        let wrong = BusError::WrongCount {
            asked: 2,
            answered: 1,
        };
        let (server, client) = local::<u32, u32>(1);
        let answering = async {
            let (_, reply) = server.accept().await.unwrap().into_parts();
            reply.send(vec![1])
        };
        let (responses, answered) = tokio::join!(client.send(vec![1, 2]), answering);
        assert_eq!((responses, answered), (Err(wrong), Err(wrong)));
    }

    #[tokio::test]
    async fn a_closed_end_is_an_error() {
        let (server, client) = local::<u32, u32>(1);
        drop(server);
        assert_eq!(client.send(vec![1]).await, Err(BusError::Closed));
        let (server, client) = local::<u32, u32>(1);
        drop(client);
        assert!(matches!(server.accept().await, Err(BusError::Closed)));
    }

    #[tokio::test]
    async fn a_full_bus_makes_the_sender_wait() {
        let (server, client) = local::<u32, u32>(1);
        let mut first = client.send(vec![1]);
        let mut second = client.send(vec![2]);
        assert_eq!((&mut first).now_or_never(), None);
        assert_eq!((&mut second).now_or_never(), None);
        // The second still waits outside: giving up leaves nothing behind.
        drop(second);
        assert_eq!(server.accept().await.unwrap().requests(), [1]);
        assert!(server.accept().now_or_never().is_none());
    }
}
