//! How far mail is encrypted: as its destination says, and its sender.

use slimta_smtp::client::TlsLevel;

use super::carrier::Carrier;
use super::require_tls::Demand;
use super::waived::waived;
#[cfg(feature = "mx")]
use crate::message::Destination;
use crate::relay::Delivery;
#[cfg(feature = "mx")]
use crate::relay::resolver::Resolver;

impl Carrier {
    /// How far connections to a destination are encrypted, by what its relay was
    /// told.
    #[cfg(feature = "mx")]
    pub(in crate::relay) fn tls_level(&self, destination: &Destination) -> TlsLevel {
        self.opener.tls.level(destination)
    }

    /// The same for one message, whose sender may waive what hosts ask for, or demand
    /// more of them, if they are exchangers.
    pub(super) fn level(&self, delivery: &Delivery, to_exchangers: bool) -> TlsLevel {
        let tls = &self.opener.tls;
        let level = waived(tls.level(&delivery.message.destination), delivery);
        match to_exchangers {
            true => {
                let demand = Demand::of(&delivery.message.envelope);
                demand.level(level, tls.trusted().is_some())
            }
            false => level,
        }
    }

    /// What the exchangers of a destination are looked up with, if not as all others.
    #[cfg(feature = "mx")]
    pub(in crate::relay) fn trusted_dns(&self, destination: &Destination) -> Option<&dyn Resolver> {
        self.opener.tls.trusted_dns(self.tls_level(destination))
    }

    /// The same for one message.
    #[cfg(feature = "mx")]
    pub(in crate::relay) fn trusted_dns_of(&self, delivery: &Delivery) -> Option<&dyn Resolver> {
        match Demand::of(&delivery.message.envelope).is_some() {
            true => self.opener.tls.trusted(),
            false => {
                let level = self.level(delivery, true);
                self.opener.tls.trusted_dns(level)
            }
        }
    }
}
