//! What others say of the TLS with their hosts, and what they are told of it, as
//! options say it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use slimta::bus;
use slimta::message::{Address, Message, Response};
use slimta::policy::SignDkim;
use slimta::relay::Tls;
use slimta::relay::mta_sts::{MtaSts, WebPolicies};
use slimta::relay::tls_reports::{ReportOptions, ReportSender, TlsReports};
use slimta::storage::embedded_directory;
use slimta_core::queue::ByDestination;
use slimta_core::world::World;

use super::destinations::by_destination;
use super::dns::Dns;
use super::{Options, Settings};
use crate::failure::Failure;

/// The directory of what is kept, in that of the storage.
const DIRECTORY: &str = "tls";
/// In that, the policies,
const POLICIES: &str = "mta-sts";
/// and the counts for reports.
const REPORTS: &str = "reports";

/// Whose policies are heeded, who reports, and where all that is kept.
#[derive(Clone, Debug)]
pub(crate) struct TlsPolicies {
    heeded: ByDestination<bool>,
    /// None to send no reports.
    reports: Option<ReportOptions>,
    /// None to forget all with the process.
    directory: Option<PathBuf>,
}

/// What a server knows of the TLS of others, also when it reads its settings anew.
#[derive(Clone, Default)]
pub(crate) struct TlsKept {
    /// What finds policies, if they are heeded.
    pub(crate) finder: Option<MtaSts>,
    /// What is counted for reports, if some are sent.
    pub(crate) counts: Option<TlsReports>,
}

impl TlsPolicies {
    /// What options say; `storage` is the URL of the storage.
    pub(super) fn of(options: &Options, storage: &str, hostname: &str) -> Result<Self, Failure> {
        let heeded = options.mta_sts.unwrap_or(true);
        let beside = || Some(embedded_directory(storage)?.join(DIRECTORY));
        let reports = match options.tls_report {
            Some(true) => Some(reports(options, hostname)?),
            _ => None,
        };
        Ok(TlsPolicies {
            heeded: by_destination(heeded, &options.destination, |options| options.mta_sts),
            reports,
            directory: options.tls_directory.clone().or_else(beside),
        })
    }

    /// From whose mail reports come, if some are sent.
    pub(super) fn reporter(&self) -> Option<&str> {
        self.reports.as_ref()?.contact.domain()
    }

    /// What finds policies, and what counts for reports; neither where no relay goes to
    /// mail exchangers. What a server has `kept` since it began goes on, for it knows
    /// what its files do not say yet.
    pub(crate) fn open(
        &self,
        settings: &Settings,
        tls: &Tls,
        world: &World,
        kept: &TlsKept,
    ) -> Result<TlsKept, Failure> {
        let routes = settings.routes.iter().map(|(_, url)| url);
        if !routes.chain(&settings.relay).any(|url| url == "mx") {
            return Ok(TlsKept::default());
        }
        let mut finder = self.finder(&settings.dns, tls, world, kept.finder.clone())?;
        let counts = match &kept.counts {
            Some(counts) => Some(counts.clone()),
            None => self.counts(world)?,
        };
        if let Some(counts) = &counts {
            finder = finder.map(|finder| finder.with_reports(counts.clone()));
        }
        Ok(TlsKept { finder, counts })
    }

