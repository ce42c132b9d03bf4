//! The list of options: each a flag of `slimta serve` and a key of its file.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use slimta::policy::AssignTenant;
use slimta::relay::TlsLevel;
use slimta_core::queue::Schedule;

use super::destinations::{Destinations, RateOrNone, by_destination, routes};
use super::dkim::Dkim;
use super::edge_auth::EdgeAuth;
use super::edge_tls::EdgeTls;
use super::logging::{LogFormat, LogLevel};
use super::machine::{is_host_name, machine_name};
use super::network::{Network, loopback};
use super::notices::Notices;
use super::sources::one_or_several;
use super::span::{Span, SpanOrNone};
use super::tenants::Tenants;
use super::written::{all_written, size, size_or_text, written};
use super::{
    CONNECTIONS_MAX_DEFAULT, DELAY_NOTICE_DEFAULT, EdgeSettings, LISTEN_DEFAULT,
    LOCK_DURATION_DEFAULT, LOCK_DURATION_MIN, MESSAGE_BYTES_MAX_DEFAULT, RECIPIENTS_MAX_DEFAULT,
    RELAY_DEFAULT, RELAY_NONE, STORAGE_DEFAULT, Settings,
};
use crate::failure::Failure;
use crate::values;

/// What was said; what was not is absent.
#[derive(Args, serde::Deserialize, Clone, Debug, Default)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Options {
    /// Read options from this TOML file too; keys are the long names of flags,
    /// and flags win
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,

    /// Take mail by SMTP here; may be given several times; port 0 takes a free
    /// one [default: 127.0.0.1:2525, unless there is a --listen-tls]
    #[arg(long, value_name = "ADDR", value_parser = values::listen)]
    pub(crate) listen: Vec<SocketAddr>,
    /// Take mail here by SMTP that begins with TLS, as on port 465; may be given
    /// several times
    #[arg(long, value_name = "ADDR", value_parser = values::listen)]
    pub(crate) listen_tls: Vec<SocketAddr>,
    /// Hand mail on: mx, smtp://HOST:PORT, smtps://HOST:PORT, lmtp://HOST:PORT,
    /// lmtp:/SOCKET, "pipe:/COMMAND ARGUMENT...", maildir:DIR, blackhole:,
    /// "reject:CODE TEXT", or none to store only [default: mx]
    #[arg(long, value_name = "URL")]
    pub(crate) relay: Option<String>,
    /// Keep mail here: embedded:DIR, postgres://USER@HOST/DATABASE, redis://HOST or memory: [default: embedded:./slimta-data]
    #[arg(long, value_name = "URL")]
    pub(crate) storage: Option<String>,
    /// The name of this host in greetings, trace headers and bounces [default:
    /// the machine's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// When to try again what failed for now; none bounces it at once [default:
    /// 1m,5m,15m,30m,1h,2h,4h..;until=5d;jitter=20%]
    #[arg(long, value_name = "SPEC")]
    #[serde(deserialize_with = "written")]
    pub(crate) retry: Option<Schedule>,
    /// Let a reply move the next attempt that says "try again in N minutes" or
    /// is typical greylisting: by 30s at least and 1h at most [default: true]
    #[arg(long, value_name = "true|false")]
    pub(crate) heed_replies: Option<bool>,
    /// Tell senders once when their message has waited so long; none tells
    /// nobody [default: 4h]
    #[arg(long, value_name = "TIME")]
    #[serde(deserialize_with = "written")]
    pub(crate) delay_notice: Option<SpanOrNone>,
    /// Messages up to this size come back whole with the notice that they
    /// failed, longer ones as their header [default: 64k]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    #[serde(deserialize_with = "size_or_text")]
    pub(crate) returned_bytes_max: Option<NonZeroUsize>,
    /// Write notices of failure by this template, header and text, before what
    /// comes back [default: a report of RFC 3464]
    #[arg(long, value_name = "FILE")]
    pub(crate) bounce_header: Option<PathBuf>,
    /// And by this one, behind it
    #[arg(long, value_name = "FILE")]
    pub(crate) bounce_footer: Option<PathBuf>,
    /// What is so for some destinations only: tables of the file.
    #[arg(skip)]
    pub(crate) destination: Destinations,
    /// Let operators in by this Unix socket [default: admin.sock in the
    /// directory of the storage]
    #[arg(long, value_name = "PATH")]
    pub(crate) admin_socket: Option<PathBuf>,

    /// Take mail from clients in this network, such as 192.0.2.0/24; may be
    /// given several times [default: 127.0.0.0/8 and ::1]
    #[arg(long, value_name = "NETWORK", help_heading = "Clients")]
    #[serde(deserialize_with = "all_written")]
    pub(crate) permit: Vec<Network>,
    /// Offer TLS (STARTTLS) with this certificate and those that lead to its
    /// root, in PEM; may be given several times, for several names
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    pub(crate) tls_certificate: Vec<PathBuf>,
    /// The key of each certificate, in the same order
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    pub(crate) tls_key: Vec<PathBuf>,
    /// Let clients with a name and password hand in mail for others (AUTH): the
    /// users in this file, whose lines "slimta password" prints
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    pub(crate) credentials: Option<PathBuf>,
    /// Take their passwords in the clear too, where others can read them
    /// [default: false]
    #[arg(long, value_name = "true|false", help_heading = "Clients")]
    pub(crate) auth_in_clear: Option<bool>,
    /// Take no mail in the clear [default: false]
    #[arg(long, value_name = "true|false", help_heading = "Clients")]
    pub(crate) require_tls: Option<bool>,
    /// Largest message that is taken, in bytes, or such as 50m; its header may
    /// have 1 MiB at most [default: 50m]
    #[arg(long, value_name = "BYTES", value_parser = size, help_heading = "Clients")]
    #[serde(deserialize_with = "size_or_text")]
    pub(crate) message_bytes_max: Option<NonZeroUsize>,
    /// Most recipients of one message [default: 1000]
    #[arg(long, value_name = "N", help_heading = "Clients")]
    pub(crate) recipients_max: Option<NonZeroUsize>,
    /// Most clients connected at the same time [default: 1000]
    #[arg(long, value_name = "N", help_heading = "Clients")]
    pub(crate) connections_max: Option<NonZeroUsize>,

    /// How long a lock on a message lasts unless it is renewed, which happens
    /// while an attempt works; after the crash of one of several servers, others
    /// wait so long; 1s at least [default: 120s]
    #[arg(long, value_name = "TIME", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) lock_duration: Option<Span>,
    /// Most attempts at the same time; a tenth is for mail of high priority only
    /// [default: 500]
    #[arg(long, value_name = "N", help_heading = "Queue")]
    pub(crate) attempts_max: Option<NonZeroUsize>,
    /// Most attempts at the same time to one destination; servers that share a
    /// storage divide it, rounded up [default: 20]
    #[arg(long, value_name = "N", help_heading = "Queue")]
    pub(crate) attempts_per_destination_max: Option<NonZeroUsize>,
    /// Most attempts to one destination in a time, such as 5/s, 100/min or
    /// 1000/h; or none [default: none]
    #[arg(long, value_name = "RATE", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) rate_per_destination: Option<RateOrNone>,
    /// Most messages that one connection to a next hop carries [default: 100]
    #[arg(long, value_name = "N", help_heading = "Queue")]
    pub(crate) messages_per_connection: Option<NonZeroU32>,
    /// Connect to next hops from this address of this host; may be given twice,
    /// for IPv4 and for IPv6 [default: as the system chooses]
    #[arg(long, value_name = "IP", help_heading = "Queue")]
    #[serde(deserialize_with = "one_or_several")]
    pub(crate) source_address: Vec<IpAddr>,
    /// How connections to next hops are encrypted: off; opportunistic, where they
    /// can be; required, or mail waits; or verified, by a good certificate
    /// [default: opportunistic]
    #[arg(long, value_name = "LEVEL", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) tls: Option<TlsLevel>,
    /// Trust what is signed by the certificates in this file, in PEM, and nothing
    /// else [default: what the system or SSL_CERT_FILE and SSL_CERT_DIR name]
    #[arg(long, value_name = "FILE", help_heading = "Queue")]
    pub(crate) tls_roots: Option<PathBuf>,
    /// What names the tenant of a message: sender-domain, or field:NAME, a field
    /// of its header; tenants share what may be attempted [default: none has one]
    #[arg(long, value_name = "WHAT", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) tenant: Option<AssignTenant>,
    /// Their weights: tables of the file.
    #[arg(skip)]
    pub(crate) tenants: Tenants,
    /// Who signs: tables of the file.
    #[arg(skip)]
    pub(crate) dkim: Dkim,
    /// How long a destination is left alone that could not be reached five times
    /// in a row; twice as long after each probe that fails [default: 30s]
    #[arg(long, value_name = "TIME", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) backoff_min: Option<Span>,
    /// Longest time between two probes of such a destination [default: 10m]
    #[arg(long, value_name = "TIME", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) backoff_max: Option<Span>,
    /// Longest time that one attempt may take [default: 30m]
    #[arg(long, value_name = "TIME", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) attempt_time_max: Option<Span>,
    /// Most memory for contents above 32 KiB that are being handed on; one
    /// destination may have a quarter of it [default: 256m]
    #[arg(long, value_name = "BYTES", value_parser = size, help_heading = "Queue")]
    #[serde(deserialize_with = "size_or_text")]
    pub(crate) contents_memory_max: Option<NonZeroUsize>,
    /// Most messages that are being stored at the same time [default: 2000]
    #[arg(long, value_name = "N", help_heading = "Queue")]
    pub(crate) intakes_max: Option<NonZeroUsize>,
    /// How long a shutdown waits for attempts that still work, before it cuts them
    /// and hands their messages back [default: 30s]
    #[arg(long, value_name = "TIME", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) drain_time_max: Option<Span>,

    /// How the log on stderr is written [default: human]
    #[arg(long, value_name = "FORMAT", help_heading = "Log")]
    pub(crate) log_format: Option<LogFormat>,
    /// What is worth a line of log [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Log")]
    pub(crate) log_level: Option<LogLevel>,
}

