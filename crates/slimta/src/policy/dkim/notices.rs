//! Notices with signatures: what this host itself writes passes no edge, and so
//! no policy.

use super::SignDkim;
use crate::message::{BounceBuilder, Failure, Message, OnSuccess};
use crate::world::Timestamp;

/// Signs what another builder builds, as [`SignDkim`] signs mail: by the domain
/// in the notice's own From.
///
/// The same failure gives the same bytes, if the other builder keeps to that.
/// A notice that cannot be signed goes without: its sender must hear of it.
#[derive(Clone, Debug)]
pub struct SignedNotices<B> {
    builder: B,
    dkim: SignDkim,
}

impl SignDkim {
    /// Signs the notices that `builder` builds.
    pub fn notices<B: BounceBuilder>(&self, builder: B) -> SignedNotices<B> {
        SignedNotices {
            builder,
            dkim: self.clone(),
        }
    }
}

impl<B> SignedNotices<B> {
    fn signed(&self, notice: Option<Message>) -> Option<Message> {
        let mut notice = notice?;
        if self.dkim.sign(&mut notice).is_err() {
            tracing::error!("a notice could not be signed and goes without a DKIM signature");
        }
        Some(notice)
    }
}

impl<B: BounceBuilder> BounceBuilder for SignedNotices<B> {
    fn build(&self, failure: &Failure<'_>) -> Option<Message> {
        self.signed(self.builder.build(failure))
    }

    fn build_delay(&self, delay: &Failure<'_>, until: Option<Timestamp>) -> Option<Message> {
        self.signed(self.builder.build_delay(delay, until))
    }

    fn build_success(&self, success: &Failure<'_>, how: OnSuccess) -> Option<Message> {
        self.signed(self.builder.build_success(success, how))
    }
}
