//! Next hops that want recipients of few domains in a session (RCPTDOMAINMAX,
//! RFC 9422 section 4.3).

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use crate::message::Recipient;

/// The domains of the recipients that a session was asked about, where they are
/// counted.
#[derive(Debug, Default)]
pub(super) struct Domains(BTreeSet<String>);

impl Domains {
    /// Whether a recipient may be asked about, where so many domains may be; then its
    /// domain counts.
    pub(super) fn admit(&mut self, to: &Recipient, most: Option<NonZeroU32>) -> bool {
        let Some(most) = most else {
            return true;
        };
        let domain = to.address.domain().unwrap_or_default().to_lowercase();
        let has_room = u32::try_from(self.0.len()).is_ok_and(|count| count < most.get());
        if has_room {
            self.0.insert(domain);
            return true;
        }
        self.0.contains(&domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_domains_are_admitted_and_each_as_often_as_it_comes() {
        let mut domains = Domains::default();
        let mut admits = |address: &str, most| {
            let to = Recipient::new(address.parse().unwrap());
            domains.admit(&to, NonZeroU32::new(most))
        };
        for (address, is_admitted) in [
            ("a@one.example", true),
            ("b@ONE.example", true),
            ("a@two.example", true),
            ("a@three.example", false),
            ("c@Two.example", true),
            ("postmaster", false),
        ] {
            assert_eq!(admits(address, 2), is_admitted, "{address}");
        }
        // Where there is no limit nothing is counted.
        assert!(admits("a@three.example", 0));
        assert!(!admits("a@three.example", 2));
    }
}
