//! How much the clients of one address may do, so that one of them does not
//! take the places of all others: connections at once and anew, messages,
//! recipients.
//!
//! What counts together is an [`origin`](network): an IPv4 address, or an IPv6
//! network of 64 bits; or what comes by one user, wherever from, for a password
//! may be stolen. Clients whose mail is taken by their address are not counted, but
//! as users. What is kept is bounded, however many addresses there are.

mod buckets;
mod network;
mod telling;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use slimta_core::queue::Rate;

use super::{Limits, SmtpEdge};
use crate::message::{EnhancedCode, Response};
use buckets::Buckets;
pub(super) use network::network;
pub(super) use telling::Telling;

/// What is counted over a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Counted {
    Connection,
    Message,
    Recipient,
}

/// For whom it is counted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Whose {
    Origin(IpAddr),
    User(Box<str>),
}

/// Why a client is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turned {
    /// All places are taken.
    Full,
    /// Those of its origin are.
    Crowded,
    /// It comes anew too often.
    Hasty,
}

impl Turned {
    /// What it is told.
    pub(super) fn response(self) -> Response {
        let text = match self {
            Turned::Full => "Too many connections",
            Turned::Crowded => "Too many connections from your address",
            Turned::Hasty => "Too many new connections from your address",
        };
        Response::new(421, Some(EnhancedCode::new(4, 7, 0)), text)
    }

    /// What the log says of it.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Turned::Full => "too many connections",
            Turned::Crowded => "too many connections from its address",
            Turned::Hasty => "too many new connections from its address",
        }
    }
}

/// What the clients of all origins do.
#[derive(Debug)]
pub(super) struct Origins {
    /// Replaced while clients are counted.
    bounds: ArcSwap<Bounds>,
    /// How many clients of each are connected. No more than there are places.
    connected: Mutex<HashMap<IpAddr, usize>>,
    buckets: Mutex<Buckets>,
    /// Who is refused may come a thousand times a second.
    pub(super) telling: Telling,
}

/// What the clients of one origin may do, and those of one user.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    connections_max: usize,
    connection_rate: Option<Rate>,
    message_rate: Option<Rate>,
    recipient_rate: Option<Rate>,
    user_message_rate: Option<Rate>,
    user_recipient_rate: Option<Rate>,
}

impl Bounds {
    fn of_origin(&self, what: Counted) -> Option<Rate> {
        match what {
            Counted::Connection => self.connection_rate,
            Counted::Message => self.message_rate,
            Counted::Recipient => self.recipient_rate,
        }
    }

    fn of_user(&self, what: Counted) -> Option<Rate> {
        match what {
            Counted::Connection => None,
            Counted::Message => self.user_message_rate,
            Counted::Recipient => self.user_recipient_rate,
        }
    }
}

/// The place of a client among those of its origin, until it is dropped.
#[derive(Debug)]
pub(super) struct OriginPlace {
    origins: Arc<Origins>,
    origin: IpAddr,
}

impl Origins {
    pub(super) fn new(limits: &Limits) -> Self {
        Origins {
            bounds: ArcSwap::from_pointee(Bounds {
                connections_max: limits.connections_per_address_max,
                connection_rate: limits.connection_rate_per_address,
                message_rate: limits.message_rate_per_address,
                recipient_rate: limits.recipient_rate_per_address,
                user_message_rate: limits.message_rate_per_user,
                user_recipient_rate: limits.recipient_rate_per_user,
            }),
            connected: Mutex::default(),
            buckets: Mutex::default(),
            telling: Telling::default(),
        }
    }

    /// Goes by the bounds of `other` from now on; what was counted counts on.
    pub(super) fn adopt(&self, other: &Origins) {
        self.bounds.store(other.bounds.load_full());
    }

    /// Lets a client in, if its origin may have one more.
    pub(super) fn enter(
        self: &Arc<Self>,
        ip: IpAddr,
        now: Duration,
    ) -> Result<OriginPlace, Turned> {
        let origin = network(ip);
        let mut connected = lock(&self.connected);
        let count = connected.get(&origin).copied().unwrap_or_default();
        if count >= self.bounds.load().connections_max {
            return Err(Turned::Crowded);
        }
        // Taken last: who is refused a place has used up nothing.
        if !self.take(Counted::Connection, ip, now) {
            return Err(Turned::Hasty);
        }
        connected.insert(origin, count + 1);
        Ok(OriginPlace {
            origins: self.clone(),
            origin,
        })
    }

    /// Whether the clients of its origin may have one more of what is counted.
    fn take(&self, what: Counted, ip: IpAddr, now: Duration) -> bool {
        let key = (what, Whose::Origin(network(ip)));
        let rate = self.bounds.load().of_origin(what);
        rate.is_none_or(|rate| lock(&self.buckets).take(key, rate, now))
    }

