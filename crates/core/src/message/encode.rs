//! The record: a stored message as bytes, in the form that every engine keeps.
//!
//! `version (1 byte) · fields (postcard) · promises (postcard), in version 3 · history (postcard), unless it is empty ·
//! CRC-32 of all before (4 bytes, little endian)`. The fields stand in a struct of their own, so that a change of
//! [`StoredMessage`] cannot change the format unseen; the golden record in the
//! tests guards the values inside. Reading never panics, and says what is wrong.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{
    BodyType, Client, DeliverBy, Destination, Envelope, FutureRelease, History, MessageId, NextHop,
    Priority, Recipient, Response, Ret, ReversePath, StoredMessage,
};
use crate::world::Timestamp;

/// The version of most records.
const VERSION: u8 = 1;
/// The version of a message whose sender was told that it is late: the same
/// fields, of which nothing else has to be said. Who does not know it keeps the
/// message aside, instead of telling its sender again.
const VERSION_DELAY_TOLD: u8 = 2;
/// The version of a message whose sender was promised more than its delivery. Who
/// does not know what was promised keeps the message aside, instead of breaking
/// its word.
const VERSION_PROMISES: u8 = 3;
const CHECKSUM_BYTES: usize = 4;
/// Most records have one recipient and fit.
const RECORD_BYTES_USUAL: usize = 256;

/// Why bytes are not a record. They should be kept aside, not deleted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Shorter than any record.
    #[error("the record is cut short ({0} bytes)")]
    Short(usize),
    /// Written by a later version of slimta.
    #[error(
        "the record has format version {0}; this version of slimta reads {VERSION} to {VERSION_PROMISES}"
    )]
    Version(u8),
    /// The bytes are not those that were written.
    #[error("the record is damaged: its checksum is {found:08x} and should be {expected:08x}")]
    Checksum {
        /// The checksum of the bytes as they are.
        found: u32,
        /// The checksum that was written with them.
        expected: u32,
    },
    /// The checksum fits, but the fields do not.
    #[error("the record does not hold a message: {0}")]
    Fields(String),
}

/// Borrowed where it is written, owned where it is read.
#[derive(Serialize, Deserialize)]
struct Version1<'a> {
    id: MessageId,
    submission: MessageId,
    destination: Destination,
    client: Cow<'a, Client>,
    envelope: Envelope1<'a>,
    received: Timestamp,
    size: u64,
    priority: Priority,
    attempts: u32,
    due: Timestamp,
    held: Option<Cow<'a, str>>,
    last_response: Option<Cow<'a, Response>>,
}

/// The envelope, but for what was promised.
#[derive(Serialize, Deserialize)]
struct Envelope1<'a> {
    sender: Cow<'a, ReversePath>,
    recipients: Cow<'a, [Recipient]>,
    body: BodyType,
    smtputf8: bool,
    ret: Option<Ret>,
    envid: Option<Cow<'a, str>>,
    next_hop: Option<Cow<'a, NextHop>>,
}

/// What stands behind the fields in version 3.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Default)]
struct Promises {
    delay_told: bool,
    release: Option<FutureRelease>,
    deliver_by: Option<DeliverBy>,
    require_tls: bool,
}

impl Promises {
    fn of(message: &StoredMessage) -> Self {
        Promises {
            delay_told: message.delay_told,
            release: message.envelope.release,
            deliver_by: message.envelope.deliver_by,
            require_tls: message.envelope.require_tls,
        }
    }

    /// The least version that says all of it.
    fn version(self) -> u8 {
        let told = Promises {
            delay_told: true,
            ..Promises::default()
        };
        match self {
            promises if promises == Promises::default() => VERSION,
            promises if promises == told => VERSION_DELAY_TOLD,
            _ => VERSION_PROMISES,
        }
    }
}

