//! Settings as options give them: what nothing was said of has its default.

use std::num::NonZeroUsize;

use slimta_core::queue::Schedule;

use super::destinations::{by_destination, route_logins, routes};
use super::dns::Dns;
use super::edge_auth::EdgeAuth;
use super::edge_tls::EdgeTls;
use super::logging::{LogFormat, LogLevel};
use super::machine::{is_host_name, machine_name};
use super::network::loopback;
use super::per_address::PerAddress;
use super::span::SpanOrNone;
use super::tls_policies::TlsPolicies;
use super::{
    CONNECTIONS_MAX_DEFAULT, DELAY_NOTICE_DEFAULT, EdgeSettings, HOLD_TIME_MAX_DEFAULT,
    MESSAGE_BYTES_MAX_DEFAULT, Options, RECIPIENTS_MAX_DEFAULT, RELAY_DEFAULT, RELAY_NONE,
    STORAGE_DEFAULT, Settings,
};
use crate::failure::Failure;

impl Options {
    /// Fills in the defaults.
    pub(super) fn settle(self) -> Result<Settings, Failure> {
        let hostname = self.name()?;
        self.pauses()?;
        let relay = self.relay_url().to_owned();
        let storage = self
            .storage
            .clone()
            .unwrap_or_else(|| STORAGE_DEFAULT.to_owned());
        let edge = self.edge()?;
        Ok(Settings {
            listeners: self.listeners(&edge)?,
            notices: self.notices()?,
            relay_login: self.relay_login(&relay)?,
            route_logins: route_logins(&self.destination)?,
            lock_duration: self.lock_duration()?,
            edge,
            limits: self.limits(),
            messages_per_connection: self.messages_per_connection(),
            keeping: self.keeping(),
            sources: self.sources()?,
            sources_said: self.sources_said()?,
            origins: self.origins()?,
            proxies: self.proxies()?,
            tls: by_destination(self.tls.unwrap_or_default(), &self.destination, |options| {
                options.tls
            }),
            dns: Dns::of(&self),
            tls_policies: TlsPolicies::of(&self, &storage, &hostname)?,
            tls_roots: self.tls_roots,
            tenant: self.tenant.clone(),
            verify_senders: self.verify_senders.clone(),
            spam_scan: self.spam_scan.clone(),
            forward: self.forward.clone(),
            dkim: self.dkim.clone(),
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

    /// What is said of the relay of all mail.
    pub(super) fn relay_url(&self) -> &str {
        self.relay.as_deref().unwrap_or(RELAY_DEFAULT)
    }

    pub(super) fn name(&self) -> Result<String, Failure> {
        let hostname = self.hostname.clone().unwrap_or_else(machine_name);
        if !is_host_name(&hostname) {
            let why = format!("{hostname:?} is not the name of a host, such as mx.example");
            return Err(Failure::setting("hostname", why));
        }
        Ok(hostname)
    }

    pub(super) fn edge(&self) -> Result<EdgeSettings, Failure> {
        let or = |value: Option<NonZeroUsize>, default| value.map_or(default, NonZeroUsize::get);
        Ok(EdgeSettings {
            permit: if self.permit.is_empty() {
                loopback()
            } else {
                self.permit.clone()
            },
            accept_domains: self.accept_domains.clone(),
            recipients: self.recipients.clone(),
            message_bytes_max: or(self.message_bytes_max, MESSAGE_BYTES_MAX_DEFAULT),
            recipients_max: or(self.recipients_max, RECIPIENTS_MAX_DEFAULT),
            connections_max: or(self.connections_max, CONNECTIONS_MAX_DEFAULT),
            per_address: PerAddress::of(self)?,
            xclient_from: self.xclient_from.clone(),
            hold_time_max: self
                .hold_time_max
                .map_or(Some(HOLD_TIME_MAX_DEFAULT), SpanOrNone::get),
            tls: EdgeTls::of(self)?,
            auth: EdgeAuth::of(self)?,
        })
    }
}
