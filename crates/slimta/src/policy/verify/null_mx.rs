//! Senders whose domain says that it takes no mail (RFC 7505): nobody could be told
//! what became of theirs.

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::message::{Message, ReversePath};

/// The domain of the reverse-path, if it takes no mail: it has one MX record, which
/// names the root. What cannot be looked up says nothing.
pub(super) async fn sender_without_mail(
    resolver: &TokioResolver,
    message: &Message,
) -> Option<String> {
    let ReversePath::Mailbox(address) = &message.envelope.sender else {
        return None;
    };
    let domain = address.domain().filter(|domain| !domain.starts_with('['))?;
    let mut name = Name::from_utf8(domain).ok()?;
    name.set_fqdn(true);
    let found = resolver.lookup(name, RecordType::MX).await.ok()?;
    let exchangers = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::MX(mx) => Some(&mx.exchange),
            _ => None,
        });
    let exchangers: Vec<_> = exchangers.collect();
    matches!(exchangers.as_slice(), [only] if only.is_root()).then(|| domain.to_owned())
}