    /// Keeps what a server cannot take over while it runs, and names it.
    pub(super) fn keep(&mut self, running: &TlsPolicies) -> Vec<&'static str> {
        let mut later = Vec::new();
        if self.directory != running.directory {
            later.push("tls-directory");
        }
        if self.reports != running.reports {
            later.push("tls-report");
        }
        self.directory.clone_from(&running.directory);
        self.reports.clone_from(&running.reports);
        later
    }

    /// What finds policies; none if none is heeded. Reads those that are kept in files,
    /// if they are not at hand.
    fn finder(
        &self,
        dns: &Dns,
        tls: &Tls,
        world: &World,
        kept: Option<MtaSts>,
    ) -> Result<Option<MtaSts>, Failure> {
        if !self.heeded.values().any(|heeded| *heeded) {
            return Ok(None);
        }
        if let Some(kept) = kept {
            return Ok(Some(kept.with_destinations(self.heeded.clone())));
        }
        let web = WebPolicies::new(dns.open("mta-sts")?, tls.clone(), world.clone());
        let texts = dns.open("mta-sts")?;
        let found = match self.place(POLICIES) {
            None => MtaSts::new(texts, web, world.clone()),
            Some(directory) => MtaSts::open(&directory, texts, web, world.clone())
                .map_err(|error| unusable(&error))?,
        };
        Ok(Some(found.with_destinations(self.heeded.clone())))
    }

    /// What counts for reports; none if none are sent. Reads what is kept.
    fn counts(&self, world: &World) -> Result<Option<TlsReports>, Failure> {
        if self.reports.is_none() {
            return Ok(None);
        }
        let counts = match self.place(REPORTS) {
            None => Ok(TlsReports::new(world.clone())),
            Some(directory) => TlsReports::open(&directory, world.clone()),
        };
        counts.map(Some).map_err(|error| unusable(&error))
    }

    /// What sends the reports, if any are sent: through `queue`, signed by `dkim`.
    pub(crate) fn sender(
        &self,
        dns: &Dns,
        tls: Tls,
        dkim: SignDkim,
        queue: Arc<dyn bus::Client<Message, Response>>,
        world: &World,
    ) -> Result<Option<ReportSender>, Failure> {
        let Some(options) = self.reports.clone() else {
            return Ok(None);
        };
        let (texts, names) = (dns.open("tls-report")?, dns.open("tls-report")?);
        let world = world.clone();
        let sender = ReportSender::new(options, texts, names, tls, dkim, queue, world);
        Ok(Some(sender))
    }

    fn place(&self, name: &str) -> Option<PathBuf> {
        let directory = self.directory.as_deref();
        directory.map(|directory: &Path| directory.join(name))
    }
}

fn reports(options: &Options, hostname: &str) -> Result<ReportOptions, Failure> {
    let contact = match &options.tls_report_contact {
        Some(contact) => Ok(contact.clone()),
        None => format!("postmaster@{hostname}").parse(),
    };
    let contact = contact
        .ok()
        .filter(|contact: &Address| contact.domain().is_some());
    let Some(contact) = contact else {
        let why = "a mail address with its domain is needed, such as tls@example.org";
        return Err(Failure::setting("tls-report-contact", why));
    };
    let organization = options.organization.as_deref().unwrap_or(hostname);
    Ok(ReportOptions {
        hostname: hostname.to_owned(),
        contact,
        organization: organization.to_owned(),
    })
}

fn unusable(error: &impl std::fmt::Display) -> Failure {
    Failure::setting("tls-directory", error)
}

#[cfg(test)]
mod tests {
    use slimta::message::Destination;

    use super::super::document::Document;
    use super::*;

    fn policies(text: &str) -> Result<TlsPolicies, String> {
        let document = Document::parse(text);
        if !document.problems.is_empty() {
            return Err(format!("{:?}", document.problems));
        }
        let settings = document.options.settle();
        let settings = settings.map_err(|failure| format!("{failure:?}"))?;
        Ok(settings.tls_policies)
    }

    #[test]
    fn policies_are_heeded_and_nobody_reports_unless_the_file_says_otherwise() {
        let text = "hostname = 'mx.us.example'\nstorage = 'embedded:/var/mail'\n";
        let default = policies(text).unwrap();
        let heeded = |policies: &TlsPolicies, name| *policies.heeded.get(&Destination::new(name));
        assert!(heeded(&default, "a.example") && default.reports.is_none());
        let place = default.place(POLICIES).unwrap();
        assert_eq!(place, Path::new("/var/mail/tls/mta-sts"));
        let said = format!("{text}tls-report = true\n[destination.'a.example']\nmta-sts = false\n");
        let said = policies(&said).unwrap();
        assert!(!heeded(&said, "a.example") && heeded(&said, "b.example"));
        let reports = said.reports.unwrap();
        assert_eq!(reports.contact.as_str(), "postmaster@mx.us.example");
        assert_eq!(reports.organization, "mx.us.example");
        let elsewhere = policies("storage = 'memory:'\ntls-directory = '/x'").unwrap();
        assert_eq!(
            elsewhere.place(REPORTS).as_deref(),
            Some(Path::new("/x/reports"))
        );
        assert_eq!(
            policies("storage = 'memory:'").unwrap().place(REPORTS),
            None
        );
    }

    #[test]
    fn a_contact_can_be_written_to() {
        let error = policies("tls-report = true\ntls-report-contact = 'postmaster'");
        assert!(error.unwrap_err().contains("tls-report-contact"));
        assert!(policies("tls-report-contact = 'a b'").is_err());
    }
}