impl Options {
    /// What is absent here comes from `other`.
    pub(super) fn or(self, other: Options) -> Options {
        Options {
            config: self.config.or(other.config),
            listen: either(self.listen, other.listen),
            listen_tls: either(self.listen_tls, other.listen_tls),
            relay: self.relay.or(other.relay),
            storage: self.storage.or(other.storage),
            hostname: self.hostname.or(other.hostname),
            retry: self.retry.or(other.retry),
            heed_replies: self.heed_replies.or(other.heed_replies),
            delay_notice: self.delay_notice.or(other.delay_notice),
            returned_bytes_max: self.returned_bytes_max.or(other.returned_bytes_max),
            bounce_header: self.bounce_header.or(other.bounce_header),
            bounce_footer: self.bounce_footer.or(other.bounce_footer),
            destination: other.destination,
            admin_socket: self.admin_socket.or(other.admin_socket),
            permit: either(self.permit, other.permit),
            tls_certificate: either(self.tls_certificate, other.tls_certificate),
            tls_key: either(self.tls_key, other.tls_key),
            require_tls: self.require_tls.or(other.require_tls),
            credentials: self.credentials.or(other.credentials),
            auth_in_clear: self.auth_in_clear.or(other.auth_in_clear),
            message_bytes_max: self.message_bytes_max.or(other.message_bytes_max),
            recipients_max: self.recipients_max.or(other.recipients_max),
            connections_max: self.connections_max.or(other.connections_max),
            lock_duration: self.lock_duration.or(other.lock_duration),
            attempts_max: self.attempts_max.or(other.attempts_max),
            attempts_per_destination_max: self
                .attempts_per_destination_max
                .or(other.attempts_per_destination_max),
            rate_per_destination: self.rate_per_destination.or(other.rate_per_destination),
            messages_per_connection: self
                .messages_per_connection
                .or(other.messages_per_connection),
            source_address: either(self.source_address, other.source_address),
            tls: self.tls.or(other.tls),
            tls_roots: self.tls_roots.or(other.tls_roots),
            tenant: self.tenant.or(other.tenant),
            tenants: other.tenants,
            dkim: other.dkim,
            backoff_min: self.backoff_min.or(other.backoff_min),
            backoff_max: self.backoff_max.or(other.backoff_max),
            attempt_time_max: self.attempt_time_max.or(other.attempt_time_max),
            contents_memory_max: self.contents_memory_max.or(other.contents_memory_max),
            intakes_max: self.intakes_max.or(other.intakes_max),
            drain_time_max: self.drain_time_max.or(other.drain_time_max),
            log_format: self.log_format.or(other.log_format),
            log_level: self.log_level.or(other.log_level),
        }
    }

