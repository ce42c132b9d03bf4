//! The parameters of MAIL and RCPT that the extensions bring: SIZE (RFC 1870),
//! BODY (RFC 6152, RFC 3030), SMTPUTF8 (RFC 6531), RET, ENVID, NOTIFY, ORCPT (RFC 3461),
//! MT-PRIORITY (RFC 6710), AUTH (RFC 4954 section 5), HOLDFOR and HOLDUNTIL
//! (RFC 4865), BY (RFC 2852), REQUIRETLS (RFC 8689).

use slimta_core::message::{BodyType, FutureRelease, Notify, OriginalRecipient, Ret};

use super::priority::Requested;
use super::promises::{By, by, hold_for, hold_until};
use super::replies::{self, Reply};
use crate::xtext;

/// Longest ENVID as it is written, RFC 3461 section 4.4.
const ENVID_BYTES_MAX: usize = 100;
/// Longest ORCPT as it is written, RFC 3461 section 4.2.
const ORCPT_BYTES_MAX: usize = 500;

/// Longest AUTH as it is written, RFC 4954 section 5.
const AUTH_BYTES_MAX: usize = 500;

/// What MAIL says beside the sender.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MailParameters {
    pub(super) size: Option<u64>,
    pub(super) body: Option<BodyType>,
    pub(super) smtputf8: bool,
    pub(super) ret: Option<Ret>,
    pub(super) envid: Option<String>,
    pub(super) priority: Option<Requested>,
    pub(super) auth: Option<Asserted>,
    pub(super) release: Option<FutureRelease>,
    pub(super) by: Option<By>,
    pub(super) require_tls: bool,
}

/// Who the author is, as the client says. The name is not kept: no next hop is
/// told, as if it were the `AUTH=<>` of a client that is not trusted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asserted;

/// What RCPT says beside the recipient.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RcptParameters {
    pub(super) notify: Option<Notify>,
    pub(super) original: Option<OriginalRecipient>,
}

impl MailParameters {
    /// Reads what follows the path.
    pub(super) fn parse(text: &str) -> Result<Self, Reply> {
        let mut read = MailParameters::default();
        for word in words(text) {
            match Parameter::parse(word)? {
                Parameter("SIZE", Some(value)) => once(&mut read.size, size(value)?)?,
                Parameter("BODY", Some(value)) => once(&mut read.body, body(value)?)?,
                Parameter("RET", Some(value)) => once(&mut read.ret, ret(value)?)?,
                Parameter("ENVID", Some(value)) => once(&mut read.envid, envid(value)?)?,
                Parameter("MT-PRIORITY", Some(value)) => {
                    once(&mut read.priority, Requested::parse(value)?)?;
                }
                Parameter("AUTH", Some(value)) => once(&mut read.auth, asserted(value)?)?,
                // One of them at most.
                Parameter("HOLDFOR", Some(value)) => once(&mut read.release, hold_for(value)?)?,
                Parameter("HOLDUNTIL", Some(value)) => {
                    once(&mut read.release, hold_until(value)?)?;
                }
                Parameter("BY", Some(value)) => once(&mut read.by, by(value)?)?,
                Parameter("REQUIRETLS", None) if !read.require_tls => read.require_tls = true,
                Parameter("SMTPUTF8", None) if !read.smtputf8 => read.smtputf8 = true,
                Parameter("" | "NOTIFY" | "ORCPT", _) => return Err(replies::UNKNOWN_PARAMETER),
                _ => return Err(replies::BAD_PARAMETER),
            }
        }
        Ok(read)
    }
}

impl RcptParameters {
    /// Reads what follows the path.
    pub(super) fn parse(text: &str) -> Result<Self, Reply> {
        let mut read = RcptParameters::default();
        for word in words(text) {
            match Parameter::parse(word)? {
                Parameter("NOTIFY", Some(value)) => once(&mut read.notify, notify(value)?)?,
                Parameter("ORCPT", Some(value)) => once(&mut read.original, orcpt(value)?)?,
                Parameter("NOTIFY" | "ORCPT", None) => return Err(replies::BAD_PARAMETER),
                _ => return Err(replies::UNKNOWN_PARAMETER),
            }
        }
        Ok(read)
    }
}

/// A keyword in upper case, empty for one that is not known, and its value.
struct Parameter<'a>(&'static str, Option<&'a str>);

