//! TLSA records: what the DNS says of a host's certificate (RFC 6698, RFC 7671).

use std::fmt;

use super::der;

/// A TLSA record as it is published (RFC 6698 section 2.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tlsa {
    /// Whose certificate it speaks of.
    pub usage: u8,
    /// Which part of it.
    pub selector: u8,
    /// How that part is given.
    pub matching: u8,
    /// The part, or its hash.
    pub data: Vec<u8>,
}

/// A TLSA record that mail can be protected by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::relay) struct Association {
    pub(in crate::relay) holder: Holder,
    pub(in crate::relay) part: Part,
    pub(in crate::relay) data: Data,
}

/// Whose certificate an association speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::relay) enum Holder {
    /// That of an issuer above the host: DANE-TA(2).
    Issuer,
    /// The host's own: DANE-EE(3).
    Host,
}

/// Which part of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::relay) enum Part {
    /// All of it: Cert(0).
    Whole,
    /// Its public key with the algorithm: SPKI(1).
    Key,
}

/// How the part is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::relay) enum Data {
    /// As it is: Full(0).
    Full(Vec<u8>),
    /// SHA2-256(1).
    Sha256([u8; 32]),
    /// SHA2-512(2).
    Sha512([u8; 64]),
}

impl Association {
    /// Those of a host's records that can be used: the others, and those that
    /// trust an issuer of the web (usages 0 and 1), say nothing for mail (RFC 7672
    /// section 3.1.3). Of hashes of the same thing only the strongest count (RFC
    /// 7671 section 9).
    pub(in crate::relay) fn usable(records: &[Tlsa]) -> Vec<Self> {
        let mut usable: Vec<_> = records.iter().filter_map(Association::read).collect();
        let strong: Vec<_> = usable.iter().filter(|a| a.data.is_strong()).collect();
        let strong: Vec<_> = strong.iter().map(|a| (a.holder, a.part)).collect();
        usable.retain(|a| !a.data.is_weak() || !strong.contains(&(a.holder, a.part)));
        usable
    }

    fn read(record: &Tlsa) -> Option<Self> {
        Some(Association {
            holder: match record.usage {
                2 => Holder::Issuer,
                3 => Holder::Host,
                _ => return None,
            },
            part: match record.selector {
                0 => Part::Whole,
                1 => Part::Key,
                _ => return None,
            },
            data: match record.matching {
                0 if is_one_der_sequence(&record.data) => Data::Full(record.data.clone()),
                1 => Data::Sha256(record.data.as_slice().try_into().ok()?),
                2 => Data::Sha512(record.data.as_slice().try_into().ok()?),
                _ => return None,
            },
        })
    }
}

/// As the DNS writes it (RFC 6698 section 2.2).
impl fmt::Display for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holder = match self.holder {
            Holder::Issuer => 2,
            Holder::Host => 3,
        };
        let part = match self.part {
            Part::Whole => 0,
            Part::Key => 1,
        };
        let (kind, data) = match &self.data {
            Data::Full(data) => (0, data.as_slice()),
            Data::Sha256(data) => (1, data.as_slice()),
            Data::Sha512(data) => (2, data.as_slice()),
        };
        write!(f, "{holder} {part} {kind} ")?;
        data.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

impl Data {
    fn is_strong(&self) -> bool {
        matches!(self, Data::Sha512(_))
    }

    fn is_weak(&self) -> bool {
        matches!(self, Data::Sha256(_))
    }
}

/// Whether a certificate, or a key, may stand there: both are one SEQUENCE in
/// DER, whose length says where it ends.
fn is_one_der_sequence(bytes: &[u8]) -> bool {
    matches!(der::first(bytes), Some((der::SEQUENCE, _, [])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(usage: u8, selector: u8, matching: u8, length: usize) -> Tlsa {
        Tlsa {
            usage,
            selector,
            matching,
            data: vec![7; length],
        }
    }

    fn usable(records: &[Tlsa]) -> Vec<(Holder, Part, usize)> {
        let usable = Association::usable(records);
        let shown = usable.iter().map(|association| {
            let length = match &association.data {
                Data::Full(data) => data.len(),
                Data::Sha256(_) => 32,
                Data::Sha512(_) => 64,
            };
            (association.holder, association.part, length)
        });
        shown.collect()
    }

    #[test]
    fn only_records_for_mail_that_are_whole_can_be_used() {
        assert_eq!(
            usable(&[record(3, 1, 1, 32), record(2, 0, 2, 64)]),
            [
                (Holder::Host, Part::Key, 32),
                (Holder::Issuer, Part::Whole, 64)
            ]
        );
        for unusable in [
            record(0, 1, 1, 32),
            record(1, 1, 1, 32),
            record(4, 1, 1, 32),
            record(255, 1, 1, 32),
            record(3, 2, 1, 32),
            record(3, 1, 3, 32),
            record(3, 1, 1, 31),
            record(3, 1, 1, 33),
            record(3, 1, 2, 32),
            record(3, 1, 1, 0),
            record(3, 0, 0, 0),
            record(3, 0, 0, 20),
        ] {
            assert!(
                usable(std::slice::from_ref(&unusable)).is_empty(),
                "{unusable:?}"
            );
        }
    }

    #[test]
    fn the_stronger_hash_of_the_same_thing_counts_alone() {
        let records = [
            record(3, 1, 1, 32),
            record(3, 1, 2, 64),
            record(3, 0, 1, 32),
            record(2, 1, 1, 32),
        ];
        assert_eq!(
            usable(&records),
            [
                (Holder::Host, Part::Key, 64),
                (Holder::Host, Part::Whole, 32),
                (Holder::Issuer, Part::Key, 32)
            ]
        );
    }

    proptest! {
        #[test]
        fn any_record_is_usable_or_not(
            usage: u8,
            selector in 0..3_u8,
            matching in 0..4_u8,
            data: Vec<u8>,
        ) {
            let records = [Tlsa { usage, selector, matching, data }];
            let usable = Association::usable(&records);
            prop_assert!(usable.is_empty() || (usage == 2 || usage == 3) && selector < 2);
        }

        #[test]
        fn what_is_given_whole_may_have_any_length(length in 0..70_000_usize) {
            let content = vec![7; length];
            let length = content.len().to_be_bytes();
            let digits: Vec<_> = length.into_iter().skip_while(|digit| *digit == 0).collect();
            let head = match content.len() {
                0..0x80 => vec![0x30, content.len() as u8],
                _ => [&[0x30, 0x80 | digits.len() as u8][..], &digits].concat(),
            };
            let mut whole = [head, content].concat();
            prop_assert!(is_one_der_sequence(&whole));
            whole.push(0);
            prop_assert!(!is_one_der_sequence(&whole));
            whole.truncate(whole.len() - 2);
            prop_assert!(!is_one_der_sequence(&whole));
        }
    }

    #[test]
    fn what_is_given_whole_ends_where_it_says() {
        let full = |data: &[u8]| Tlsa {
            data: data.to_vec(),
            ..record(3, 0, 0, 0)
        };
        let long = [&[0x30, 0x82, 1, 0][..], &[0; 256]].concat();
        for data in [&[0x30, 0][..], &[0x30, 1, 9], &long] {
            assert_eq!(usable(&[full(data)]).len(), 1, "{data:?}");
        }
        for data in [
            &[0x30][..],
            &[0x30, 1],
            &[0x30, 0, 9],
            &[0x30, 0x80],
            &[0x30, 0x82, 1],
            &[0x31, 0],
            &[0x30, 0xff, 1, 1, 1],
        ] {
            assert!(usable(&[full(data)]).is_empty(), "{data:?}");
        }
    }
}