impl<'a> Envelope1<'a> {
    fn of(envelope: &'a Envelope) -> Self {
        Envelope1 {
            sender: Cow::Borrowed(&envelope.sender),
            recipients: Cow::Borrowed(&envelope.recipients),
            body: envelope.body,
            smtputf8: envelope.smtputf8,
            ret: envelope.ret,
            envid: envelope.envid.as_deref().map(Cow::Borrowed),
            next_hop: envelope.next_hop.as_ref().map(Cow::Borrowed),
        }
    }

    fn into_envelope(self, promises: Promises) -> Envelope {
        Envelope {
            sender: self.sender.into_owned(),
            recipients: self.recipients.into_owned(),
            body: self.body,
            smtputf8: self.smtputf8,
            ret: self.ret,
            envid: self.envid.map(Cow::into_owned),
            next_hop: self.next_hop.map(Cow::into_owned),
            release: promises.release,
            deliver_by: promises.deliver_by,
            require_tls: promises.require_tls,
        }
    }
}

impl StoredMessage {
    /// The record of this message.
    pub fn to_record(&self) -> Result<Vec<u8>, RecordError> {
        let promises = Promises::of(self);
        let version = promises.version();
        let fields = Version1 {
            id: self.id,
            submission: self.submission,
            destination: self.destination.clone(),
            client: Cow::Borrowed(&self.client),
            envelope: Envelope1::of(&self.envelope),
            received: self.received,
            size: self.size,
            priority: self.priority,
            attempts: self.attempts,
            due: self.due,
            held: self.held.as_deref().map(Cow::Borrowed),
            last_response: self.last_response.as_ref().map(Cow::Borrowed),
        };
        let mut record = Vec::with_capacity(RECORD_BYTES_USUAL);
        record.push(version);
        record = postcard::to_extend(&fields, record).map_err(not_fields)?;
        if version == VERSION_PROMISES {
            record = postcard::to_extend(&promises, record).map_err(not_fields)?;
        }
        // Behind the fields, where a version that knows no history does not
        // look: the story of a message is no reason to keep it aside.
        if self.history != History::default() {
            record = postcard::to_extend(&self.history, record).map_err(not_fields)?;
        }
        let checksum = crc32fast::hash(&record);
        record.extend_from_slice(&checksum.to_le_bytes());
        Ok(record)
    }

    /// Reads a record.
    pub fn from_record(record: &[u8]) -> Result<Self, RecordError> {
        let short = || RecordError::Short(record.len());
        let (before, checksum) = record
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or_else(short)?;
        let (version, fields) = before.split_first().ok_or_else(short)?;
        let (found, expected) = (crc32fast::hash(before), u32::from_le_bytes(*checksum));
        if found != expected {
            return Err(RecordError::Checksum { found, expected });
        }
        if !(VERSION..=VERSION_PROMISES).contains(version) {
            return Err(RecordError::Version(*version));
        }
        let (fields, behind): (Version1, _) =
            postcard::take_from_bytes(fields).map_err(not_fields)?;
        let (promises, behind) = match *version {
            VERSION_PROMISES => postcard::take_from_bytes(behind).map_err(not_fields)?,
            version => {
                let delay_told = version == VERSION_DELAY_TOLD;
                let none = Promises::default();
                (Promises { delay_told, ..none }, behind)
            }
        };
        let history = match behind {
            [] => History::default(),
            // A story that a later version wrote is no reason to set mail aside.
            behind => postcard::from_bytes(behind).unwrap_or_default(),
        };
        Ok(StoredMessage {
            id: fields.id,
            submission: fields.submission,
            destination: fields.destination,
            client: fields.client.into_owned(),
            envelope: fields.envelope.into_envelope(promises),
            received: fields.received,
            size: fields.size,
            priority: fields.priority,
            attempts: fields.attempts,
            due: fields.due,
            held: fields.held.map(Cow::into_owned),
            last_response: fields.last_response.map(Cow::into_owned),
            delay_told: promises.delay_told,
            history,
        })
    }
}