const KEYWORDS: &[&str] = &[
    "SIZE",
    "BODY",
    "SMTPUTF8",
    "RET",
    "ENVID",
    "MT-PRIORITY",
    "AUTH",
    "HOLDFOR",
    "HOLDUNTIL",
    "BY",
    "REQUIRETLS",
    "NOTIFY",
    "ORCPT",
];

impl<'a> Parameter<'a> {
    fn parse(word: &'a str) -> Result<Self, Reply> {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        let is_keyword = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let is_value = value.is_none_or(|value| !value.is_empty() && !value.contains('='));
        let begins = keyword.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !begins || !keyword.bytes().all(is_keyword) || !is_value {
            return Err(replies::BAD_PARAMETER);
        }
        let known = KEYWORDS.iter().find(|k| k.eq_ignore_ascii_case(keyword));
        Ok(Parameter(known.copied().unwrap_or(""), value))
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// Sets what may be said only once.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Reply> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(replies::BAD_PARAMETER),
    }
}

fn size(value: &str) -> Result<u64, Reply> {
    if value.len() > 20 || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(replies::BAD_PARAMETER);
    }
    // Twenty digits may be more than fits, which is too large at any rate.
    Ok(value.parse().unwrap_or(u64::MAX))
}

fn body(value: &str) -> Result<BodyType, Reply> {
    one_of(
        value,
        &[
            ("7BIT", BodyType::SevenBit),
            ("8BITMIME", BodyType::EightBitMime),
            ("BINARYMIME", BodyType::BinaryMime),
        ],
    )
}

fn ret(value: &str) -> Result<Ret, Reply> {
    one_of(value, &[("FULL", Ret::Full), ("HDRS", Ret::Headers)])
}

fn one_of<T: Copy>(value: &str, known: &[(&str, T)]) -> Result<T, Reply> {
    known
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(value))
        .map(|(_, meaning)| *meaning)
        .ok_or(replies::BAD_PARAMETER)
}

fn envid(value: &str) -> Result<String, Reply> {
    Some(value)
        .filter(|value| value.len() <= ENVID_BYTES_MAX)
        .and_then(xtext::decode_ascii)
        .ok_or(replies::BAD_PARAMETER)
}

fn asserted(value: &str) -> Result<Asserted, Reply> {
    Some(value)
        .filter(|value| value.len() <= AUTH_BYTES_MAX)
        .and_then(xtext::decode)
        .map(|_| Asserted)
        .ok_or(replies::BAD_PARAMETER)
}

fn notify(value: &str) -> Result<Notify, Reply> {
    let mut notify = Notify::NEVER;
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(notify);
    }
    for word in value.split(',') {
        let place = match word {
            _ if word.eq_ignore_ascii_case("SUCCESS") => &mut notify.success,
            _ if word.eq_ignore_ascii_case("FAILURE") => &mut notify.failure,
            _ if word.eq_ignore_ascii_case("DELAY") => &mut notify.delay,
            _ => return Err(replies::BAD_PARAMETER),
        };
        if std::mem::replace(place, true) {
            return Err(replies::BAD_PARAMETER);
        }
    }
    Ok(notify)
}