    /// Fills in the defaults.
    pub(super) fn settle(self) -> Result<Settings, Failure> {
        let hostname = self.name()?;
        self.pauses()?;
        let relay = self
            .relay
            .clone()
            .unwrap_or_else(|| RELAY_DEFAULT.to_owned());
        let storage = self
            .storage
            .clone()
            .unwrap_or_else(|| STORAGE_DEFAULT.to_owned());
        Ok(Settings {
            notices: self.notices()?,
            lock_duration: self.lock_duration()?,
            edge: self.edge()?,
            limits: self.limits(),
            messages_per_connection: self.messages_per_connection(),
            sources: self.sources()?,
            tls: by_destination(self.tls.unwrap_or_default(), &self.destination, |options| {
                options.tls
            }),
            tls_roots: self.tls_roots,
            tenant: self.tenant.clone(),
            dkim: self.dkim.clone(),
            listen: if self.listen.is_empty() && self.listen_tls.is_empty() {
                vec![LISTEN_DEFAULT]
            } else {
                self.listen
            },
            relay: (relay != RELAY_NONE).then_some(relay),
            storage,
            admin_socket: self.admin_socket,
            hostname,
            retry: by_destination(
                self.retry.unwrap_or_else(Schedule::server_default),
                &self.destination,
                |options| options.retry.clone(),
            ),
            routes: routes(self.destination)?,
            heed_replies: self.heed_replies.unwrap_or(true),
            delay_notice: self
                .delay_notice
                .map_or(Some(DELAY_NOTICE_DEFAULT), SpanOrNone::get),
            log_format: self.log_format.unwrap_or(LogFormat::Human),
            log_level: self.log_level.unwrap_or(LogLevel::Info),
        })
    }

