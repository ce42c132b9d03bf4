//! Records of text in the DNS.

use async_trait::async_trait;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::dns::{Dns, absolute};
use crate::relay::LookupError;

/// Looks texts up.
#[async_trait]
pub trait TextRecords: Send + Sync + 'static {
    /// The TXT records at a name, in any order, each in one piece.
    async fn texts(&self, name: &str) -> Result<Vec<String>, LookupError>;
}

#[async_trait]
impl TextRecords for Dns {
    async fn texts(&self, name: &str) -> Result<Vec<String>, LookupError> {
        let read = |data: &RData| match data {
            RData::TXT(text) => {
                let whole = text.txt_data.concat();
                Some(String::from_utf8_lossy(&whole).into_owned())
            }
            _ => None,
        };
        let found = self.ask(absolute(name)?, RecordType::TXT, read).await?;
        Ok(found.records)
    }
}
