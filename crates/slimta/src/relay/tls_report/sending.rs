//! Tells domains what was counted (RFC 8460 section 5).

use std::sync::Arc;
use std::time::Duration;

use slimta_core::bus;
use slimta_core::policy::Policy;

use super::ReportOptions;
use super::diary::Diary;
use super::record::{Place, places};
use super::report::{Report, date};
use crate::message::{Address, Message, Response};
use crate::relay::https::{Https, Request};
use crate::relay::mta_sts::TextRecords;
use crate::relay::{LookupError, Resolver, Tls};
use crate::world::World;

/// How long what could not be told waits for the next try.
const RETRY_DELAY: Duration = Duration::from_secs(3_600);
/// How long a web server may take to take a report.
const POST_TIME_MAX: Duration = Duration::from_secs(60);
/// Longest answer of it that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Sends reports: by mail through a queue, and to web servers.
pub struct ReportSender {
    options: ReportOptions,
    texts: Box<dyn TextRecords>,
    resolver: Box<dyn Resolver>,
    https: Https,
    policy: Box<dyn Policy>,
    queue: Arc<dyn bus::Client<Message, Response>>,
    world: World,
}

/// What became of one report to one place.
type Told = Result<(), String>;

impl ReportSender {
    /// Asks `texts` who wants reports. Mail goes through `policy`, which signs it,
    /// to `queue`; web servers are found by `resolver`, and judged by the roots of
    /// `tls`.
    pub fn new(
        options: ReportOptions,
        texts: impl TextRecords,
        resolver: impl Resolver,
        tls: Tls,
        policy: impl Policy,
        queue: Arc<dyn bus::Client<Message, Response>>,
        world: World,
    ) -> Self {
        ReportSender {
            options,
            texts: Box::new(texts),
            resolver: Box::new(resolver),
            https: Https::new(tls, world.clone()),
            policy: Box::new(policy),
            queue,
            world,
        }
    }

    /// Tells all domains what was counted on a day. What cannot be told waits.
    pub(super) async fn send(&self, diary: &Diary, day: i64) {
        let mut is_all_told = true;
        for domain in diary.domains(day) {
            if self.tell(diary, day, &domain).await {
                diary.forget(day, &domain);
            } else {
                is_all_told = false;
            }
        }
        if !is_all_told {
            diary.put_off(day, self.world.now().after(RETRY_DELAY));
        }
    }

    /// Whether there is nothing more to tell this domain.
    async fn tell(&self, diary: &Diary, day: i64, domain: &str) -> bool {
        let texts = match self.texts.texts(&format!("_smtp._tls.{domain}")).await {
            Ok(texts) => texts,
            Err(LookupError::NoSuchName | LookupError::NoRecords) => return true,
            Err(_) => return false,
        };
        let Some(counted) = diary.counted(day, domain) else {
            return true;
        };
        let report = Report {
            options: &self.options,
            domain,
            day,
            policies: &counted.policies,
        };
        let Ok(compressed) = report.compressed() else {
            return true;
        };
        let mut is_all_told = true;
        for (uri, place) in places(&texts) {
            if counted.sent.contains(&uri) {
                continue;
            }
            let told = match &place {
                Place::Mail(to) => self.mail(&report, to, &compressed).await,
                Place::Web { host, port, path } => {
                    let told = self.post(host, *port, path, &compressed);
                    let told = self.world.timeout(POST_TIME_MAX, told).await;
                    told.unwrap_or_else(|| Err("it took too long".to_owned()))
                }
            };
            let date = date(day);
            match told {
                Ok(()) => {
                    tracing::info!(domain, %uri, date, "report on TLS sent");
                    diary.note_sent(day, domain, &uri);
                }
                Err(why) => {
                    tracing::warn!(domain, %uri, date, %why, "a report on TLS could not be sent");
                    is_all_told = false;
                }
            }
        }
        is_all_told
    }

    async fn mail(&self, report: &Report<'_>, to: &Address, compressed: &[u8]) -> Told {
        let message = report.mail(to, compressed, self.world.now());
        let message = message.map_err(|error| error.to_string())?;
        let messages = self.policy.apply(message).await;
        let messages = messages.map_err(|refused| refused.to_string())?;
        let answers = self.queue.send(messages).await;
        let answers = answers.map_err(|error| error.to_string())?;
        match answers.into_iter().find(|answer| !answer.is_success()) {
            None => Ok(()),
            Some(refused) => Err(refused.to_string()),
        }
    }

    async fn post(&self, host: &str, port: u16, path: &str, compressed: &[u8]) -> Told {
        let addresses = self.resolver.addresses(host).await;
        let addresses = addresses.map_err(|error| format!("{host}: {error}"))?;
        let request = Request {
            host,
            addresses: &addresses.records,
            port,
            path,
            body_bytes_max: ANSWER_BYTES_MAX,
        };
        let kind = "application/tlsrpt+gzip";
        let answer = self.https.post(request, kind, compressed).await;
        match answer.map_err(|error| error.to_string())?.status {
            200..=299 => Ok(()),
            status => Err(format!("{host} answered {status}")),
        }
    }
}