fn orcpt(value: &str) -> Result<OriginalRecipient, Reply> {
    let is_kind = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let (kind, address) = Some(value)
        .filter(|value| value.len() <= ORCPT_BYTES_MAX)
        .and_then(|value| value.split_once(';'))
        .filter(|(kind, address)| !kind.is_empty() && !address.is_empty())
        .filter(|(kind, _)| kind.bytes().all(is_kind))
        .ok_or(replies::BAD_PARAMETER)?;
    // Only addresses of that type go beyond ASCII (RFC 6533 section 3).
    let address = match kind.eq_ignore_ascii_case("utf-8") {
        true => xtext::decode(address),
        false => xtext::decode_ascii(address),
    };
    Ok(OriginalRecipient {
        kind: kind.to_owned(),
        address: address.ok_or(replies::BAD_PARAMETER)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_mail_are_read_in_any_order_and_case() {
        let read = MailParameters::parse(
            " envid=QQ+2B314  BODY=8bitmime SIZE=00000000000000001000 smtputf8 RET=hdrs",
        );
        let expected = MailParameters {
            size: Some(1000),
            body: Some(BodyType::EightBitMime),
            smtputf8: true,
            ret: Some(Ret::Headers),
            envid: Some("QQ+314".into()),
            priority: None,
            auth: None,
            release: None,
            by: None,
            require_tls: false,
        };
        assert_eq!(read, Ok(expected));
        assert_eq!(MailParameters::parse(""), Ok(MailParameters::default()));
        let huge = MailParameters::parse(" SIZE=99999999999999999999").unwrap();
        assert_eq!(huge.size, Some(u64::MAX));
        for auth in ["<>", "e+3Dmc2@example.com", &"x".repeat(500)] {
            let read = MailParameters::parse(&format!(" auth={auth}")).unwrap();
            assert_eq!(read.auth, Some(Asserted), "{auth}");
        }
        let urgent = MailParameters::parse(" mt-priority=-3").unwrap();
        assert_eq!(urgent.priority, Requested::parse("-3").ok());
    }

    #[test]
    fn parameters_of_rcpt_are_read() {
        let read = RcptParameters::parse(" NOTIFY=success,DELAY ORCPT=rfc822;a+2Bb@c").unwrap();
        let notify = Notify {
            success: true,
            failure: false,
            delay: true,
        };
        assert_eq!(read.notify, Some(notify));
        let original = read.original.unwrap();
        assert_eq!((&*original.kind, &*original.address), ("rfc822", "a+b@c"));
        let read = RcptParameters::parse(" ORCPT=UTF-8;gr\\x{E5}\\x{2B}@b").unwrap();
        assert_eq!(read.original.unwrap().address, "gr\u{e5}+@b");
        let never = RcptParameters::parse(" NOTIFY=NEVER").unwrap();
        assert_eq!(never.notify, Some(Notify::NEVER));
    }

    #[test]
    fn bad_parameters_of_mail_say_how() {
        let long = format!(" ENVID={}", "x".repeat(101));
        let long_auth = format!(" AUTH={}", "x".repeat(501));
        let bad = replies::BAD_PARAMETER;
        for (text, reply) in [
            (" SIZE", bad),
            (" SIZE=", bad),
            (" SIZE=x", bad),
            (" SIZE=-1", bad),
            (" SIZE=+1", bad),
            (" SIZE=1 SIZE=1", bad),
            (" SIZE=111111111111111111111", bad),
            (" BODY=9BIT", bad),
            (" SMTPUTF8=1", bad),
            (" SMTPUTF8 SMTPUTF8", bad),
            (" RET=ALL", bad),
            (" ENVID=a+0A", bad),
            (" ENVID=gr+C3+A5", bad),
            (" ENVID=a=b", bad),
            (" MT-PRIORITY", bad),
            (" MT-PRIORITY=10", bad),
            (" MT-PRIORITY=1 MT-PRIORITY=1", bad),
            (&long, bad),
            (" =x", bad),
            (" <x>", bad),
            (" NOTIFY=NEVER", replies::UNKNOWN_PARAMETER),
            (" HOLDFOR", bad),
            (" HOLDFOR=0", bad),
            (" HOLDUNTIL=tomorrow", bad),
            (" HOLDFOR=1 HOLDFOR=1", bad),
            (" HOLDFOR=1 HOLDUNTIL=2026-11-24T08:17:29Z", bad),
            (" BY", bad),
            (" BY=0;R", bad),
            (" BY=1;N BY=1;N", bad),
            (" REQUIRETLS=1", bad),
            (" REQUIRETLS REQUIRETLS", bad),
            (" AUTH", bad),
            (" AUTH=", bad),
            (" AUTH=a+0D+0Ab", bad),
            (" AUTH=a+4", bad),
            (" AUTH=<> AUTH=<>", bad),
            (&long_auth, bad),
            (" X-Y=1", replies::UNKNOWN_PARAMETER),
        ] {
            assert_eq!(MailParameters::parse(text), Err(reply), "{text}");
        }
    }

    #[test]
    fn bad_parameters_of_rcpt_say_how() {
        let long = format!(" ORCPT=rfc822;{}", "x".repeat(494));
        let bad = replies::BAD_PARAMETER;
        for (text, reply) in [
            (" NOTIFY", bad),
            (" NOTIFY=NEVER,DELAY", bad),
            (" NOTIFY=DELAY,DELAY", bad),
            (" NOTIFY=DELAY,", bad),
            (" NOTIFY=DELAY NOTIFY=DELAY", bad),
            (" ORCPT=a@b", bad),
            (" ORCPT=;a@b", bad),
            (" ORCPT=rfc822;", bad),
            (" ORCPT=rfc822;a+0D+0Ab", bad),
            (" ORCPT=rfc822;gr+C3+A5@b", bad),
            (&long, bad),
            (" SIZE=1", replies::UNKNOWN_PARAMETER),
        ] {
            assert_eq!(RcptParameters::parse(text), Err(reply), "{text}");
        }
    }
}
