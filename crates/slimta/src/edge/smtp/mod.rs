//! The SMTP edge, which speaks LMTP, too: a listening server whose messages go
//! through the policies and over the bus to the queue.
//!
//! It promises that a client hears success only after the queue has said so,
//! and that the queue gets only messages that were sent to their end. It never
//! tells a client what went wrong within.

mod answers;
mod auth;
mod connection;
mod current;
mod deliver;
mod early;
mod limits;
mod lines;
mod listen;
mod listener;
mod look;
mod origin;
mod pace;
mod proxy_header;
mod recipients;
mod senders;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
#[cfg(feature = "tls")]
mod tls;
mod validators;
mod xclient;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use slimta_core::bus;
use slimta_core::policy::{Chain, Policy};
use slimta_core::world::World;
use slimta_smtp::server::{Auth, Room, Settings, StartTls};
use tokio::sync::Semaphore;

pub use auth::{AuthMode, Authenticator, BearerToken, TokenVerdict, Verdict};
#[cfg(feature = "credentials")]
pub use auth::{CredentialsFile, ScramKeys, ScramKeysError, password_line, scram_line};
pub use current::CurrentEdge;
pub use limits::Limits;
pub use lines::FileError;
pub use listener::Listener;
pub use recipients::{FinalDomains, RecipientsFile};
pub use senders::SendersFile;
pub use slimta_smtp::server::{Credentials, Mechanisms, Role};
#[cfg(feature = "tls")]
pub use tls::{CertificateFiles, Tls, TlsError, TlsMode};
pub use validators::Validators;

use crate::message::{Message, Response};

type Bus = dyn bus::Client<Message, Response>;
type Permit = dyn Fn(IpAddr) -> bool + Send + Sync;

/// An SMTP server that hands messages to the queue.
///
/// ```
/// # use std::sync::Arc;
/// # use slimta::{bus, edge::smtp::SmtpEdge, message::{Message, Response}, policy, world::World};
/// # async fn example() -> std::io::Result<()> {
/// let (queue_end, edge_end) = bus::local::<Message, Response>(100);
/// let world = World::system();
/// let edge = SmtpEdge::new(Arc::new(edge_end), world.clone())
///     .with_hostname("mail.example.net")
///     .with_policy(policy::standard("mail.example.net", world));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:2525").await?;
/// edge.serve(listener, std::future::pending()).await;
/// # drop(queue_end);
/// # Ok(())
/// # }
/// ```
///
/// Clones serve further listeners under the same limits: connections and memory
/// count together.
#[derive(Clone)]
pub struct SmtpEdge {
    bus: Arc<Bus>,
    world: World,
    hostname: Arc<str>,
    policy: Arc<dyn Policy>,
    permit: Arc<Permit>,
    xclient_from: Arc<Permit>,
    limits: Limits,
    /// One permit a connection.
    connections: Arc<Semaphore>,
    /// One permit a handshake of TLS.
    handshakes: Arc<Semaphore>,
    room: Room,
    encryption: Option<tls::Encryption>,
    authentication: Option<auth::Authentication>,
    failures: Arc<auth::Failures>,
    role: Role,
    final_domains: Option<Arc<FinalDomains>>,
    senders: Option<SendersFile>,
    proxy_headers: Option<Arc<Permit>>,
    origins: Arc<origin::Origins>,
    validators: Option<Arc<dyn Validators>>,
}

impl SmtpEdge {
    /// An edge called `localhost` that asks the queue over `bus`, has no
    /// policies, no TLS and no users, and takes mail from clients on this
    /// machine only.
    pub fn new(bus: Arc<dyn bus::Client<Message, Response>>, world: World) -> Self {
        let limits = Limits::default();
        SmtpEdge {
            bus,
            world,
            hostname: "localhost".into(),
            policy: Arc::new(Chain::new()),
            permit: Arc::new(|ip: IpAddr| ip.is_loopback()),
            xclient_from: Arc::new(|_| false),
            limits,
            connections: permits(limits.connections_max),
            handshakes: permits(limits.handshakes_max),
            room: Room::new(limits.memory_bytes_max),
            encryption: None,
            authentication: None,
            failures: Arc::new(auth::Failures::new(&limits)),
            role: Role::Relay,
            final_domains: None,
            senders: None,
            proxy_headers: None,
            origins: Arc::new(origin::Origins::new(&limits)),
            validators: None,
        }
    }

    /// The name that the edge gives itself, fully qualified (RFC 5321
    /// section 4.2).
    #[must_use]
    pub fn with_hostname(mut self, name: impl Into<String>) -> Self {
        self.hostname = name.into().into();
        self
    }

    /// What may edit, split or refuse each message before the queue gets it.
    #[must_use]
    pub fn with_policy(mut self, policy: impl Policy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Whose mail is taken, by address. Other clients may connect, but unless
    /// they have authenticated each of their recipients is refused with
    /// `550 5.7.1`, if it is of none of the final domains.
    #[must_use]
    pub fn with_permit(mut self, permit: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        self.permit = Arc::new(permit);
        self
    }

    /// Which clients are proxies that may say, by XCLIENT, whom they speak for:
    /// then whose mail is taken goes by the address that they tell, and their
    /// word that somebody has authenticated counts. Others hear `550 5.7.0`.
    /// Nobody, if this is not said.
    #[must_use]
    pub fn with_xclient_from(
        mut self,
        proxies: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.xclient_from = Arc::new(proxies);
        self
    }

    /// What clients are granted. Clones made before do not share these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self.connections = permits(limits.connections_max);
        self.handshakes = permits(limits.handshakes_max);
        self.room = Room::new(limits.memory_bytes_max);
        self.failures = Arc::new(auth::Failures::new(&limits));
        self.origins = Arc::new(origin::Origins::new(&limits));
        self
    }

