//! A proxy: takes requests from one bus and passes them on to another.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{BusError, Client, Server};

type Passing<R> = Pin<Box<dyn Future<Output = Result<Vec<R>, BusError>> + Send>>;
type Next<Q, R> = Arc<dyn Client<Q, R>>;
type Filter<Q, R> = Arc<dyn Fn(Vec<Q>, Next<Q, R>) -> Passing<R> + Send + Sync>;

/// Stands between two buses and passes requests through a filter, which may
/// edit them, answer some by itself, or look at the responses (the original's
/// `slimta.bus.proxy`). Proxies can be chained.
pub struct Proxy<Q, R> {
    from: Arc<dyn Server<Q, R>>,
    to: Next<Q, R>,
    filter: Filter<Q, R>,
}

impl<Q: Send + 'static, R: Send + 'static> Proxy<Q, R> {
    /// A proxy that passes everything on as it is.
    pub fn new(from: Arc<dyn Server<Q, R>>, to: Arc<dyn Client<Q, R>>) -> Self {
        Proxy {
            from,
            to,
            filter: Arc::new(|requests, next| Box::pin(async move { next.send(requests).await })),
        }
    }

    /// The same with a filter: it gets the requests and the next bus, and
    /// gives the responses.
    #[must_use]
    pub fn with_filter<F, Fut>(mut self, filter: F) -> Self
    where
        F: Fn(Vec<Q>, Arc<dyn Client<Q, R>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<R>, BusError>> + Send + 'static,
    {
        self.filter = Arc::new(move |requests, next| Box::pin(filter(requests, next)));
        self
    }

    /// Waits for requests and gives the work of passing them on, which may run
    /// beside other work of this proxy. When passing fails the asking end is told
    /// that no answer comes.
    pub async fn accept(
        &self,
    ) -> Result<impl Future<Output = Result<(), BusError>> + Send + use<Q, R>, BusError> {
        let (requests, reply) = self.from.accept().await?.into_parts();
        let passing = (self.filter)(requests, self.to.clone());
        Ok(async move { reply.send(passing.await?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::local;

    #[tokio::test]
    async fn a_chain_of_filters_runs_in_order() {
        let (first_server, client) = local::<String, String>(1);
        let (second_server, to_second) = local(1);
        let (queue, to_queue) = local::<String, String>(1);
        let mark = |sign: char| {
            move |requests: Vec<String>, next: Arc<dyn Client<String, String>>| async move {
                next.send(
                    requests
                        .into_iter()
                        .map(|r| r + &sign.to_string())
                        .collect(),
                )
                .await
            }
        };
        let first = Proxy::new(Arc::new(first_server), Arc::new(to_second)).with_filter(mark('1'));
        let second = Proxy::new(Arc::new(second_server), Arc::new(to_queue)).with_filter(mark('2'));
        let (responses, ..) = tokio::join!(
            client.send(vec!["a".into(), "b".into()]),
            async { first.accept().await.unwrap().await.unwrap() },
            async { second.accept().await.unwrap().await.unwrap() },
            async {
                let (requests, reply) = queue.accept().await.unwrap().into_parts();
                reply.send(requests).unwrap();
            }
        );
        assert_eq!(responses, Ok(vec!["a12".into(), "b12".into()]));
    }

    #[tokio::test]
    async fn a_broken_next_bus_reaches_the_client() {
        let (server, client) = local::<u8, u8>(1);
        let (next_server, next) = local::<u8, u8>(1);
        drop(next_server);
        let proxy = Proxy::new(Arc::new(server), Arc::new(next));
        let (responses, passed) = tokio::join!(client.send(vec![1]), async {
            proxy.accept().await.unwrap().await
        });
        assert_eq!(responses, Err(BusError::Dropped));
        assert_eq!(passed, Err(BusError::Closed));
    }
}
