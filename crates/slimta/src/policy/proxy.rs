//! A policy between two buses.

use std::sync::Arc;

use slimta_core::bus::{BusError, Client, Proxy, Server};

use super::Policy;
use crate::message::{Message, Response};

/// Passes messages from one bus to another through a policy, as the proxies of the
/// original do: anywhere between an edge and the queue, in this process or, by buses
/// of another kind, in one of its own. Proxies can be chained.
///
/// Each message has one response, into however many the policy parts it: that of the
/// first part that was not taken, or else of the first. What the policy refuses is
/// answered by its reply, and what it drops with success.
///
/// ```
/// # use std::sync::Arc;
/// # use slimta::{bus, message::{Message, Response}, policy::{self, AddDate}};
/// # async fn example() -> Result<(), bus::BusError> {
/// let (from, edge_end) = bus::local::<Message, Response>(100);
/// let (queue_end, to) = bus::local(100);
/// let proxy = policy::proxy(Arc::new(from), Arc::new(to), AddDate);
/// tokio::spawn(async move {
///     while let Ok(work) = proxy.accept().await {
///         tokio::spawn(work);
///     }
/// });
/// # drop((edge_end, queue_end));
/// # Ok(())
/// # }
/// ```
pub fn proxy(
    from: Arc<dyn Server<Message, Response>>,
    to: Arc<dyn Client<Message, Response>>,
    policy: impl Policy,
) -> Proxy<Message, Response> {
    let policy = Arc::new(policy);
    Proxy::new(from, to).with_filter(move |messages, next| {
        let policy = policy.clone();
        async move { pass(&*policy, messages, &*next).await }
    })
}

/// What became of a message at the policy.
enum Fate {
    /// It is answered.
    Answered(Response),
    /// It goes on, in so many parts.
    Parts(usize),
}

async fn pass(
    policy: &dyn Policy,
    messages: Vec<Message>,
    next: &dyn Client<Message, Response>,
) -> Result<Vec<Response>, BusError> {
    let mut fates = Vec::with_capacity(messages.len());
    let mut passed = Vec::with_capacity(messages.len());
    for message in messages {
        fates.push(match policy.apply(message).await {
            Err(response) => Fate::Answered(response),
            Ok(parts) if parts.is_empty() => {
                Fate::Answered(Response::success(0, 0, "Message accepted"))
            }
            Ok(parts) => {
                let count = parts.len();
                passed.extend(parts);
                Fate::Parts(count)
            }
        });
    }
    let asked = passed.len();
    let responses = match asked {
        0 => Vec::new(),
        _ => next.send(passed).await?,
    };
    let answered = responses.len();
    if asked != answered {
        return Err(BusError::WrongCount { asked, answered });
    }
    let mut responses = responses.into_iter();
    let answers = fates.into_iter().map(|fate| match fate {
        Fate::Answered(response) => Some(response),
        Fate::Parts(count) => verdict(responses.by_ref().take(count).collect()),
    });
    // Each part has its response, so no message is without.
    answers.collect::<Option<Vec<_>>>().ok_or(BusError::Dropped)
}

/// One response for all parts of a message.
fn verdict(responses: Vec<Response>) -> Option<Response> {
    let failed = responses.iter().position(|response| !response.is_success());
    responses.into_iter().nth(failed.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::super::tests::message;
    use super::*;
    use crate::bus;

    /// Parts a message by its recipients, and refuses one that has `bad`.
    struct Split;

    #[async_trait]
    impl Policy for Split {
        async fn apply(&self, message: Message) -> Result<Vec<Message>, Response> {
            let recipients = &message.envelope.recipients;
            if recipients.iter().any(|to| to.address.local_part() == "bad") {
                return Err(Response::permanent(7, 1, "No"));
            }
            let part = |to: &crate::message::Recipient| {
                let mut part = message.clone();
                part.envelope.recipients = vec![to.clone()];
                part
            };
            Ok(recipients.iter().map(part).collect())
        }
    }

    #[tokio::test]
    async fn each_message_has_one_answer_into_however_many_it_is_parted() {
        let (from, edge) = bus::local(1);
        let (queue, to) = bus::local::<Message, Response>(1);
        let proxy = proxy(Arc::new(from), Arc::new(to), Split);
        let asked = [
            &["a@x.example", "later@x.example", "b@x.example"][..],
            &["bad@x.example", "c@x.example"],
            &["d@x.example", "e@x.example"],
            &[],
        ];
        let asked = asked.iter().map(|recipients| message("\r\n", recipients));
        let (answers, ..) = tokio::join!(
            edge.send(asked.collect()),
            async { proxy.accept().await.unwrap().await.unwrap() },
            async {
                let (parts, reply) = queue.accept().await.unwrap().into_parts();
                let answer = |part: &Message| {
                    let name = part.envelope.recipients[0].address.local_part();
                    match name {
                        "later" => Response::transient(3, 0, name),
                        name => Response::success(0, 0, name),
                    }
                };
                reply.send(parts.iter().map(answer).collect()).unwrap();
            }
        );
        let told = answers.unwrap();
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "451 4.3.0 later",
                "550 5.7.1 No",
                "250 2.0.0 d",
                "250 2.0.0 Message accepted"
            ]
        );
    }
}
