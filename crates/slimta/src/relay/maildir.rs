//! Writes messages into a Maildir: the end of the way on this machine.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::{Delivery, Relay};
use crate::message::{Content, OnSuccess, Report, Response, StoredMessage};

/// Delivers into a Maildir, one file a message, with the reverse-path and the
/// recipients on top (RFC 5321 section 4.4: final delivery adds Return-Path).
///
/// The file has the contents octet for octet, also those of a BINARYMIME message.
///
/// A file is complete and synced before it appears in `new`. Its name comes
/// from the message's id, so that a message that is delivered again after a
/// crash replaces itself.
#[derive(Clone, Debug)]
pub struct Maildir {
    path: PathBuf,
}

impl Maildir {
    /// Delivers into the Maildir at `path`, which is made, with mode 0700, if
    /// it is missing.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        for directory in ["tmp", "new", "cur"] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path.join(directory))?;
        }
        Ok(Maildir { path })
    }

    fn deliver(&self, message: &StoredMessage, content: &Content) -> io::Result<()> {
        let name = format!("{}.{}.slimta", message.received.as_secs(), message.id);
        let unfinished = self.path.join("tmp").join(&name);
        let delivered = write(&unfinished, message, content)
            .and_then(|()| std::fs::rename(&unfinished, self.path.join("new").join(&name)))
            .and_then(|()| File::open(self.path.join("new"))?.sync_all());
        if delivered.is_err() {
            // What is left in tmp is of no use to anybody.
            let _ = std::fs::remove_file(&unfinished);
        }
        delivered
    }
}

/// Writes the whole file and syncs it.
fn write(path: &Path, message: &StoredMessage, content: &Content) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    let mut top = format!("Return-Path: <{}>\r\n", message.envelope.sender);
    for recipient in &message.envelope.recipients {
        top.push_str(&format!("Delivered-To: {}\r\n", recipient.address));
    }
    file.write_all(top.as_bytes())?;
    if content.header_bytes().is_empty() {
        file.write_all(b"\r\n")?;
    }
    for chunk in content.chunks() {
        file.write_all(chunk)?;
    }
    file.sync_all()
}

#[async_trait]
impl Relay for Maildir {
    async fn attempt(&self, delivery: Delivery) -> Report {
        let recipients = delivery.message.envelope.recipients.len();
        let maildir = self.clone();
        let writing = tokio::task::spawn_blocking(move || {
            maildir.deliver(&delivery.message, &delivery.content)
        });
        let response = match writing.await {
            Ok(Ok(())) => Response::success(0, 0, "Delivered to Maildir"),
            Ok(Err(error)) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "Maildir could not be written");
                Response::transient(3, 0, format!("The Maildir cannot be written: {error}"))
            }
            Err(_) => Response::transient(3, 0, "The delivery was cut short"),
        };
        Report {
            on_success: OnSuccess::Delivered,
            ..Report::all(response, recipients)
        }
    }
}