    pub(super) fn name(&self) -> Result<String, Failure> {
        let hostname = self.hostname.clone().unwrap_or_else(machine_name);
        if !is_host_name(&hostname) {
            let why = format!("{hostname:?} is not the name of a host, such as mx.example");
            return Err(Failure::setting("hostname", why));
        }
        Ok(hostname)
    }

    pub(super) fn lock_duration(&self) -> Result<Duration, Failure> {
        let duration = self.lock_duration.map_or(LOCK_DURATION_DEFAULT, Span::get);
        if duration < LOCK_DURATION_MIN {
            let why = format!("{duration:?} is less than a renewal may take: give 1s or more");
            return Err(Failure::setting("lock-duration", why));
        }
        Ok(duration)
    }

    pub(super) fn notices(&self) -> Result<Notices, Failure> {
        if self.bounce_footer.is_some() && self.bounce_header.is_none() {
            let why = "it needs a bounce-header before it";
            return Err(Failure::setting("bounce-footer", why));
        }
        Ok(Notices {
            returned_bytes_max: self.returned_bytes_max.map(NonZeroUsize::get),
            header: self.bounce_header.clone(),
            footer: self.bounce_footer.clone(),
        })
    }

    fn edge(&self) -> Result<EdgeSettings, Failure> {
        let or = |value: Option<NonZeroUsize>, default| value.map_or(default, NonZeroUsize::get);
        Ok(EdgeSettings {
            permit: if self.permit.is_empty() {
                loopback()
            } else {
                self.permit.clone()
            },
            message_bytes_max: or(self.message_bytes_max, MESSAGE_BYTES_MAX_DEFAULT),
            recipients_max: or(self.recipients_max, RECIPIENTS_MAX_DEFAULT),
            connections_max: or(self.connections_max, CONNECTIONS_MAX_DEFAULT),
            tls: EdgeTls::of(self)?,
            auth: EdgeAuth::of(self)?,
        })
    }
}

/// What flags say several times comes as a whole from them or from the file.
fn either<T>(own: Vec<T>, other: Vec<T>) -> Vec<T> {
    if own.is_empty() { other } else { own }
}
