//! Reads what an application handed in by the SQL function: a record that SQL
//! can write, `fields (JSON) · SHA-256 of them`, and contents with their SHA-256
//! beside. The first change of such a message writes the record of all others.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use slimta_core::message::{
    Address, BodyType, Client, Content, Destination, Envelope, History, MessageId, Priority,
    ReversePath, StoredMessage,
};
use slimta_core::world::Timestamp;

const SHA256_BYTES: usize = 32;
/// What a Received header would call the way it came.
const PROTOCOL: &str = "SQL";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    id: String,
    submission: String,
    destination: String,
    sender: String,
    recipients: Vec<Address>,
    is_8bit: bool,
    received: i64,
    size: u64,
}

/// Whether SQL wrote this record. No other has a version of that number.
pub(super) fn is_handed(record: &[u8]) -> bool {
    record.first() == Some(&b'{')
}

/// Reads such a record; says what is wrong with it if anything is.
pub(super) fn message(record: &[u8]) -> Result<StoredMessage, String> {
    let (fields, sha256) = record
        .split_last_chunk::<SHA256_BYTES>()
        .ok_or("the record is cut short")?;
    if Sha256::digest(fields).as_slice() != sha256 {
        return Err("the record is damaged: its checksum is wrong".to_owned());
    }
    let fields: Fields = serde_json::from_slice(fields).map_err(|error| error.to_string())?;
    let id = |text: &str| text.parse::<MessageId>().map_err(|error| error.to_string());
    let sender = ReversePath::parse(&fields.sender).map_err(|error| error.to_string())?;
    let is_ascii = fields.sender.is_ascii() && fields.recipients.iter().all(Address::is_ascii);
    let received = Timestamp::from_millis(fields.received);
    Ok(StoredMessage {
        id: id(&fields.id)?,
        submission: id(&fields.submission)?,
        destination: Destination::new(fields.destination),
        client: Client {
            protocol: PROTOCOL.to_owned(),
            ..Client::default()
        },
        envelope: Envelope {
            body: match fields.is_8bit {
                true => BodyType::EightBitMime,
                false => BodyType::SevenBit,
            },
            smtputf8: !is_ascii,
            ..Envelope::new(sender, fields.recipients)
        },
        received,
        size: fields.size,
        priority: Priority::Normal,
        attempts: 0,
        due: received,
        held: None,
        last_response: None,
        delay_told: false,
        history: History::default(),
    })
}

/// Puts contents together; says what is wrong with them if anything is.
pub(super) fn content(parts: &[&[u8]], sha256: &[u8]) -> Result<Content, String> {
    let all = parts.concat();
    match Sha256::digest(&all).as_slice() == sha256 {
        true => Ok(Content::new(all)),
        false => Err("the contents are damaged: their checksum is wrong".to_owned()),
    }
}
