//! A report, as JSON that is compressed (RFC 8460 section 4.4), and the mail that
//! carries it (section 5.3).

use std::io::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::ReportOptions;
use super::counts::PolicyCounts;
use crate::message::{
    Address, Client, Content, Envelope, FieldError, Message, NewField, ReversePath,
};
use crate::relay::mx::ascii;
use crate::world::Timestamp;

/// Seconds of a day.
pub(super) const DAY_SECONDS: i64 = 86_400;
/// Longest line of base64 (RFC 2045 section 6.8).
const LINE_BYTES: usize = 76;

/// What is said of a domain on a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report<'a> {
    pub(super) options: &'a ReportOptions,
    pub(super) domain: &'a str,
    /// Days since the epoch, in UTC.
    pub(super) day: i64,
    pub(super) policies: &'a [PolicyCounts],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Json<'a> {
    organization_name: &'a str,
    date_range: DateRange,
    contact_info: &'a str,
    report_id: String,
    policies: &'a [PolicyCounts],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct DateRange {
    start_datetime: String,
    end_datetime: String,
}

impl Report<'_> {
    fn begin(&self) -> Timestamp {
        Timestamp::from_secs(self.day.saturating_mul(DAY_SECONDS))
    }

    fn end(&self) -> Timestamp {
        Timestamp::from_secs(self.begin().as_secs().saturating_add(DAY_SECONDS - 1))
    }

    /// Who tells: the domain of whom to ask, by which receivers know whose report it
    /// is (RFC 8460 section 5.3). The name of this host need not be in it.
    fn submitter(&self) -> String {
        let ReportOptions {
            contact, hostname, ..
        } = self.options;
        let domain = contact.domain().and_then(ascii);
        domain.unwrap_or_else(|| hostname.clone())
    }

    /// The same for the same day and domain, so that who gets a report twice knows.
    fn id(&self) -> String {
        let date = date(self.day);
        format!("{date}_{}@{}", self.domain, self.options.hostname)
    }

    /// What goes to a web server, or into a mail.
    pub(super) fn compressed(&self) -> io::Result<Vec<u8>> {
        let moment = |time: Timestamp| time.rfc3339().replace(".000Z", "Z");
        let json = Json {
            organization_name: &self.options.organization,
            date_range: DateRange {
                start_datetime: moment(self.begin()),
                end_datetime: moment(self.end()),
            },
            contact_info: self.options.contact.as_str(),
            report_id: self.id(),
            policies: self.policies,
        };
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&serde_json::to_vec(&json)?)?;
        packed.finish()
    }

    /// The mail that brings it to `to`. It comes from the null reverse-path, so that
    /// nobody answers it, and asks not to be kept back for the very failures that
    /// it tells of (RFC 8689).
    pub(super) fn mail(
        &self,
        to: &Address,
        compressed: &[u8],
        now: Timestamp,
    ) -> Result<Message, FieldError> {
        let contact = &self.options.contact;
        let (id, domain, submitter) = (self.id(), self.domain, self.submitter());
        let boundary = format!("=_{}_{}", self.day, now.as_millis());
        let fields = [
            ("From", format!("<{contact}>")),
            ("To", format!("<{to}>")),
            ("Date", now.rfc5322()),
            (
                "Subject",
                format!("Report Domain: {domain} Submitter: {submitter} Report-ID: <{id}>"),
            ),
            ("Message-ID", format!("<{}.{id}>", now.as_millis())),
            ("MIME-Version", "1.0".to_owned()),
            (
                "Content-Type",
                format!("multipart/report; report-type=\"tlsrpt\"; boundary=\"{boundary}\""),
            ),
            ("TLS-Report-Domain", domain.to_owned()),
            ("TLS-Report-Submitter", submitter.clone()),
            ("TLS-Required", "No".to_owned()),
            ("Auto-Submitted", "auto-generated".to_owned()),
        ];
        let mut header = String::new();
        for (name, value) in fields {
            header += &NewField::new(name, &value)?.to_string();
        }
        let (begin, end) = (self.begin().as_secs(), self.end().as_secs());
        let name = format!("{submitter}!{domain}!{begin}!{end}.json.gz");
        let text = format!(
            "This is a report of {organization} on the TLS with the mail exchangers of\r\n{domain} on {date} (RFC 8460).\r\n",
            organization = printable(&self.options.organization),
            date = date(self.day),
        );
        let body = format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{text}\r\n\
             --{boundary}\r\nContent-Type: application/tlsrpt+gzip\r\n\
             Content-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment;\r\n filename=\"{name}\"\r\n\r\n\
             {}--{boundary}--\r\n",
            lines(&STANDARD.encode(compressed)),
        );
        let envelope = Envelope::new(ReversePath::Null, [to.clone()]);
        let content = Content::from_parts(header + "\r\n", body);
        Ok(Message::new(Client::default(), envelope, content, now))
    }
}

/// A day as the calendar writes it.
pub(super) fn date(day: i64) -> String {
    let text = Timestamp::from_secs(day.saturating_mul(DAY_SECONDS)).rfc3339();
    text.chars().take_while(|c| *c != 'T').collect()
}

fn printable(text: &str) -> String {
    let shown = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    text.chars().map(shown).collect()
}

fn lines(base64: &str) -> String {
    let mut lines = String::with_capacity(base64.len() + base64.len() / 30);
    let mut rest = base64;
    while !rest.is_empty() {
        let (line, more) = rest.split_at(LINE_BYTES.min(rest.len()));
        lines += line;
        lines += "\r\n";
        rest = more;
    }
    lines
}
