//! As much of DER (X.690) as TLSA records need.

/// The tag of a SEQUENCE,
pub(super) const SEQUENCE: u8 = 0x30;
/// of an INTEGER,
const INTEGER: u8 = 0x02;
/// and of the version of a certificate (RFC 5280 section 4.1).
const VERSION: u8 = 0xa0;

/// The element that `bytes` begin with: its tag, its contents, and what is behind it.
pub(super) fn first(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, length, rest @ ..] = bytes else {
        return None;
    };
    let (length, rest) = match usize::from(*length) {
        length @ 0..0x80 => (length, rest),
        digits => long(digits & 0x7f, rest)?,
    };
    let (contents, behind) = rest.split_at_checked(length)?;
    Some((*tag, contents, behind))
}

/// A length of so many digits, and what is behind it.
fn long(digits: usize, rest: &[u8]) -> Option<(usize, &[u8])> {
    let (digits, rest) = rest.split_at_checked(digits)?;
    let length = digits.iter().try_fold(0_usize, |length, digit| {
        Some(length.checked_mul(256)? | usize::from(*digit))
    });
    length.filter(|_| !digits.is_empty()).map(|it| (it, rest))
}

/// The contents of the one element that `bytes` begin with, and what is behind it.
fn expect(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, contents, behind) = first(bytes)?;
    (found == tag).then_some((contents, behind))
}

/// The name of who issued a certificate, without the head of its SEQUENCE.
pub(super) fn issuer(certificate: &[u8]) -> Option<&[u8]> {
    let (signed, _) = expect(SEQUENCE, certificate)?;
    let (fields, _) = expect(SEQUENCE, signed)?;
    let fields = expect(VERSION, fields).map_or(fields, |(_, behind)| behind);
    let (_, fields) = expect(INTEGER, fields)?;
    let (_, fields) = expect(SEQUENCE, fields)?;
    expect(SEQUENCE, fields).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_certificate_names_its_issuer() {
        let mut params = rcgen::CertificateParams::new(["mx.example".to_owned()]).unwrap();
        let name = "somebody".repeat(40);
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, name.as_str());
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let der: &[u8] = certificate.der();
        let found = issuer(der).unwrap();
        assert!(
            found
                .windows(name.len())
                .any(|part| part == name.as_bytes())
        );
        for end in 0..der.len() {
            assert_eq!(issuer(&der[..end]), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes: Vec<u8>) {
            if let Some((_, contents, behind)) = first(&bytes) {
                prop_assert!(contents.len() + behind.len() + 2 <= bytes.len());
            }
            issuer(&bytes);
        }
    }
}
