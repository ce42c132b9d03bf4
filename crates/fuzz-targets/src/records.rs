//! Stored records: reading never panics, and what is read is written alike.

use slimta_core::message::StoredMessage;

/// The version byte of records as they are written.
const VERSION: u8 = 1;

/// Bytes as they are, and as fields behind a version and a checksum that fit.
pub(crate) fn records(bytes: &[u8]) {
    read(bytes);
    let mut record = vec![VERSION];
    record.extend_from_slice(bytes);
    let checksum = crc32fast::hash(&record);
    record.extend_from_slice(&checksum.to_le_bytes());
    read(&record);
}

fn read(record: &[u8]) {
    let Ok(message) = StoredMessage::from_record(record) else {
        return;
    };
    // A length or number can be written in more ways than one, so the record
    // need not be the same, but the message is.
    let again = message.to_record().expect("what was read can be written");
    assert!(again.len() <= record.len() + 16, "it has grown");
    assert_eq!(StoredMessage::from_record(&again), Ok(message.clone()));
    for recipient in &message.envelope.recipients {
        let address = recipient.address.as_str();
        assert!(!address.contains(char::is_control), "{address:?}");
    }
    // What stands in it can be shown and answered.
    let _ = (message.received.rfc3339(), message.due.rfc5322());
    for past in &message.history.entries {
        let _ = (past.at.rfc3339(), past.times(), past.response.to_string());
    }
    if let Some(response) = &message.last_response {
        let reply = response.to_smtp();
        assert!(reply.ends_with("\r\n"), "{reply:?}");
        for line in reply.trim_end_matches("\r\n").split("\r\n") {
            assert!(
                line.len() <= 510 && !line.contains(['\r', '\n', '\0']),
                "{line:?}"
            );
        }
    }
}
