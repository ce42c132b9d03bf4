//! What is said in one place, and else in another.

use super::Options;

/// All options: what `$own` says, and else what `$other` does. One that is missing here
/// does not compile.
macro_rules! layered {
    ($own:ident over $other:ident, said: $($said:ident)*, tables: $($table:ident)*) => {
        Options {
            $($said: $own.$said.or($other.$said),)*
            $($table: $other.$table,)*
        }
    };
}

/// What may be said several times comes as a whole from one place or from the other.
trait Said {
    fn or(self, other: Self) -> Self;
}

impl<T> Said for Vec<T> {
    fn or(self, other: Self) -> Self {
        if self.is_empty() { other } else { self }
    }
}

impl Options {
    /// What is absent here comes from `other`, and so do tables, which no flag can say.
    pub(super) fn or(self, other: Options) -> Options {
        layered!(
            self over other,
            said:
                config listen listen_tls relay relay_user relay_password_file
                relay_auth_in_clear storage hostname retry heed_replies delay_notice
                returned_bytes_max bounce_header bounce_footer admin_socket permit
                accept_domains recipients xclient_from tls_certificate tls_key require_tls
                credentials senders auth_in_clear message_bytes_max recipients_max hold_time_max
                connections_max connections_per_address_max connection_rate_per_address
                greeting_wait message_rate_per_address recipient_rate_per_address
                message_rate_per_user recipient_rate_per_user lock_duration attempts_max
                attempts_per_destination_max attempts_per_site_max rate_per_destination
                messages_per_connection connection_idle_max connection_age_max source_address
                ehlo_name socks5 socks5_user socks5_password_file tls tls_roots dns_servers
                dns_trust mta_sts tls_directory tls_report tls_report_contact organization tenant
                backoff_min backoff_max attempt_time_max contents_memory_max intakes_max
                drain_time_max log_format log_level,
            tables:
                listener destination source_pool tenants verify_senders spam_scan forward dkim
        )
    }
}
