//! Doors for the fuzzer: each takes any bytes and says what became of them.

use slimta::message::{Client, Content, Envelope, Message, ReversePath};
use slimta::policy::{DkimKey, Policy as _, SignDkim};
use slimta::relay::mta_sts;
use slimta::world::Timestamp;
use slimta_core::message::Address;

use crate::commands::sendmail;
use crate::{admin, config, exported};

/// Reads bytes as a configuration file, and fills in the defaults. The failure
/// is what an operator would be told.
pub fn configuration(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    config::understand(text)
}

/// Reads bytes as the value of a To, on the host of this name: the addresses that
/// it names, and what is told of each piece that is none.
pub fn mailboxes(bytes: &[u8], host: &str) -> (Vec<Address>, Vec<String>) {
    let (mut named, mut told) = (Vec::new(), Vec::new());
    for piece in sendmail::mailboxes(&String::from_utf8_lossy(bytes), host) {
        match piece {
            Ok(address) => named.push(address),
            Err(no) => told.push(format!("{}: {}", no.text, no.why)),
        }
    }
    (named, told)
}

/// Reads bytes as a request to the admin socket; gives it as it would be
/// written.
pub fn admin_request(bytes: &[u8]) -> Result<Vec<u8>, String> {
    admin::understand_and_write(bytes)
}

/// Reads bytes as the JSON of an export; gives it as it would be written.
pub fn exported(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let messages = exported::understand(bytes)?;
    exported::to_json(messages).map_err(|error| error.to_string())
}

/// Reads bytes as a policy of MTA-STS; gives its lines as they would be written, and
/// whether it names `host`.
pub fn sts_policy(bytes: &[u8], host: &str) -> Result<(String, bool), String> {
    let policy = mta_sts::Policy::parse(bytes).map_err(|error| error.to_string())?;
    Ok((policy.lines().join("\n"), policy.names(host)))
}

/// Signs bytes as mail of `domain` with the key in `pem`, if they are; gives the
/// message as it is then.
pub fn signed(domain: &str, pem: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let key = DkimKey::from_pem("a", pem.as_bytes());
    let key = key.map_err(|error| error.to_string())?;
    let dkim = SignDkim::new().with_keys(domain, [key]);
    let dkim = dkim.map_err(|error| error.to_string())?;
    let message = Message::new(
        Client::default(),
        Envelope::new(ReversePath::Null, []),
        Content::new(bytes.to_vec()),
        Timestamp::EPOCH,
    );
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let signed = runtime.block_on(dkim.apply(message));
    let mut signed = signed.map_err(|refused| refused.to_string())?;
    let message = signed.pop().ok_or("no message is left")?;
    Ok(message.content.to_vec())
}
