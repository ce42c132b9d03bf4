//! Without the feature `tls`: everything goes in clear.

use slimta_smtp::client::TlsLevel;

use super::Host;
use super::connector::Stream;
use super::opening::NoTls;
use crate::message::Destination;
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

    /// Never asked for at that level.
    pub(super) async fn begin(
        &self,
        _stream: Box<dyn Stream>,
        _host: &Host,
        _level: TlsLevel,
        _world: &World,
    ) -> Result<Box<dyn Stream>, NoTls> {
        Err(NoTls::OurFault("This build has no TLS".to_owned()))
    }
}
