//! What a program that embeds the edge has to say to each command.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use slimta_smtp::server::Asked;
use tokio::sync::watch;

use super::SmtpEdge;
use super::connection::{Connection, reached, shutdown};
use super::listen::Phase;
use super::origin::Counted;
use crate::message::{Client, Envelope, Message, Recipient, Response};

/// What a client hears.
type Verdict = Result<(), Response>;

/// Looks at each command before it takes effect, and may refuse it with a
/// response of its own. All that is not written here is let through.
///
/// ```
/// # use slimta::edge::smtp::{SmtpEdge, Validators};
/// # use slimta::message::{Client, Envelope, Recipient, Response};
/// /// Takes mail for who is on a list, and not from who greets with an address.
/// struct Members(Vec<String>);
///
/// #[async_trait::async_trait]
/// impl Validators for Members {
///     async fn ehlo(&self, client: &Client) -> Result<(), Response> {
///         match &client.ehlo {
///             Some(name) if name.starts_with('[') => {
///                 Err(Response::permanent(7, 1, "Say your name, please"))
///             }
///             _ => Ok(()),
///         }
///     }
///
///     async fn rcpt(
///         &self,
///         _: &Client,
///         _: &Envelope,
///         recipient: &Recipient,
///     ) -> Result<(), Response> {
///         let is_member = self.0.iter().any(|member| member == recipient.address.as_str());
///         match is_member {
///             true => Ok(()),
///             false => Err(Response::permanent(1, 1, "No such user")),
///         }
///     }
/// }
///
/// # fn example(edge: SmtpEdge) -> SmtpEdge {
/// let members = vec!["ann@example.org".to_owned()];
/// edge.with_validators(Members(members))
/// # }
/// ```
///
/// A command that is refused leaves the session as it was. Commands that a
/// client sends at once (PIPELINING, RFC 2920) are looked at one after the
/// other, in their order, each when the one before has had its reply. What
/// takes longer than [`Limits::validation_time_max`](super::Limits) is answered
/// `451 4.3.0`. A response of 2yz or 3yz refuses nothing properly: the client
/// hears `451 4.3.0`, too. 421 closes the connection.
///
/// What `client` holds is what is known by then: its address from the start,
/// `ehlo` from [`ehlo`](Self::ehlo) on, `auth` and `security` once it has
/// authenticated and turned to TLS.
#[async_trait]
pub trait Validators: Send + Sync + 'static {
    /// A client has connected. Who is refused hears the response in the place
    /// of the greeting, and may only QUIT (RFC 5321 section 3.1).
    async fn banner(&self, _client: &Client) -> Result<(), Response> {
        Ok(())
    }

    /// EHLO or HELO: [`Client::ehlo`] is the name it gives.
    async fn ehlo(&self, _client: &Client) -> Result<(), Response> {
        Ok(())
    }

    /// STARTTLS. Who is refused may go on in the clear.
    async fn starttls(&self, _client: &Client) -> Result<(), Response> {
        Ok(())
    }

    /// MAIL: the envelope has the sender and what the client says of the
    /// message, and no recipients.
    async fn mail(&self, _client: &Client, _envelope: &Envelope) -> Result<(), Response> {
        Ok(())
    }

    /// RCPT, for a recipient that the edge would take: the envelope has those
    /// that were taken before.
    async fn rcpt(
        &self,
        _client: &Client,
        _envelope: &Envelope,
        _recipient: &Recipient,
    ) -> Result<(), Response> {
        Ok(())
    }

    /// DATA, or the first BDAT: the envelope is complete, the contents come
    /// next.
    async fn data(&self, _client: &Client, _envelope: &Envelope) -> Result<(), Response> {
        Ok(())
    }

    /// A whole message, as it came, before any policy. It counts against
    /// [`Limits::store_time_max`](super::Limits), too.
    async fn message(&self, _message: &Message) -> Result<(), Response> {
        Ok(())
    }
}

impl<S> Connection<S> {
    /// Greets the client, or turns it away.
    pub(super) async fn greet(&mut self) {
        let Some(validators) = self.edge.validators.clone() else {
            return self.session.banner();
        };
        let client = self.client();
        // In boxes all of them, so that a connection that waits keeps no room
        // for what it may never need.
        let asking = Box::pin(validators.banner(&client));
        match judge(&self.edge, &mut self.phase, "banner", &client, asking).await {
            Ok(()) => self.session.banner(),
            Err(response) => self.session.turn_away(&response),
        }
    }

