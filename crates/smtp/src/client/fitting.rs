//! One message for next hops that take different things.

use slimta_core::message::{BodyType, Content};

use super::downgrade::downgraded;
use super::extensions::Extensions;

/// Contents, made fit for each next hop that an attempt meets. What had to be
/// written anew for one of them is kept for the others.
#[derive(Debug)]
pub struct Fitting<'a> {
    content: &'a Content,
    declared: BodyType,
    seven_bit: Option<Option<Content>>,
    eight_bit: Option<Option<Content>>,
}

impl<'a> Fitting<'a> {
    /// Contents that were declared so (BODY=).
    pub fn new(content: &'a Content, declared: BodyType) -> Self {
        Fitting {
            content,
            declared,
            seven_bit: None,
            eight_bit: None,
        }
    }

    /// The contents as this next hop takes them, and what they are. If they cannot
    /// be said so they are what they were, and it gets nothing
    /// ([`Parcel`](super::Parcel)).
    pub fn to(&mut self, peer: &Extensions) -> (&Content, BodyType) {
        let (content, declared) = (self.content, self.declared);
        let (taken, kept) = match (declared, peer.eight_bit_mime) {
            (BodyType::BinaryMime, _) if peer.takes_binary() => return (content, declared),
            (BodyType::BinaryMime, true) => (BodyType::EightBitMime, &mut self.eight_bit),
            (_, true) => return (content, declared),
            (_, false) => (BodyType::SevenBit, &mut self.seven_bit),
        };
        let fit = kept.get_or_insert_with(|| downgraded(content, declared, taken));
        match fit {
            // That of text is found in its octets.
            Some(fit) => (fit, BodyType::SevenBit),
            None => (content, declared),
        }
    }
}

#[cfg(test)]
mod tests {
    use slimta_core::message::Response;

    use super::*;

    #[test]
    fn contents_are_written_anew_only_where_they_must_be() {
        use BodyType::{BinaryMime, EightBitMime, SevenBit};
        let content = Content::new(
            "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e\r\n",
        );
        for (declared, offers, is_same, body) in [
            (BinaryMime, "BINARYMIME\nCHUNKING", true, BinaryMime),
            (BinaryMime, "BINARYMIME\n8BITMIME", true, SevenBit),
            (BinaryMime, "CHUNKING\n8BITMIME", true, SevenBit),
            (BinaryMime, "BINARYMIME", false, SevenBit),
            (EightBitMime, "BINARYMIME\nCHUNKING", false, SevenBit),
            (EightBitMime, "8BITMIME", true, EightBitMime),
            (SevenBit, "8BITMIME", true, SevenBit),
            (SevenBit, "", false, SevenBit),
        ] {
            let text = format!("mx.example\n{offers}");
            let peer = Extensions::read(&Response::new(250, None, text));
            let mut fitting = Fitting::new(&content, declared);
            let (fit, is) = fitting.to(&peer);
            assert_eq!(
                (fit == &content, is),
                (is_same, body),
                "{declared:?} {offers}"
            );
        }
    }
}
