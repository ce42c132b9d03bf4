//! Who a message is from and for, with what SMTP says beside (RFC 5321,
//! RFC 3461, RFC 6152, RFC 6531).

use serde::{Deserialize, Serialize};

use super::{Address, DeliverBy, FutureRelease, ReversePath};

/// The envelope: reverse-path, recipients, and the parameters of MAIL FROM.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Envelope {
    /// Where notices go.
    pub sender: ReversePath,
    /// Who it is for, in the order they were given.
    pub recipients: Vec<Recipient>,
    /// How the body is encoded (BODY=).
    pub body: BodyType,
    /// Whether addresses or headers may be UTF-8 (SMTPUTF8).
    pub smtputf8: bool,
    /// How much of the message a failure notice returns (RET=).
    pub ret: Option<Ret>,
    /// The sender's own name for this envelope, decoded (ENVID=).
    pub envid: Option<String>,
    /// An explicit next hop that overrides the router.
    pub next_hop: Option<NextHop>,
    /// When it is released at the earliest (HOLDFOR=, HOLDUNTIL=).
    #[serde(default)]
    pub release: Option<FutureRelease>,
    /// By when it is to be delivered (BY=).
    #[serde(default)]
    pub deliver_by: Option<DeliverBy>,
    /// Whether it may only go over connections that nobody can read or change, to
    /// hosts that promise the same (REQUIRETLS, RFC 8689).
    #[serde(default)]
    pub require_tls: bool,
}

impl Envelope {
    /// An envelope without any parameters.
    pub fn new(sender: ReversePath, recipients: impl IntoIterator<Item = Address>) -> Self {
        Envelope {
            sender,
            recipients: recipients.into_iter().map(Recipient::new).collect(),
            ..Envelope::default()
        }
    }
}

/// One recipient with its delivery notification options.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recipient {
    /// The forward-path.
    pub address: Address,
    /// Which notices the sender asked for; none given means failures only.
    pub notify: Option<Notify>,
    /// The recipient as it was before any forwarding (ORCPT=).
    pub original: Option<OriginalRecipient>,
}

impl Recipient {
    /// A recipient without options.
    pub fn new(address: Address) -> Self {
        Recipient {
            address,
            notify: None,
            original: None,
        }
    }

    /// Whether a failure of this recipient is reported (RFC 3461 section 4.1).
    pub fn wants_failure_notice(&self) -> bool {
        self.notify.is_none_or(|notify| notify.failure)
    }

    /// Whether its sender is told when this recipient waits long. Who said
    /// nothing about notices may be told (RFC 3461 section 4.1).
    pub fn wants_delay_notice(&self) -> bool {
        self.notify.is_none_or(|notify| notify.delay)
    }

    /// Whether its sender asked to be told when this recipient has the message.
    pub fn wants_success_notice(&self) -> bool {
        self.notify.is_some_and(|notify| notify.success)
    }
}

/// NOTIFY= (RFC 3461 section 4.1). All false is `NEVER`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notify {
    /// Report successful delivery.
    pub success: bool,
    /// Report failure.
    pub failure: bool,
    /// Report delay.
    pub delay: bool,
}

impl Notify {
    /// `NOTIFY=NEVER`.
    pub const NEVER: Notify = Notify {
        success: false,
        failure: false,
        delay: false,
    };
}

/// ORCPT= (RFC 3461 section 4.2), decoded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OriginalRecipient {
    /// The address type, such as `rfc822` or `utf-8`.
    pub kind: String,
    /// The address, decoded from xtext; no control characters.
    pub address: String,
}

/// BODY= (RFC 6152, RFC 3030).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum BodyType {
    /// ASCII lines of at most 1000 octets.
    #[default]
    SevenBit,
    /// Lines with octets above 127.
    EightBitMime,
    /// Any octets at all in the body, each of which is kept: no line ends are mended,
    /// and next hops get it in a chunk (BDAT) or encoded. The header is lines.
    BinaryMime,
}

/// RET= (RFC 3461 section 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ret {
    /// Return the whole message.
    Full,
    /// Return its headers.
    Headers,
}

/// A next hop fixed by hand: the original's `dest_relayer`, `dest_host` and
/// `dest_port`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct NextHop {
    /// How it is talked to, as the scheme of a URL says it: `smtps` or `lmtp`; by SMTP
    /// if it is another, or not said.
    pub relayer: Option<String>,
    /// The host to connect to; by LMTP it may be the whole path of a Unix socket.
    pub host: Option<String>,
    /// The port there.
    pub port: Option<u16>,
}

#[cfg(test)]
mod tests {
    use proptest::option::of;
    use proptest::prelude::*;

    use super::super::address::tests::any_mailbox;
    use super::*;

    fn any_address() -> impl Strategy<Value = Address> {
        any_mailbox().prop_map(|text| text.parse().unwrap())
    }

    fn any_recipient() -> impl Strategy<Value = Recipient> {
        let notify = any::<(bool, bool, bool)>().prop_map(|(success, failure, delay)| Notify {
            success,
            failure,
            delay,
        });
        let original = any::<(String, String)>()
            .prop_map(|(kind, address)| OriginalRecipient { kind, address });
        (any_address(), of(notify), of(original)).prop_map(|(address, notify, original)| {
            Recipient {
                address,
                notify,
                original,
            }
        })
    }

    fn any_envelope() -> impl Strategy<Value = Envelope> {
        let body = prop::sample::select(vec![
            BodyType::SevenBit,
            BodyType::EightBitMime,
            BodyType::BinaryMime,
        ]);
        let next_hop = any::<(Option<String>, Option<String>, Option<u16>)>().prop_map(
            |(relayer, host, port)| NextHop {
                relayer,
                host,
                port,
            },
        );
        let recipients = prop::collection::vec(any_recipient(), 0..5);
        let ret = of(prop::sample::select(vec![Ret::Full, Ret::Headers]));
        let parameters = (body, any::<bool>(), ret, of(any::<String>()), of(next_hop));
        (of(any_address()), recipients, parameters).prop_map(|(sender, recipients, rest)| {
            Envelope {
                sender: sender.map_or(ReversePath::Null, ReversePath::Mailbox),
                recipients,
                body: rest.0,
                smtputf8: rest.1,
                ret: rest.2,
                envid: rest.3,
                next_hop: rest.4,
                release: None,
                deliver_by: None,
                require_tls: false,
            }
        })
    }

    proptest! {
        #[test]
        fn an_envelope_survives_its_record(envelope in any_envelope()) {
            let record = postcard::to_allocvec(&envelope).unwrap();
            let read: Envelope = postcard::from_bytes(&record).unwrap();
            prop_assert_eq!(read, envelope);
        }
    }

    #[test]
    fn an_address_is_checked_again_when_a_record_is_read() {
        let record = postcard::to_allocvec("a@b\r\nRCPT TO:<c@d>").unwrap();
        assert!(postcard::from_bytes::<Address>(&record).is_err());
    }
}
