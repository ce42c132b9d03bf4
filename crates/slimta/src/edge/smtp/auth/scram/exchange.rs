//! The messages of an exchange (RFC 5802 section 7), as the server reads and
//! writes them.
//!
//! The binding to the channel of TLS (SCRAM-SHA-256-PLUS) is not offered, so no
//! client may ask for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::keys::{Key, ScramKeys};

/// Longest nonce of a client that is taken; 18 to 32 bytes are usual.
const NONCE_BYTES_MAX: usize = 256;
/// Longest name, as of PLAIN.
const USER_BYTES_MAX: usize = 255;

/// The first message of a client.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::edge::smtp::auth) struct First {
    /// Who it says it is, prepared by SASLprep.
    pub(in crate::edge::smtp::auth) user: String,
    /// What comes before its own part, which its last message repeats.
    gs2: Box<str>,
    bare: Box<str>,
    nonce: Box<str>,
}

/// An exchange that waits for the proof of the client.
#[derive(Debug)]
pub(in crate::edge::smtp) struct Begun {
    pub(in crate::edge::smtp::auth) user: String,
    keys: ScramKeys,
    gs2: Box<str>,
    nonce: Box<str>,
    /// What was said so far, with a comma between the messages.
    said: String,
}

impl First {
    /// Reads it; none if it is no such message, or asks for what is not offered.
    pub(in crate::edge::smtp::auth) fn parse(message: &[u8]) -> Option<Self> {
        let message = str::from_utf8(message).ok()?;
        let mut parts = message.splitn(3, ',');
        let (binding, whom, bare) = (parts.next()?, parts.next()?, parts.next()?);
        // With "y" it would bind the channel if we could.
        if !matches!(binding, "n" | "y") {
            return None;
        }
        let mut attributes = bare.split(',');
        // An extension that one has to know would stand first.
        let user = name(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        // Nobody may act as another.
        let is_other = match whom.strip_prefix("a=") {
            Some(whom) => name(whom)? != user,
            None => !whom.is_empty(),
        };
        let is_nonce = nonce.bytes().all(|b| b.is_ascii_graphic())
            && (1..=NONCE_BYTES_MAX).contains(&nonce.len());
        (is_nonce && !is_other).then(|| First {
            user,
            gs2: format!("{binding},{whom},").into(),
            bare: bare.into(),
            nonce: nonce.into(),
        })
    }

    /// Answers it with what the client needs for its proof; `nonce` is the part
    /// of this server, by chance and without a comma.
    pub(in crate::edge::smtp::auth) fn answered(
        self,
        keys: ScramKeys,
        nonce: &str,
    ) -> (Begun, String) {
        let nonce = format!("{}{nonce}", self.nonce);
        let answer = format!("r={nonce},{}", keys.told());
        let begun = Begun {
            user: self.user,
            said: format!("{},{answer},", self.bare),
            gs2: self.gs2,
            nonce: nonce.into(),
            keys,
        };
        (begun, answer)
    }
}

/// What the last message of a client is.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::edge::smtp::auth) enum Proof {
    /// Good: this is what proves the server to the client.
    Good(String),
    Bad,
    /// No such message.
    Malformed,
}

impl Begun {
    /// Checks the last message of the client.
    pub(in crate::edge::smtp::auth) fn finish(mut self, message: &[u8]) -> Proof {
        let Some((proof, is_bound)) = self.read(message) else {
            return Proof::Malformed;
        };
        match self.keys.check(&proof, self.said.as_bytes()) {
            Some(signature) if is_bound => Proof::Good(format!("v={}", STANDARD.encode(signature))),
            _ => Proof::Bad,
        }
    }

    /// Reads it: the proof, and whether it is one for this exchange.
    fn read(&mut self, message: &[u8]) -> Option<(Key, bool)> {
        let message = str::from_utf8(message).ok()?;
        let (before, proof) = message.rsplit_once(",p=")?;
        let mut attributes = before.split(',');
        let gs2 = attributes.next()?.strip_prefix("c=")?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let gs2 = STANDARD.decode(gs2).ok()?;
        let proof = STANDARD.decode(proof).ok()?.try_into().ok()?;
        self.said.push_str(before);
        let is_bound = gs2 == self.gs2.as_bytes() && nonce == &*self.nonce;
        Some((proof, is_bound))
    }
}