    /// The same for what comes by a user; none if users are not counted.
    fn take_by_user(&self, what: Counted, user: &str, now: Duration) -> Option<bool> {
        let rate = self.bounds.load().of_user(what)?;
        let key = (what, Whose::User(user.into()));
        Some(lock(&self.buckets).take(key, rate, now))
    }
}

impl Drop for OriginPlace {
    fn drop(&mut self) {
        let mut connected = lock(&self.origins.connected);
        match connected.get_mut(&self.origin) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(connected.remove(&self.origin)),
        }
    }
}

impl SmtpEdge {
    /// Lets a client in that has a place among all, if its origin has one for
    /// it, too; none is needed by who is permitted, or speaks for others.
    pub(super) fn enter(&self, ip: IpAddr) -> Result<Option<OriginPlace>, Turned> {
        if (self.permit)(ip) || (self.xclient_from)(ip) || self.has_header_from(ip) {
            return Ok(None);
        }
        let now = self.world.monotonic();
        self.origins.enter(ip, now).map(Some)
    }

    /// Whether a client may have one more of what is counted, or what it is
    /// told. A user is counted where users are, wherever it comes from, and else by
    /// its address as all are.
    pub(super) fn allowance(
        &self,
        what: Counted,
        ip: IpAddr,
        user: Option<&str>,
    ) -> Result<(), Response> {
        let now = self.world.monotonic();
        let by_user = user.and_then(|user| self.origins.take_by_user(what, user, now));
        let may = by_user.unwrap_or_else(|| (self.permit)(ip) || self.origins.take(what, ip, now));
        if may {
            return Ok(());
        }
        let what = match what {
            Counted::Connection => "connections",
            Counted::Message => "messages",
            Counted::Recipient => "recipients",
        };
        let (user, whose, yours) = match by_user {
            Some(_) => (user, "by its user", "by your user name"),
            None => (None, "from its address", "from your address"),
        };
        if let Some(untold) = self.origins.telling.tell(now) {
            let user = user.map(tracing::field::display);
            tracing::info!(%ip, user, untold, "refused for now: too many {what} {whose}");
        }
        let text = format!("Too many {what} {yours}, try again later");
        Err(Response::new(450, Some(EnhancedCode::new(4, 7, 1)), text))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn origins(limits: Limits) -> Arc<Origins> {
        Arc::new(Origins::new(&limits))
    }

    #[test]
    fn an_origin_has_so_many_places() {
        let origins = origins(Limits {
            connections_per_address_max: 2,
            connection_rate_per_address: None,
            ..Limits::default()
        });
        let enter = |text: &str| origins.enter(ip(text), MINUTE);
        let first = enter("192.0.2.1").unwrap();
        let second = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), Turned::Crowded);
        let other = enter("192.0.2.2").unwrap();
        drop(first);
        let third = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), Turned::Crowded);
        drop((second, third, other));
        let places = ["2001:db8::1", "2001:db8::ffff:0:0:2"].map(|text| enter(text).unwrap());
        assert_eq!(enter("2001:db8::3").unwrap_err(), Turned::Crowded);
        let other = enter("2001:db8:0:1::1").unwrap();
        drop((places, other));
        assert!(lock(&origins.connected).is_empty());
    }

    #[test]
    fn other_bounds_hold_for_who_is_there() {
        let bounded = |connections_per_address_max| {
            origins(Limits {
                connections_per_address_max,
                ..Limits::default()
            })
        };
        let origins = bounded(1);
        let enter = || origins.enter(ip("192.0.2.1"), MINUTE);
        let first = enter().unwrap();
        origins.adopt(&bounded(2));
        let second = enter().unwrap();
        assert_eq!(enter().unwrap_err(), Turned::Crowded);
        origins.adopt(&bounded(1));
        drop(first);
        assert_eq!(enter().unwrap_err(), Turned::Crowded);
        drop(second);
        assert!(enter().is_ok());
    }

    #[test]
    fn each_kind_has_its_own_rate_and_no_place_costs_nothing() {
        let origins = origins(Limits {
            connections_per_address_max: 1,
            connection_rate_per_address: Some("2/min".parse().unwrap()),
            message_rate_per_address: Some("1/h".parse().unwrap()),
            ..Limits::default()
        });
        let client = ip("192.0.2.1");
        let place = origins.enter(client, MINUTE).unwrap();
        for _ in 0..9 {
            assert_eq!(origins.enter(client, MINUTE).unwrap_err(), Turned::Crowded);
        }
        drop(place);
        drop(origins.enter(client, MINUTE).unwrap());
        assert_eq!(origins.enter(client, MINUTE).unwrap_err(), Turned::Hasty);
        let takes = |what| origins.take(what, client, MINUTE);
        assert!(takes(Counted::Message) && !takes(Counted::Message));
        assert!((0..9999).all(|_| takes(Counted::Recipient)));
    }
}