    /// Decides on a command.
    pub(super) async fn decide(&mut self, asked: Asked) {
        let allowed = match asked {
            // Who is refused has used up nothing.
            Asked::Mail if self.edge.senders.is_some() => match Box::pin(self.own_sender()).await {
                Ok(()) => self.allowance(Counted::Message),
                refused => refused,
            },
            Asked::Mail => self.allowance(Counted::Message),
            Asked::Hello | Asked::Data => Ok(()),
        };
        let verdict = match (allowed, self.edge.validators.clone()) {
            (Ok(()), Some(validators)) => Box::pin(self.validate(validators, asked)).await,
            (allowed, _) => allowed,
        };
        match verdict {
            Ok(()) => self.session.allow(),
            Err(response) => self.session.refuse(&response),
        }
    }

    fn allowance(&self, what: Counted) -> Verdict {
        self.edge.allowance(what, self.ip, self.session.user())
    }

    async fn validate(&mut self, validators: Arc<dyn Validators>, asked: Asked) -> Verdict {
        let client = self.client();
        // There is one with MAIL and DATA.
        let (none, known) = (Envelope::default(), self.session.envelope());
        let envelope = known.unwrap_or(&none);
        let (command, asking) = match asked {
            Asked::Hello => ("EHLO", validators.ehlo(&client)),
            Asked::Mail => ("MAIL", validators.mail(&client, envelope)),
            Asked::Data => ("DATA", validators.data(&client, envelope)),
        };
        judge(&self.edge, &mut self.phase, command, &client, asking).await
    }

    /// Decides on a recipient whom the client may send to.
    pub(super) async fn decide_recipient(&mut self, recipient: Recipient) {
        let allowed = self.allowance(Counted::Recipient);
        let verdict = match (allowed, self.edge.validators.clone()) {
            (Ok(()), Some(validators)) => {
                Box::pin(self.validate_recipient(validators, &recipient)).await
            }
            (allowed, _) => allowed,
        };
        match verdict {
            Ok(()) => self.session.accept_recipient(recipient),
            Err(response) => self.session.refuse_recipient(&response),
        }
    }

    async fn validate_recipient(
        &mut self,
        validators: Arc<dyn Validators>,
        recipient: &Recipient,
    ) -> Verdict {
        let client = self.client();
        let (none, known) = (Envelope::default(), self.session.envelope());
        let asking = validators.rcpt(&client, known.unwrap_or(&none), recipient);
        judge(&self.edge, &mut self.phase, "RCPT", &client, asking).await
    }

    /// Whether the client may turn to TLS.
    pub(super) async fn validate_tls(&mut self) -> Verdict {
        let Some(validators) = self.edge.validators.clone() else {
            return Ok(());
        };
        let client = self.client();
        let asking = Box::pin(validators.starttls(&client));
        judge(&self.edge, &mut self.phase, "STARTTLS", &client, asking).await
    }

    /// The client as validators see it.
    fn client(&self) -> Client {
        Client {
            ip: Some(self.ip),
            ..self.session.client()
        }
    }
}

/// Waits for a verdict as long as it may take, and no longer than the edge
/// serves.
async fn judge(
    edge: &SmtpEdge,
    phase: &mut watch::Receiver<Phase>,
    command: &str,
    client: &Client,
    asking: impl Future<Output = Verdict>,
) -> Verdict {
    let verdict = tokio::select! {
        biased;
        verdict = edge.judged(asking) => verdict,
        () = reached(phase, Phase::Over) => Err(shutdown()),
    };
    if let Err(response) = &verdict {
        let ip = client.ip.map(tracing::field::display);
        tracing::info!(ip, command, %response, "refused by a validator");
    }
    verdict
}

impl SmtpEdge {
    /// Whether a whole message may go on.
    pub(super) async fn validate_message(&self, message: &Message) -> Verdict {
        let Some(validators) = &self.validators else {
            return Ok(());
        };
        let verdict = self.judged(validators.message(message)).await;
        if let Err(response) = &verdict {
            let ip = message.client.ip.map(tracing::field::display);
            tracing::info!(ip, %response, "message refused by a validator");
        }
        verdict
    }

    /// A verdict that comes in time, and whose refusal is one: no client may
    /// hear 2yz for what was not taken.
    async fn judged(&self, asking: impl Future<Output = Verdict>) -> Verdict {
        let limit = self.limits.validation_time_max;
        match self.world.timeout(limit, asking).await {
            Some(Err(response)) if !response.is_success() => Err(response),
            Some(Ok(())) => Ok(()),
            _ => Err(Response::transient(3, 0, "Error in processing")),
        }
    }
}
