//! What others say of the TLS with their hosts, as options say it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use slimta::relay::Tls;
use slimta::relay::mta_sts::{MtaSts, WebPolicies};
use slimta::relay::{Dns as Resolver, DnsTrust, LookupError};
use slimta::storage::embedded_directory;
use slimta_core::queue::ByDestination;
use slimta_core::world::World;

use super::Options;
use super::destinations::by_destination;
use super::dns::Dns;
use crate::failure::Failure;

/// The directory of what is kept, in that of the storage.
const DIRECTORY: &str = "tls";
/// And in that, the policies.
const POLICIES: &str = "mta-sts";

/// Whose policies are heeded, and where they are kept.
#[derive(Clone, Debug)]
pub(crate) struct TlsPolicies {
    heeded: ByDestination<bool>,
    /// None to forget them with the process.
    directory: Option<PathBuf>,
    /// Which name servers are asked; none for those of the machine.
    name_servers: Vec<SocketAddr>,
}

impl TlsPolicies {
    /// What options say; `storage` is the URL of the storage.
    pub(super) fn of(options: &Options, storage: &str) -> Self {
        let heeded = options.mta_sts.unwrap_or(true);
        let beside = || Some(embedded_directory(storage)?.join(DIRECTORY));
        TlsPolicies {
            heeded: by_destination(heeded, &options.destination, |options| options.mta_sts),
            directory: options.tls_directory.clone().or_else(beside),
            name_servers: Dns::of(options).servers,
        }
    }

    /// What finds policies; none if none is heeded. Reads those that are kept.
    pub(crate) fn open(&self, tls: &Tls, world: &World) -> Result<Option<MtaSts>, Failure> {
        if !self.heeded.values().any(|heeded| *heeded) {
            return Ok(None);
        }
        let no_dns = |error: LookupError| Failure::Usage(format!("{error} (mta-sts)"));
        let dns = || Resolver::open(&self.name_servers, DnsTrust::Nobody).map_err(no_dns);
        let (texts, resolver) = (dns()?, dns()?);
        let web = WebPolicies::new(resolver, tls.clone(), world.clone());
        let found = match self.policies() {
            None => MtaSts::new(texts, web, world.clone()),
            Some(directory) => MtaSts::open(&directory, texts, web, world.clone())
                .map_err(|error| Failure::Usage(format!("{error} (tls-directory)")))?,
        };
        Ok(Some(found.with_destinations(self.heeded.clone())))
    }

    fn policies(&self) -> Option<PathBuf> {
        self.directory
            .as_deref()
            .map(|directory: &Path| directory.join(POLICIES))
    }
}
