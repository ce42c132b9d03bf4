//! What `mail-auth` finds of a message, in the words of RFC 8601.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use mail_auth::dmarc::Policy as Asked;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{
    ArcOutput, AuthenticatedMessage, DkimOutput, DkimResult, DmarcOutput, DmarcResult, Error,
    MessageAuthenticator, SpfOutput, SpfResult,
};

use super::results::Results;
use crate::message::{Content, Message, ReversePath};

/// Each signature costs look-ups, and may ask for a hash of the body of its own.
/// Mail with more has none that counts.
const SIGNATURES_MAX: usize = 10;
/// The same for the sets of ARC, which RFC 8617 section 4.2.1 lets be 50.
const SETS_MAX: usize = 20;
/// The fields of a set of ARC.
const SET: [&str; 3] = [
    "ARC-Message-Signature",
    "ARC-Seal",
    "ARC-Authentication-Results",
];
/// Those of the next DKIM, which nobody is told of here.
const NEXT: [&str; 2] = ["DKIM2-Signature", "Message-Instance"];
/// How much of a signature tells it from others (RFC 6008).
const SIGNATURE_BYTES: usize = 6;

/// What there is to say of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Findings {
    pub(super) results: Results,
    /// The author's domain, if it asks to refuse the message.
    pub(super) refused_by: Option<String>,
    /// The sender's domain, if it was asked for and takes no mail.
    pub(super) without_mail: Option<String>,
}

impl Findings {
    /// That nothing could be looked up.
    pub(super) fn unknown() -> Self {
        let mut results = Results::default();
        for method in ["spf", "dkim", "dmarc"] {
            results.add(method, "temperror", None, &[]);
        }
        Findings {
            results,
            refused_by: None,
            without_mail: None,
        }
    }
}

/// Looks up all there is to find. `host` is the name of this host.
pub(super) async fn check(
    authenticator: &MessageAuthenticator,
    host: &str,
    message: &Message,
) -> Findings {
    let mut content = message.content.clone();
    let is_oversigned = remove_many(&mut content, &["DKIM-Signature"], SIGNATURES_MAX);
    let is_oversealed = remove_many(&mut content, &SET, SETS_MAX);
    remove_many(&mut content, &NEXT, SIGNATURES_MAX);
    let bytes = content.to_vec();
    let mut results = Results::default();
    let spf = spf(authenticator, host, message, &mut results).await;
    let Some(parsed) = AuthenticatedMessage::parse(&bytes) else {
        results.add("dkim", "none", None, &[]);
        results.add("dmarc", "none", None, &[]);
        return Findings {
            results,
            refused_by: None,
            without_mail: None,
        };
    };
    let dkim = authenticator.verify_dkim(&parsed).await;
    if is_oversigned {
        let reason = Some("too many signatures");
        results.add("dkim", "permerror", reason, &[]);
    } else {
        tell_dkim(&dkim, &mut results);
    }
    let from = DmarcParameters::new(&parsed, &dkim, sender_domain(message), &spf);
    let dmarc = authenticator.verify_dmarc(from).await;
    tell_dmarc(&dmarc, &mut results);
    if is_oversealed {
        results.add("arc", "fail", Some("too many sets"), &[]);
    } else {
        tell_arc(&authenticator.verify_arc(&parsed).await, &mut results);
    }
    let is_refused =
        matches!(dmarc.result(), DmarcResult::Fail(_)) && dmarc.policy() == Asked::Reject;
    Findings {
        results,
        refused_by: is_refused.then(|| dmarc.domain().to_owned()),
        without_mail: None,
    }
}

/// Takes out the fields of these names if there are more of one of them than
/// that; says whether there were.
fn remove_many(content: &mut Content, names: &[&str], most: usize) -> bool {
    let mut counts = names.iter().map(|name| content.fields_named(name).count());
    let is_many = counts.any(|count| count > most);
    if is_many {
        for name in names {
            content.remove(name);
        }
    }
    is_many
}