/// A name as it is written in an exchange, prepared by SASLprep (RFC 5802
/// section 5.1).
fn name(written: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = written;
    while let Some((before, after)) = rest.split_once('=') {
        name.push_str(before);
        let (escaped, behind) = after.split_at_checked(2)?;
        name.push(match escaped {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        rest = behind;
    }
    name.push_str(rest);
    let name = stringprep::saslprep(&name).ok()?.into_owned();
    (1..=USER_BYTES_MAX).contains(&name.len()).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn keys() -> ScramKeys {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let iterations = NonZeroU32::new(4096).unwrap();
        ScramKeys::of_password(b"pencil", &salt, iterations).unwrap()
    }

    fn begun(first: &str) -> (Begun, String) {
        let first = First::parse(first.as_bytes()).unwrap();
        assert_eq!(first.user, "user");
        first.answered(keys(), NONCE)
    }

    /// RFC 7677 section 3.
    #[test]
    fn the_exchange_of_the_standard_is_had() {
        let (exchange, answer) = begun(FIRST);
        assert_eq!(
            answer,
            format!("r=rOprNGfwEbeRWgbNEkqO{NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
        );
        let signature = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(
            exchange.finish(LAST.as_bytes()),
            Proof::Good(signature.to_owned())
        );
    }

    #[test]
    fn a_proof_is_good_for_its_own_exchange_only() {
        for (from, to) in [
            ("p=d", "p=e"),
            // Of another binding, or another exchange.
            ("biws", "eSws"),
            ("k0,p", "k1,p"),
            ("r=r", "r=s"),
        ] {
            let last = LAST.replace(from, to);
            assert_ne!(last, LAST);
            assert_eq!(begun(FIRST).0.finish(last.as_bytes()), Proof::Bad, "{last}");
        }
        let (exchange, _) = begun("y,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        assert_eq!(exchange.finish(LAST.as_bytes()), Proof::Bad);
        let of_nobody = ScramKeys::of_nobody("user", b"x", keys().iterations());
        let first = First::parse(FIRST.as_bytes()).unwrap();
        let (exchange, _) = first.answered(of_nobody, NONCE);
        assert_eq!(exchange.finish(LAST.as_bytes()), Proof::Bad);
        for bad in [
            "",
            "c=biws",
            "c=biws,r=x,p=",
            "c=biws,r=x,p=AAAA",
            "c=*,r=x,p=AAAA",
            "e=x",
        ] {
            assert_eq!(
                begun(FIRST).0.finish(bad.as_bytes()),
                Proof::Malformed,
                "{bad}"
            );
        }
    }

    #[test]
    fn names_are_read_as_they_are_meant() {
        let user = |text: &str| First::parse(text.as_bytes()).map(|first| first.user);
        for (text, expected) in [
            ("n,,n=a=2Cb=3Dc,r=x", Some("a,b=c")),
            ("n,a=ann,n=ann,r=x", Some("ann")),
            ("y,,n=I\u{ad}X,r=x,ext=1", Some("IX")),
            ("n,a=bob,n=ann,r=x", None),
            ("n,bob,n=ann,r=x", None),
            ("p=tls-exporter,,n=ann,r=x", None),
            ("n,,m=ext,n=ann,r=x", None),
            ("n,,n=,r=x", None),
            ("n,,n=a=2,r=x", None),
            ("n,,n=a=2D,r=x", None),
            ("n,,n=\u{7},r=x", None),
            ("n,,n=ann,r=", None),
            ("n,,n=ann,r=a b", None),
            ("n,,n=ann", None),
            ("n=ann,r=x", None),
            ("", None),
        ] {
            assert_eq!(user(text).as_deref(), expected, "{text}");
        }
        assert_eq!(First::parse(b"n,,n=\xff,r=x"), None);
        assert_eq!(user(&format!("n,,n=ann,r={}", "x".repeat(257))), None);
    }

    proptest! {
        /// What strangers say is a message whose name a log can hold, or none.
        #[test]
        fn any_text_is_a_message_or_none(
            first in "[nyp],(a=)?[a-c=2C3D,\u{ad}\u{7}]{0,6},(n=)?[a-c=2C3D,\u{ad}\u{7}]{0,6},r=[!-~]{0,4}",
            last in "(c=biws,r=x,)?[ -~]{0,20}(,p=[A-Za-z0-9+/=]{0,48})?",
        ) {
            if let Some(first) = First::parse(first.as_bytes()) {
                prop_assert!(!first.user.is_empty() && !first.user.contains(char::is_control));
                let (begun, answer) = first.answered(keys_of_nobody(), "x");
                prop_assert!(answer.starts_with("r=") && !answer.contains(char::is_control));
                prop_assert!(!matches!(begun.finish(last.as_bytes()), Proof::Good(_)));
            }
        }
    }

    fn keys_of_nobody() -> ScramKeys {
        ScramKeys::of_nobody("user", b"x", NonZeroU32::MIN)
    }
}
