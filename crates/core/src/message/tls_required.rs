//! The wish of a sender that its message arrives rather than that it is protected
//! (RFC 8689 section 3).

use super::Content;

/// The name of the field that says so.
pub(super) const TLS_REQUIRED: &str = "TLS-Required";

impl Content {
    /// Whether the header says `TLS-Required: No`: what the domains of its recipients
    /// demand of connections, by DANE or MTA-STS, need not be heeded for this message. It
    /// says nothing where MAIL said REQUIRETLS, nor takes back what an operator set.
    pub fn is_tls_optional(&self) -> bool {
        let mut fields = self.fields_named(TLS_REQUIRED);
        match (fields.next(), fields.next()) {
            (Some(field), None) => field.value().eq_ignore_ascii_case("no"),
            // The field stands there once.
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_no_takes_protection_away() {
        let says = |text: &str| Content::new(text.to_owned()).is_tls_optional();
        assert!(says("A: 1\r\nTLS-Required: No\r\n\r\n"));
        assert!(says("tls-required:  no \r\n\r\n"));
        for other in [
            "A: 1\r\n\r\nTLS-Required: No\r\n",
            "TLS-Required: Yes\r\n\r\n",
            "TLS-Required: No way\r\n\r\n",
            "TLS-Required: No\r\nTLS-Required: No\r\n\r\n",
            "",
        ] {
            assert!(!says(other), "{other:?}");
        }
    }
}
