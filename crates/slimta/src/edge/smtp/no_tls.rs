//! What stands in the place of TLS where the feature `tls` is off: an
//! encryption that no edge can have.

use std::future::Future;
use std::io;
use std::pin::Pin;

use slimta_smtp::server::StartTls;
use tokio::sync::OwnedSemaphorePermit;

use super::connection::Connection;

#[derive(Clone, Debug)]
pub(super) enum Encryption {}

impl Encryption {
    pub(super) fn starttls(&self) -> StartTls {
        match *self {}
    }

    pub(super) fn is_implicit(&self) -> bool {
        match *self {}
    }
}

pub(super) fn serve<S>(
    _: Connection<S>,
    encryption: Encryption,
    _: OwnedSemaphorePermit,
) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>> {
    match encryption {}
}