fn not_fields(error: postcard::Error) -> RecordError {
    RecordError::Fields(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::history::tests::any_history;
    use super::super::{ByMode, Past, PastKind, Recipient, ReversePath};
    use super::*;

    fn message() -> StoredMessage {
        let id = MessageId::from_bytes(
            *b"\x01\x8f\x3c\x5e\x7a\x3b\x7c\x11\x9d\x2e\x5b\x8a\x4f\x6c\x1d\x20",
        );
        let sender = ReversePath::Mailbox("from@example.com".parse().unwrap());
        StoredMessage {
            id,
            submission: id,
            destination: Destination::new("example.org"),
            client: Client {
                protocol: "ESMTP".to_owned(),
                ip: Some("192.0.2.1".parse().unwrap()),
                ..Client::default()
            },
            envelope: Envelope::new(sender, ["to@example.org".parse().unwrap()]),
            received: Timestamp::from_secs(1_700_000_000),
            size: 1234,
            priority: Priority::Low,
            attempts: 2,
            due: Timestamp::from_secs(1_700_000_060),
            held: Some("odd".to_owned()),
            last_response: Some(Response::new(450, None, "later")),
            delay_told: false,
            history: History::default(),
        }
    }

    fn any_release() -> impl Strategy<Value = Option<FutureRelease>> {
        let until = any::<i64>().prop_map(Timestamp::from_millis);
        prop::option::of(prop_oneof![
            any::<u32>().prop_map(FutureRelease::For),
            until.prop_map(FutureRelease::Until),
        ])
    }

    prop_compose! {
        fn any_message()(
            id in any::<[u8; 16]>(),
            texts in any::<[String; 3]>(),
            numbers in any::<(i64, u64, u32, i64)>(),
            priority in prop::sample::select(vec![Priority::High, Priority::Normal, Priority::Low]),
            held in any::<Option<String>>(),
            code in prop::option::of(400_u16..600),
            recipients in 0..4_usize,
            delay_told in any::<bool>(),
            history in any_history(),
            release in any_release(),
            deliver_by in prop::option::of(any::<(i64, bool, bool)>()),
            require_tls in any::<bool>(),
        ) -> StoredMessage {
            let [destination, ehlo, reply] = texts;
            let mut message = message();
            message.id = MessageId::from_bytes(id);
            message.destination = Destination::new(destination);
            message.client.ehlo = Some(ehlo);
            let to: Recipient = message.envelope.recipients[0].clone();
            message.envelope.recipients = vec![to; recipients];
            message.received = Timestamp::from_millis(numbers.0);
            message.size = numbers.1;
            message.attempts = numbers.2;
            message.due = Timestamp::from_millis(numbers.3);
            message.priority = priority;
            message.held = held;
            message.delay_told = delay_told;
            message.history = history;
            message.envelope.release = release;
            message.envelope.require_tls = require_tls;
            message.envelope.deliver_by = deliver_by.map(|(by, returned, trace)| DeliverBy {
                by: Timestamp::from_millis(by),
                mode: if returned { ByMode::Return } else { ByMode::Notify },
                trace,
            });
            message.last_response = code.map(|code| Response::new(code, None, reply.as_str()));
            message
        }
    }

    proptest! {
        #[test]
        fn a_message_survives_its_record(message in any_message()) {
            let record = message.to_record().unwrap();
            prop_assert_eq!(StoredMessage::from_record(&record), Ok(message));
        }

        #[test]
        fn garbage_is_refused_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(StoredMessage::from_record(&bytes).is_err());
            // With a checksum that fits, only the fields can say so.
            let checksum = crc32fast::hash(&bytes);
            bytes.extend_from_slice(&checksum.to_le_bytes());
            let _ = StoredMessage::from_record(&bytes);
            bytes.insert(0, VERSION);
            let checksum = crc32fast::hash(&bytes);
            bytes.extend_from_slice(&checksum.to_le_bytes());
            let _ = StoredMessage::from_record(&bytes);
        }

        #[test]
        fn a_flipped_bit_is_noticed(bit in any::<prop::sample::Index>()) {
            let mut record = message().to_record().unwrap();
            let bit = bit.index(record.len() * 8);
            record[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(StoredMessage::from_record(&record).is_err());
        }
    }

    #[test]
    fn a_story_of_a_later_version_is_forgotten_and_the_mail_kept() {
        let mut record = message().to_record().unwrap();
        record.truncate(record.len() - CHECKSUM_BYTES);
        record.extend_from_slice(&[0xff; 3]);
        let checksum = crc32fast::hash(&record);
        record.extend_from_slice(&checksum.to_le_bytes());
        let expected = StoredMessage {
            history: History::default(),
            ..message()
        };
        assert_eq!(StoredMessage::from_record(&record), Ok(expected));
    }

    #[test]
    fn a_later_version_is_named() {
        let mut record = message().to_record().unwrap();
        record.truncate(record.len() - CHECKSUM_BYTES);
        record[0] = 9;
        let checksum = crc32fast::hash(&record);
        record.extend_from_slice(&checksum.to_le_bytes());
        assert_eq!(
            StoredMessage::from_record(&record),
            Err(RecordError::Version(9))
        );
    }

    fn golden(hex: &str) -> Vec<u8> {
        hex.split_ascii_whitespace()
            .flat_map(|line| line.as_bytes().chunks(2))
            .map(|hex| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap())
            .collect()
    }

    fn is_read_and_written(golden: &[u8], message: &StoredMessage) {
        let record = message.to_record().unwrap();
        let hex: String = record.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(record, golden, "written now: {hex}");
        assert_eq!(StoredMessage::from_record(golden), Ok(message.clone()));
    }

    /// Written by the first version that stored mail: it must be read for ever.
    #[test]
    fn the_golden_record_is_read_and_written() {
        let golden = golden(include_str!("golden/record-1.hex"));
        is_read_and_written(&golden, &message());
        // The second version differs in its number, and in nothing else.
        let mut told = message();
        told.delay_told = true;
        let second = told.to_record().unwrap();
        let fields = 1..golden.len() - CHECKSUM_BYTES;
        assert_eq!(second[0], 2);
        assert_eq!(second[fields.clone()], golden[fields]);
        assert_eq!(StoredMessage::from_record(&second), Ok(told));
    }

    /// What was promised is read for ever, with a history behind it or without.
    #[test]
    fn the_golden_promises_are_read_and_written() {
        let mut message = message();
        message.delay_told = true;
        message.envelope.release = Some(FutureRelease::For(3600));
        message.envelope.require_tls = true;
        message.envelope.deliver_by = Some(DeliverBy {
            by: Timestamp::from_secs(1_700_090_000),
            mode: ByMode::Notify,
            trace: true,
        });
        is_read_and_written(&golden(include_str!("golden/record-3.hex")), &message);
        // Whoever knows version 1 only must not take it for one.
        assert_eq!(message.to_record().unwrap()[0], VERSION_PROMISES);
    }

    /// A history stands behind the fields that all versions know, so that one
    /// that knows no history reads the rest.
    #[test]
    fn the_golden_history_is_read_and_written() {
        let mut message = message();
        let past = |kind, remote: Option<&str>| Past {
            at: Timestamp::from_secs(1_700_000_000),
            kind,
            recipients: 2,
            waiting: 1,
            response: Response::transient(2, 0, "later"),
            remote: remote.map(str::to_owned),
        };
        let since = Timestamp::from_secs(1_699_999_000);
        message.history = History {
            earlier: 3,
            entries: vec![
                past(PastKind::Tried, Some("mx.example")),
                past(PastKind::PutOff { since, times: 4 }, None),
            ],
        };
        is_read_and_written(
            &golden(include_str!("golden/record-1-history.hex")),
            &message,
        );
        let record = message.to_record().unwrap();
        let fields = &record[1..record.len() - CHECKSUM_BYTES];
        let before: Version1 = postcard::from_bytes(fields).unwrap();
        assert_eq!(
            before.last_response.as_deref(),
            message.last_response.as_ref()
        );
    }
}