/// The domain that SPF speaks of: of the reverse-path, or for notices what the
/// client calls itself (RFC 7208 section 2.4).
fn sender_domain(message: &Message) -> &str {
    match &message.envelope.sender {
        ReversePath::Mailbox(address) => address.domain().unwrap_or_default(),
        ReversePath::Null => message.client.ehlo.as_deref().unwrap_or_default(),
    }
}

async fn spf(
    authenticator: &MessageAuthenticator,
    host: &str,
    message: &Message,
    results: &mut Results,
) -> SpfOutput {
    let helo = message.client.ehlo.as_deref().unwrap_or_default();
    let Some(ip) = message.client.ip.map(|ip| ip.to_canonical()) else {
        results.add("spf", "none", None, &[]);
        return SpfOutput::new(String::new()).with_result(SpfResult::None);
    };
    let (parameters, name) = match &message.envelope.sender {
        ReversePath::Null => (SpfParameters::verify_ehlo(ip, helo, host), "smtp.helo"),
        ReversePath::Mailbox(address) => {
            let sender = address.as_str();
            let parameters = SpfParameters::verify_mail_from(ip, helo, host, sender);
            (parameters, "smtp.mailfrom")
        }
    };
    let spf = authenticator.verify_spf(parameters).await;
    let result = match spf.result() {
        SpfResult::Pass => "pass",
        SpfResult::Fail => "fail",
        SpfResult::SoftFail => "softfail",
        SpfResult::Neutral => "neutral",
        SpfResult::TempError => "temperror",
        SpfResult::PermError => "permerror",
        SpfResult::None => "none",
    };
    results.add("spf", result, None, &[(name, sender_domain(message))]);
    spf
}

fn tell_dkim(signatures: &[DkimOutput<'_>], results: &mut Results) {
    if signatures.is_empty() {
        results.add("dkim", "none", None, &[]);
    }
    for found in signatures {
        let (result, why) = word(found.result());
        let reason = why.map(ToString::to_string);
        let Some(signature) = found.signature() else {
            results.add("dkim", result, reason.as_deref(), &[]);
            continue;
        };
        let front = signature.b.get(..SIGNATURE_BYTES).unwrap_or_default();
        let properties = [
            ("header.d", signature.d.as_str()),
            ("header.s", &signature.s),
            ("header.b", &BASE64_STANDARD.encode(front)),
        ];
        results.add("dkim", result, reason.as_deref(), &properties);
    }
}

fn word(result: &DkimResult) -> (&'static str, Option<&Error>) {
    match result {
        DkimResult::Pass => ("pass", None),
        DkimResult::Neutral(why) => ("neutral", Some(why)),
        DkimResult::Fail(why) => ("fail", Some(why)),
        DkimResult::PermError(why) => ("permerror", Some(why)),
        DkimResult::TempError(why) => ("temperror", Some(why)),
        DkimResult::None => ("none", None),
    }
}

fn tell_dmarc(found: &DmarcOutput, results: &mut Results) {
    let result = match found.result() {
        DmarcResult::Pass => "pass",
        DmarcResult::Fail(_) => "fail",
        DmarcResult::TempError(_) => "temperror",
        DmarcResult::PermError(_) => "permerror",
        DmarcResult::None => "none",
    };
    let asked = match found.policy() {
        _ if result == "none" => "",
        Asked::Reject => "reject",
        Asked::Quarantine => "quarantine",
        Asked::None | Asked::Unspecified => "none",
    };
    let properties = [("header.from", found.domain()), ("policy.dmarc", asked)];
    results.add("dmarc", result, None, &properties);
}

/// A chain of ARC holds or does not (RFC 8617 section 4.4); what could not be
/// looked up is told, so that nobody takes it for broken.
fn tell_arc(found: &ArcOutput<'_>, results: &mut Results) {
    let (result, why) = match word(found.result()) {
        ("none", _) => return,
        (result @ ("pass" | "temperror"), why) => (result, why),
        (_, why) => ("fail", why),
    };
    let reason = why.map(ToString::to_string);
    results.add("arc", result, reason.as_deref(), &[]);
}
