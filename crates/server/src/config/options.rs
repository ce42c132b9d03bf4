//! The list of options: each a flag of `slimta serve` and a key of its file.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;
use slimta::policy::AssignTenant;
use slimta::relay::TlsLevel;
use slimta_core::message::Address;
use slimta_core::queue::{DestinationPattern, Schedule};

use super::destinations::{Destinations, RateOrNone};
use super::dkim::Dkim;
use super::dns::{NameServer, Trust};
use super::domains::{domain, domains};
use super::forward::ForwardRules;
use super::listeners::Listeners;
use super::logging::{LogFormat, LogLevel};
use super::network::Network;
use super::origins::SourcePools;
use super::socks5::ProxyOrNone;
use super::sources::one_or_several;
use super::spam_scan::SpamScanOptions;
use super::span::{Span, SpanOrNone};
use super::tenants::Tenants;
use super::verify_senders::VerifyOptions;
use super::written::{all_written, size, size_or_text, written};
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
    /// one [default: 127.0.0.1:2525, unless another listener is named]
    #[arg(long, value_name = "ADDR", value_parser = values::listen)]
    pub(crate) listen: Vec<SocketAddr>,
    /// Take mail here by SMTP that begins with TLS, as on port 465; may be given
    /// several times
    #[arg(long, value_name = "ADDR", value_parser = values::listen)]
    pub(crate) listen_tls: Vec<SocketAddr>,
    /// Where clients connect that need more words: tables of the file.
    #[arg(skip)]
    pub(crate) listener: Listeners,
    /// Hand mail on: mx, smtp://HOST:PORT, smtps://HOST:PORT, lmtp://HOST:PORT,
    /// lmtp:/SOCKET, "pipe:/COMMAND ARGUMENT...", maildir:DIR, blackhole:,
    /// "reject:CODE TEXT", or none to store only [default: mx]
    #[arg(long, value_name = "URL")]
    pub(crate) relay: Option<String>,
    /// Say that this host is USER to the server of an smtp:// or smtps:// relay
    #[arg(long, value_name = "USER")]
    pub(crate) relay_user: Option<String>,
    /// The file whose first line is the password of that user
    #[arg(long, value_name = "FILE")]
    pub(crate) relay_password_file: Option<PathBuf>,
    /// Send it in the clear too, where others can read it [default: false]
    #[arg(long, value_name = "true|false")]
    pub(crate) relay_auth_in_clear: Option<bool>,
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
    /// Take mail for this domain from anybody, such as example.org or
    /// *.example.org; may be given several times
    #[arg(long, value_name = "DOMAIN", value_parser = domain, help_heading = "Clients")]
    #[serde(deserialize_with = "domains")]
    pub(crate) accept_domains: Vec<DestinationPattern>,
    /// Take it only for the mailboxes in this file, one USER@DOMAIN a line, or
    /// @DOMAIN
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    pub(crate) recipients: Option<PathBuf>,
    /// Let proxies in this network say by XCLIENT whom they speak for; may be given
    /// several times [default: nobody]
    #[arg(long, value_name = "NETWORK", help_heading = "Clients")]
    #[serde(deserialize_with = "all_written")]
    pub(crate) xclient_from: Vec<Network>,
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
    /// Let each of them send only from its addresses in this file, one USER:
    /// ADDRESS… a line, @DOMAIN for all of a domain, * for any
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    pub(crate) senders: Option<PathBuf>,
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
    /// Longest time for which clients may have a message held before it is sent
    /// (FUTURERELEASE); none holds no mail [default: 30d]
    #[arg(long, value_name = "TIME", help_heading = "Clients")]
    #[serde(deserialize_with = "written")]
    pub(crate) hold_time_max: Option<SpanOrNone>,
    /// Most clients connected at the same time [default: 1000]
    #[arg(long, value_name = "N", help_heading = "Clients")]
    pub(crate) connections_max: Option<NonZeroUsize>,
    /// Most clients of one address connected at the same time; all in an IPv6
    /// network of 64 bits count together, and who is permitted does not [default:
    /// 100]
    #[arg(long, value_name = "N", help_heading = "Clients")]
    pub(crate) connections_per_address_max: Option<NonZeroUsize>,
    /// How often such an address may connect anew, such as 60/min; or none
    /// [default: 600/min]
    #[arg(long, value_name = "RATE", help_heading = "Clients")]
    #[serde(deserialize_with = "written")]
    pub(crate) connection_rate_per_address: Option<RateOrNone>,
    /// How long such an address waits for its greeting at a relay listener; a client
    /// that speaks before is turned away; none greets at once [default: none]
    #[arg(long, value_name = "TIME", help_heading = "Clients")]
    #[serde(deserialize_with = "written")]
    pub(crate) greeting_wait: Option<SpanOrNone>,
    /// How many messages are taken from such an address; or none [default: none]
    #[arg(long, value_name = "RATE", help_heading = "Clients")]
    #[serde(deserialize_with = "written")]
    pub(crate) message_rate_per_address: Option<RateOrNone>,
    /// For how many recipients; or none [default: none]
    #[arg(long, value_name = "RATE", help_heading = "Clients")]
    #[serde(deserialize_with = "written")]
    pub(crate) recipient_rate_per_address: Option<RateOrNone>,
    /// How many messages are taken from one user, from wherever they come; or none, and
    /// users count by their addresses [default: none]
    #[arg(long, value_name = "RATE", help_heading = "Clients")]
    #[serde(deserialize_with = "written")]
    pub(crate) message_rate_per_user: Option<RateOrNone>,
    /// For how many recipients; or none [default: none]
    #[arg(long, value_name = "RATE", help_heading = "Clients")]
    #[serde(deserialize_with = "written")]
    pub(crate) recipient_rate_per_user: Option<RateOrNone>,

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
    /// Most attempts at the same time to all destinations that share their hosts;
    /// a destination that may have more by itself brings it along [default: 20]
    #[arg(long, value_name = "N", help_heading = "Queue")]
    pub(crate) attempts_per_site_max: Option<NonZeroUsize>,
    /// Most attempts to one destination in a time, such as 5/s, 100/min or
    /// 1000/h; or none [default: none]
    #[arg(long, value_name = "RATE", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) rate_per_destination: Option<RateOrNone>,
    /// Most messages that one connection to a next hop carries [default: 100]
    #[arg(long, value_name = "N", help_heading = "Queue")]
    pub(crate) messages_per_connection: Option<NonZeroU32>,
    /// How long a connection to a next hop is kept that is not used [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) connection_idle_max: Option<Span>,
    /// How old it becomes before it is ended [default: 5m]
    #[arg(long, value_name = "TIME", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) connection_age_max: Option<Span>,
    /// Connect to next hops from this address of this host; may be given twice,
    /// for IPv4 and for IPv6 [default: as the system chooses]
    #[arg(long, value_name = "IP", help_heading = "Queue")]
    #[serde(deserialize_with = "one_or_several")]
    pub(crate) source_address: Vec<IpAddr>,
    /// Call this host so in EHLO to next hops [default: the hostname]
    #[arg(long, value_name = "NAME", help_heading = "Queue")]
    pub(crate) ehlo_name: Option<String>,
    /// Pools of addresses that mail goes from: tables of the file.
    #[arg(skip)]
    pub(crate) source_pool: SourcePools,
    /// Connect to next hops through this SOCKS5 proxy, HOST:PORT [default: none]
    #[arg(long, value_name = "PROXY", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) socks5: Option<ProxyOrNone>,
    /// Say that this host is USER to the proxy
    #[arg(long, value_name = "USER", help_heading = "Queue")]
    pub(crate) socks5_user: Option<String>,
    /// The file whose first line is the password of that user
    #[arg(long, value_name = "FILE", help_heading = "Queue")]
    pub(crate) socks5_password_file: Option<PathBuf>,
    /// How connections to next hops are encrypted: off; opportunistic, where they
    /// can be; dane, as their TLSA records ask; required, or mail waits; verified,
    /// by a good certificate; or dane-only [default: opportunistic]
    #[arg(long, value_name = "LEVEL", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) tls: Option<TlsLevel>,
    /// Trust what is signed by the certificates in this file, in PEM, and nothing
    /// else [default: what the system or SSL_CERT_FILE and SSL_CERT_DIR name]
    #[arg(long, value_name = "FILE", help_heading = "Queue")]
    pub(crate) tls_roots: Option<PathBuf>,
    /// Ask this name server, such as 127.0.0.1 or 192.0.2.53:5353; may be given
    /// several times [default: those that the machine is set to ask]
    #[arg(long, value_name = "IP", help_heading = "Queue")]
    #[serde(deserialize_with = "all_written")]
    pub(crate) dns_servers: Vec<NameServer>,
    /// Believe name servers that say that they have validated an answer: local,
    /// those of this host; or ad-bit, all [default: local]
    #[arg(long, value_name = "WHICH", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) dns_trust: Option<Trust>,
    /// Heed what domains publish of their TLS (MTA-STS), by mx [default: true]
    #[arg(long, value_name = "true|false", help_heading = "Queue")]
    pub(crate) mta_sts: Option<bool>,
    /// Keep what they published, and counts for reports, here [default: tls in the
    /// directory of the storage, or in memory only if it has none]
    #[arg(long, value_name = "DIR", help_heading = "Queue")]
    pub(crate) tls_directory: Option<PathBuf>,
    /// Send reports to domains that ask for them on the TLS with their mail
    /// exchangers, with the relay mx [default: false]
    #[arg(long, value_name = "true|false", help_heading = "Queue")]
    pub(crate) tls_report: Option<bool>,
    /// Whom they are from, and may ask [default: postmaster at the hostname]
    #[arg(long, value_name = "ADDRESS", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) tls_report_contact: Option<Address>,
    /// Who they are from, in words [default: the hostname]
    #[arg(long, value_name = "NAME", help_heading = "Queue")]
    pub(crate) organization: Option<String>,
    /// What names the tenant of a message: sender-domain, or field:NAME, a field
    /// of its header; tenants share what may be attempted [default: none has one]
    #[arg(long, value_name = "WHAT", help_heading = "Queue")]
    #[serde(deserialize_with = "written")]
    pub(crate) tenant: Option<AssignTenant>,
    /// Their weights: tables of the file.
    #[arg(skip)]
    pub(crate) tenants: Tenants,
    /// How mail of strangers is verified: a table of the file.
    #[arg(skip)]
    pub(crate) verify_senders: Option<VerifyOptions>,
    /// Which spam filter is asked: a table of the file.
    #[arg(skip)]
    pub(crate) spam_scan: Option<SpamScanOptions>,
    /// Whose mail goes to others: tables of the file.
    #[arg(skip)]
    pub(crate) forward: ForwardRules,
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