    /// The largest message in bytes, and the most recipients of one, where they
    /// are others than the limits say. Clones still share all other limits.
    #[must_use]
    pub fn with_message_limits(mut self, bytes_max: u64, recipients_max: usize) -> Self {
        self.limits.message_bytes_max = bytes_max;
        self.limits.recipients_max = recipients_max;
        self
    }

    /// Sets how long those who submit may have a message held; none to hold no mail.
    /// Default: as the limits say. Holding is for submission: where hosts hand mail to
    /// each other it must not be offered (RFC 4865 section 4.2, item 2), and by LMTP it
    /// never is.
    #[must_use]
    pub fn with_hold_time_max(mut self, hold_time_max: Option<Duration>) -> Self {
        self.limits.hold_time_max = hold_time_max;
        self
    }

    /// What mail is taken for; between hosts if nothing is said. A listener
    /// where mail is submitted takes it from those only who may relay.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Whose mail is taken from anybody. Without it only those may hand in mail
    /// who may relay.
    #[must_use]
    pub fn with_final_domains(mut self, domains: FinalDomains) -> Self {
        self.final_domains = Some(Arc::new(domains));
        self
    }

    /// Which addresses users may send from (RFC 6409 section 6.1). Default: any.
    #[must_use]
    pub fn with_senders(mut self, senders: SendersFile) -> Self {
        self.senders = Some(senders);
        self
    }

    /// Who is a proxy, by address: its connections begin with a header of the
    /// PROXY protocol, version 1 or 2, and are those of the client that it names,
    /// in all that an address counts for. If none comes within 5 seconds the
    /// connection is closed. If it names nobody the client is permitted nothing.
    /// From other addresses no header is understood.
    #[must_use]
    pub fn with_proxy_header_from(
        mut self,
        is_proxy: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.proxy_headers = Some(Arc::new(is_proxy));
        self
    }

    /// What connections are encrypted with, and when. Without it STARTTLS is
    /// not offered. Clones may have another mode, for another listener:
    ///
    /// ```
    /// # use slimta::edge::smtp::{CertificateFiles, SmtpEdge, Tls, TlsError, TlsMode};
    /// # fn example(edge: SmtpEdge) -> Result<(), TlsError> {
    /// let files = CertificateFiles {
    ///     chain: "/etc/slimta/mail.example.net.pem".into(),
    ///     key: "/etc/slimta/mail.example.net.key".into(),
    /// };
    /// let tls = Tls::open(vec![files])?;
    /// let on_port_465 = edge.clone().with_tls(tls.clone(), TlsMode::Implicit);
    /// let on_port_25 = edge.with_tls(tls, TlsMode::Offered);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, tls: Tls, mode: TlsMode) -> Self {
        self.encryption = Some(tls::Encryption { tls, mode });
        self
    }

    /// What tells who clients are (AUTH, RFC 4954), and where they may say it.
    /// Who has authenticated may hand in mail from any address. Without it AUTH
    /// is not offered.
    #[must_use]
    pub fn with_authenticator(mut self, authenticator: impl Authenticator, mode: AuthMode) -> Self {
        self.authentication = Some(auth::Authentication::new(authenticator, mode));
        self
    }

    /// What may refuse clients and each of their commands.
    #[must_use]
    pub fn with_validators(mut self, validators: impl Validators) -> Self {
        self.validators = Some(Arc::new(validators));
        self
    }

    /// Serves clients of `listener` until `stop` completes and they are gone:
    /// idle ones are sent away at once, one that is sending a message may
    /// finish it within the limit of grace.
    ///
    /// Dropping the future closes all connections as they are.
    pub async fn serve(self, listener: impl Listener, stop: impl Future<Output = ()> + Send) {
        CurrentEdge::new(self).serve(listener, stop).await;
    }

    /// Whether its clients begin with TLS.
    fn is_encrypted_from_start(&self) -> bool {
        let encryption = self.encryption.as_ref();
        encryption.is_some_and(tls::Encryption::is_implicit)
    }

    /// What all sessions have in common.
    fn settings(&self) -> Settings {
        let mut settings = Settings::new(&self.hostname);
        settings.role = self.role;
        settings.message_bytes_max = self.limits.message_bytes_max;
        settings.recipients_max = self.limits.recipients_max;
        settings.errors_max = self.limits.errors_max;
        settings.hold_time_max = self.limits.hold_time_max;
        settings.room = self.room.clone();
        let encryption = self.encryption.as_ref();
        settings.starttls = encryption.map_or(StartTls::Absent, tls::Encryption::starttls);
        let authentication = self.authentication.as_ref();
        settings.auth = authentication.map_or(Auth::Absent, auth::Authentication::offer);
        settings
    }
}

fn permits(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)))
}
