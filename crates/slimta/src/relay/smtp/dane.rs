//! What a host's TLSA records ask of the TLS with it (RFC 7672 section 2).
//!
//! Nothing here ever asks for less because something went wrong: a host whose
//! records cannot be had for certain is passed over. Only a name that is not signed,
//! or a proof that there are no records, lets mail go as if there were no DANE.

use std::sync::Arc;

use slimta_smtp::client::TlsLevel;

use super::super::resolver::{AnswerOrigin, LookupError, Resolver};
use super::super::tlsa::{Association, Tlsa};
use super::Host;
use super::host_tls::{Authority, Dane, DaneNames, HostTls, Need, Reason};
use crate::message::Response;

/// What the TLS with `host`, which listens at `port`, must be at the level `dane`
/// or `dane-only`; or why it gets no mail for now.
pub(super) async fn asked_for(
    host: &Host,
    port: u16,
    level: TlsLevel,
    dns: &dyn Resolver,
) -> Result<HostTls, Response> {
    let Some(names) = &host.dane else {
        return without(host, level, Reason::Unsigned);
    };
    for base in &names.bases {
        match dns.tlsa(base, port).await {
            Ok(found) if found.origin == AnswerOrigin::Secure && !found.records.is_empty() => {
                return by_records(host, level, base, names, &found.records);
            }
            Ok(_) | Err(LookupError::NoSuchName | LookupError::NoRecords) => {}
            Err(error) => {
                let why = format!("its TLSA records could not be looked up: {error}");
                return Err(passed_over(host, 0, &why));
            }
        }
    }
    without(host, level, Reason::NoTlsa)
}

/// Where there are records, there is no clear (RFC 7672 section 2.2).
fn by_records(
    host: &Host,
    level: TlsLevel,
    base: &str,
    names: &DaneNames,
    records: &[Tlsa],
) -> Result<HostTls, Response> {
    let associations = Association::usable(records);
    if !associations.is_empty() {
        let dane = Dane {
            base: base.to_owned(),
            domains: names.domains.clone(),
            associations,
        };
        return Ok(HostTls {
            need: Need::Authenticated(Authority::Dane(Arc::new(dane))),
            reason: Reason::Tlsa,
        });
    }
    if level == TlsLevel::DaneOnly {
        return Err(passed_over(host, 5, "none of its TLSA records is usable"));
    }
    Ok(HostTls {
        need: Need::Encrypted,
        reason: Reason::UnusableTlsa,
    })
}

/// A host without records that count.
fn without(host: &Host, level: TlsLevel, reason: Reason) -> Result<HostTls, Response> {
    if level == TlsLevel::DaneOnly {
        let why = match reason {
            Reason::NoTlsa => "it has no TLSA records",
            _ => "DNSSEC does not vouch for its names",
        };
        return Err(passed_over(host, 5, why));
    }
    Ok(HostTls {
        need: Need::Opportunistic,
        reason,
    })
}

/// Never an answer that says that the host is not there: other domains may reach it
/// that ask for less.
fn passed_over(host: &Host, detail: u16, why: &str) -> Response {
    let text = format!("{} is passed over by DANE: {why}", host.name);
    Response::transient(7, detail, text)
}

#[cfg(test)]
#[path = "dane_tests.rs"]
mod tests;
