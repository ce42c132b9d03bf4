//! What a spam filter is to this host, and what it says.

use std::sync::Arc;

use async_trait::async_trait;

use super::place::{Place, ScannerUrlError};
use super::rspamd::Rspamd;
use super::spamd::Spamd;
use crate::message::Message;

/// A spam filter.
#[async_trait]
pub trait SpamScanner: Send + Sync + 'static {
    /// What it says of a message. Dropping the future gives up.
    async fn scan(&self, message: &Message) -> Result<SpamVerdict, ScanError>;
}

/// What a filter says of a message.
#[derive(Clone, PartialEq, Debug)]
pub struct SpamVerdict {
    /// Whether it takes it for spam.
    pub is_spam: bool,
    /// The higher, the more it looks like spam. A finite number.
    pub score: f64,
    /// The score from which on the filter itself would act. A finite number.
    pub threshold: f64,
    /// The names of the tests that counted.
    pub tests: Vec<String>,
}

/// Why a filter said nothing of a message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// It cannot be reached, or the connection was lost.
    #[error("the filter at {place} cannot be reached: {error}")]
    Away {
        /// Its URL.
        place: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It took too long, or there was no place for one more message.
    #[error("the filter did not answer in time")]
    Late,
    /// Its answer is none that is known, or says that it has failed.
    #[error("the filter at {place} gave no verdict: {said}")]
    Odd {
        /// Its URL.
        place: String,
        /// The beginning of what it said.
        said: String,
    },
}

/// The filter of this URL: `spamd://HOST:PORT` or `spamd:/SOCKET` for
/// SpamAssassin's (port 783 if none is named), `rspamd://HOST:PORT` or
/// `rspamd:/SOCKET` for Rspamd's normal worker (port 11333).
pub fn open_scanner(url: &str) -> Result<Arc<dyn SpamScanner>, ScannerUrlError> {
    match url.split_once(':') {
        Some((Spamd::SCHEME, _)) => {
            let place = Place::read(url, Spamd::SCHEME, Spamd::PORT)?;
            Ok(Arc::new(Spamd::new(place)))
        }
        Some((Rspamd::SCHEME, _)) => {
            let place = Place::read(url, Rspamd::SCHEME, Rspamd::PORT)?;
            Ok(Arc::new(Rspamd::new(place)))
        }
        _ => Err(ScannerUrlError::Scheme),
    }
}

impl SpamVerdict {
    /// A verdict whose numbers are some.
    pub(super) fn new(
        is_spam: bool,
        score: f64,
        threshold: f64,
        tests: Vec<String>,
    ) -> Option<Self> {
        let is_some = score.is_finite() && threshold.is_finite();
        is_some.then_some(SpamVerdict {
            is_spam,
            score,
            threshold,
            tests,
        })
    }
}
