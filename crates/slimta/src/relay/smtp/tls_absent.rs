//! Without the feature `tls`: everything goes in clear.

use slimta_smtp::client::TlsLevel;

use super::Host;
use super::connector::Stream;
use super::host_tls::HostTls;
use super::opening::NoTls;
use super::tls_seen::TlsFault;
use crate::message::{Destination, Response};
use crate::relay::resolver::Resolver;
use crate::world::World;

/// How connections to next hops are encrypted: not at all, without the feature
/// `tls`.
#[derive(Clone, Debug, Default)]
pub struct Tls(());

impl Tls {
    pub(super) fn level(&self, _destination: &Destination) -> TlsLevel {
        let Tls(()) = self;
        TlsLevel::Off
    }

    pub(super) fn trusted(&self) -> Option<&dyn Resolver> {
        None
    }

    pub(super) fn trusted_dns(&self, _level: TlsLevel) -> Option<&dyn Resolver> {
        None
    }

    pub(super) async fn asked_for(
        &self,
        _host: &Host,
        level: TlsLevel,
    ) -> Result<HostTls, Response> {
        Ok(HostTls::local(level))
    }

    /// Never asked for in clear.
    pub(super) async fn begin(
        &self,
        _stream: Box<dyn Stream>,
        _host: &Host,
        _tls: &HostTls,
        _world: &World,
    ) -> Result<(Box<dyn Stream>, Option<TlsFault>), NoTls> {
        Err(NoTls::OurFault("This build has no TLS".to_owned()))
    }
}
