//! Signatures, read by a verifier that shares no code with the signer.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use proptest::prelude::*;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};

use super::super::tests::{applied, message as message_for};
use super::*;
use crate::message::{Bounce, BounceBuilder, Failure, MessageId, Notify, OnSuccess, ReversePath};
use crate::world::{Timestamp, World};

/// RFC 8463 appendix A: the message with its two signatures.
const EXAMPLE: &str = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n \
    d=football.example.com; i=@football.example.com;\r\n \
    q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n \
    subject : date : message-id : from : subject : date;\r\n \
    bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
    b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n \
    Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n\
    DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n \
    d=football.example.com; i=@football.example.com;\r\n \
    q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n \
    date : message-id : from : subject : date;\r\n \
    bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
    b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n \
    DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n \
    dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n";
const EXAMPLE_HEADER: &str = "From: Joe SixPack <joe@football.example.com>\r\n\
    To: Suzie Q <suzie@shopping.example.net>\r\n\
    Subject: Is dinner ready?\r\n\
    Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
    Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n";
const EXAMPLE_BODY: &str = "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
const EXAMPLE_RECORDS: [(&str, &str); 2] = [
    (
        "brisbane",
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    ),
    (
        "test",
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5\
         qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG\
         4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
    ),
];
/// Its Ed25519 key, in the PKCS#8 that `openssl genpkey` writes.
const EXAMPLE_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

fn openssl(args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}");
    output.stdout
}

fn ed25519(selector: &str) -> DkimKey {
    DkimKey::from_pem(selector, EXAMPLE_KEY.as_bytes()).unwrap()
}

fn rsa(selector: &str) -> DkimKey {
    static PEM: OnceLock<Vec<u8>> = OnceLock::new();
    let pem = PEM.get_or_init(|| openssl(&["genrsa", "2048"]));
    DkimKey::from_pem(selector, pem).unwrap()
}

/// Signs for example.org with both kinds of keys.
fn both() -> SignDkim {
    let keys = [rsa("rsa"), ed25519("ed")];
    SignDkim::new().with_keys("example.org", keys).unwrap()
}

fn records() -> BTreeMap<String, String> {
    let keys = [rsa("rsa"), ed25519("ed")];
    let record = |key: &DkimKey| (key.selector().to_owned(), key.record());
    keys.iter().map(record).collect()
}

/// A message that was received at a known time.
fn message(text: impl Into<Vec<u8>>) -> Message {
    Message {
        content: Content::new(text.into()),
        ..message_for("", &[])
    }
}

/// The message with its signatures.
fn signed(dkim: &SignDkim, text: impl Into<Vec<u8>>) -> Vec<u8> {
    let mut message = message(text);
    dkim.sign(&mut message).unwrap();
    message.content.to_vec()
}

/// One octet a character, so that text can be cut anywhere.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn octets(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

/// The relaxed form of a body as the RFC says it, step by step.
pub(super) fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let text = latin1(body).replace("\r\n", "\n").replace('\r', "\n");
    let line = |line: &str| {
        let is_blank = |c| matches!(c, ' ' | '\t');
        let words: Vec<_> = line.split(is_blank).filter(|w| !w.is_empty()).collect();
        let indent = if line.starts_with(is_blank) && !words.is_empty() {
            " "
        } else {
            ""
        };
        format!("{indent}{}\r\n", words.join(" "))
    };
    let mut text: String = text.split('\n').map(line).collect();
    while text == "\r\n" || text.ends_with("\r\n\r\n") {
        text.truncate(text.len() - 2);
    }
    octets(&text)
}

fn relaxed_field(field: &str) -> String {
    let (name, value) = field.split_once(':').unwrap();
    let value: Vec<_> = value.split_ascii_whitespace().collect();
    format!("{}:{}", name.trim_end().to_lowercase(), value.join(" "))
}

/// Which signatures of a message hold, from the top.
fn verified(message: &[u8], records: &BTreeMap<String, String>) -> Vec<bool> {
    let text = latin1(message);
    let (header, body) = text.split_once("\r\n\r\n").unwrap();
    let header = header.replace("\r\n ", " ").replace("\r\n\t", "\t");
    let fields: Vec<_> = header.split("\r\n").map(relaxed_field).collect();
    let signatures = fields.iter().filter(|f| f.starts_with("dkim-signature:"));
    signatures
        .map(|signature| holds(signature, &fields, &octets(body), records))
        .collect()
}

fn holds(
    signature: &str,
    fields: &[String],
    body: &[u8],
    records: &BTreeMap<String, String>,
) -> bool {
    let (_, value) = signature.split_once(':').unwrap();
    let tags: BTreeMap<_, _> = value
        .split(';')
        .map(|tag| tag.trim().split_once('=').unwrap())
        .map(|(tag, value)| (tag, value.replace(' ', "")))
        .collect();
    let decode = |text: &str| BASE64_STANDARD.decode(text).unwrap();
    if decode(&tags["bh"]) != digest(&SHA256, &relaxed_body(body)).as_ref() {
        return false;
    }
    let mut left: Vec<_> = fields.iter().collect();
    let mut text = String::new();
    for name in tags["h"].split(':') {
        let start = format!("{}:", name.to_lowercase());
        if let Some(at) = left.iter().rposition(|field| field.starts_with(&start)) {
            text += &format!("{}\r\n", left.remove(at));
        }
    }
    let (unsigned, _) = signature.rsplit_once("; b=").unwrap();
    let text = octets(&format!("{text}{unsigned}; b="));
    let (_, key) = records[&tags["s"]].rsplit_once("p=").unwrap();
    let (key, b) = (decode(key), decode(&tags["b"]));
    match tags["a"].as_str() {
        "ed25519-sha256" => UnparsedPublicKey::new(&ED25519, key)
            .verify(digest(&SHA256, &text).as_ref(), &b)
            .is_ok(),
        "rsa-sha256" => {
            // What stands around the RSAPublicKey, by the size of its lengths.
            let around = if key[1] == 0x82 { 24 } else { 22 };
            let rsa = &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
            UnparsedPublicKey::new(rsa, &key[around..])
                .verify(&text, &b)
                .is_ok()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn the_verifier_of_these_tests_takes_the_example_of_the_rfc() {
    let text = format!("{EXAMPLE}{EXAMPLE_HEADER}\r\n{EXAMPLE_BODY}");
    let records = EXAMPLE_RECORDS.map(|(selector, record)| (selector.into(), record.into()));
    let records = BTreeMap::from(records);
    assert_eq!(verified(text.as_bytes(), &records), [true, true]);
    let changed = text.replace("hungry", "thirsty");
    assert_eq!(verified(changed.as_bytes(), &records), [false, false]);
}

#[test]
fn the_signature_of_the_example_is_found_again() {
    // Signing the example's own text gives its signature, octet by octet.
    let (unsigned, b) = EXAMPLE.split_once(" b=").unwrap();
    let b: String = b.split("DKIM").next().unwrap().split_whitespace().collect();
    let fields: Vec<_> = EXAMPLE_HEADER.lines().map(relaxed_field).collect();
    let covered = fields.iter().map(|field| format!("{field}\r\n"));
    let text: String = covered.collect();
    let text = format!("{text}{}", relaxed_field(&format!("{unsigned} b=")));
    let key = ed25519("brisbane");
    assert_eq!(
        BASE64_STANDARD.encode(key.sign(text.as_bytes()).unwrap()),
        b
    );
    assert_eq!(key.record(), EXAMPLE_RECORDS[0].1);
    let mut hash = BodyHash::new();
    hash.update(EXAMPLE_BODY.as_bytes());
    let hash = BASE64_STANDARD.encode(hash.finish());
    assert!(EXAMPLE.contains(&format!("bh={hash};")));
}

#[tokio::test]
async fn a_message_is_signed_with_each_key_of_its_domain() {
    let text = format!("{EXAMPLE_HEADER}\r\n{EXAMPLE_BODY}");
    let keys = [ed25519("Brisbane"), rsa("rsa")];
    let dkim = SignDkim::new()
        .with_keys("Football.Example.com", keys)
        .unwrap();
    let signed = applied(&dkim, message(text.clone())).await;
    let fields = signed.strip_suffix(&text).unwrap();
    assert_eq!(fields.matches("DKIM-Signature: ").count(), 2, "{fields}");
    let (tags, rest) = fields.split_once(" h=").unwrap();
    assert_eq!(
        tags.replace("\r\n", ""),
        "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=football.example.com; \
         s=brisbane; t=1795508249;"
    );
    let names: String = rest.split(';').next().unwrap().split_whitespace().collect();
    assert_eq!(
        names,
        "from:from:reply-to:subject:subject:date:date:to:to:cc:message-id:message-id:in-reply-to:\
         references:mime-version:content-type:content-transfer-encoding"
    );
    assert!(
        fields.contains("a=rsa-sha256;") && fields.contains("s=rsa;"),
        "{fields}"
    );
    assert!(!fields.contains("l="), "{fields}");
    let records = [ed25519("brisbane"), rsa("rsa")];
    let records = records.map(|key| (key.selector().to_owned(), key.record()));
    assert_eq!(
        verified(signed.as_bytes(), &BTreeMap::from(records)),
        [true, true]
    );
}

#[tokio::test]
async fn a_long_body_is_signed_in_turns_as_at_once() {
    let body = "Some words of a line,  and more. \r\n".repeat(30_000);
    let text = format!("From: a@example.org\r\n\r\n{body}");
    let message = message(text.clone());
    let body = message.content.body_bytes().as_ptr();
    let in_turns = both().apply(message).await.unwrap().remove(0).content;
    assert_eq!(in_turns.body_bytes().as_ptr(), body, "it was copied");
    let in_turns = in_turns.to_vec();
    assert!(in_turns == signed(&both(), text));
    assert_eq!(verified(&in_turns, &records()), [true, true]);
}

#[tokio::test]
async fn mail_of_any_octets_is_written_in_ascii_and_then_signed() {
    let of = |field: &str, body: &str| {
        let header = "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: image/x-odd\r\n";
        let mut message = message(format!("{field}{header}\r\n{body}"));
        message.envelope.body = BodyType::BinaryMime;
        message
    };
    let signed = both().apply(of("", "\0\n\r.\n")).await.unwrap().remove(0);
    assert_eq!(signed.envelope.body, BodyType::SevenBit);
    let text = signed.content.to_vec();
    assert!(text.ends_with(b"\r\n\r\nAAoNLgo=\r\n"), "{}", latin1(&text));
    assert_eq!(verified(&text, &records()), [true, true]);
    // Another's signature would not fit any more.
    let by_others = of("DKIM-Signature: v=1\r\n", "\0\n\r.\n");
    let passed = both().apply(by_others.clone()).await.unwrap().remove(0);
    assert_eq!(passed, by_others);
    let lines = of("DKIM-Signature: v=1\r\n", "Gr\u{fc}\u{df}e\r\n");
    let signed = both().apply(lines).await.unwrap().remove(0);
    assert_eq!(signed.envelope.body, BodyType::BinaryMime);
    assert_eq!(signed.content.fields_named("DKIM-Signature").count(), 3);
}

#[tokio::test]
async fn what_cannot_be_signed_stays_with_the_client() {
    let keys = [rsa("a"), DkimKey::broken("b")];
    let dkim = SignDkim::new().with_keys("example.org", keys).unwrap();
    let reply = dkim.apply(message("From: a@example.org\r\n\r\n")).await;
    let reply = reply.unwrap_err().to_string();
    assert_eq!(reply, "451 4.7.5 The message cannot be signed now");
}

#[test]
fn the_nearest_domain_above_signs() {
    let with = |dkim: SignDkim, domain: &str, selector: &str| {
        dkim.with_keys(domain, [ed25519(selector)]).unwrap()
    };
    let dkim = with(SignDkim::new(), "example.org", "all");
    let dkim = with(dkim, "sub.example.org", "sub");
    for (from, signer) in [
        ("a@example.org", Some("d=example.org; s=all;")),
        ("A <a@EXAMPLE.org>", Some("d=example.org; s=all;")),
        ("a@mx.example.org", Some("d=example.org; s=all;")),
        ("a@sub.example.org", Some("d=sub.example.org; s=sub;")),
        ("a@x.y.sub.example.org", Some("d=sub.example.org; s=sub;")),
        (
            "a@example.org, b@mx.example.org",
            Some("d=example.org; s=all;"),
        ),
        ("a@notexample.org", None),
        ("a@org", None),
        ("a@example.com", None),
        ("a@[192.0.2.1]", None),
        ("postmaster", None),
    ] {
        let text = format!("From: {from}\r\n\r\n");
        let signed = latin1(&signed(&dkim, text.clone()));
        let signed = signed.replace(";\r\n ", "; ");
        match signer {
            Some(signer) => assert!(signed.contains(signer), "{from}: {signed}"),
            None => assert_eq!(signed, text, "{from}"),
        }
    }
}

#[test]
fn mail_whose_author_is_not_certain_passes_unsigned() {
    for text in [
        "",
        "body only",
        "Subject: a\r\n\r\nbody",
        "From: a@example.org\r\nFrom: a@example.org\r\n\r\nbody",
        "From: a@example.org\r\nfrom : b@example.com\r\n\r\nbody",
        "From: a@example.org, b@example.com\r\n\r\nbody",
        "From: b@example.com, a@example.org\r\n\r\nbody",
        "From: Doe, J <a@example.org>\r\n\r\nbody",
        "From: a@example.org\r\nno field\r\n\r\nbody",
        "From: a@example.org\r\n \r\nbody",
    ] {
        assert_eq!(latin1(&signed(&both(), text)), text);
    }
    let endless = format!("From: a@example.org\r\n{}\r\n", "To: b\r\n".repeat(2000));
    assert_eq!(latin1(&signed(&both(), endless.clone())), endless);
}

#[test]
fn only_keys_that_others_take_are_taken() {
    let key = |pem: &[u8]| DkimKey::from_pem("a", pem);
    let kind = |pem: &[u8]| key(pem).unwrap().algorithm();
    assert_eq!(
        kind(&openssl(&["genpkey", "-algorithm", "ed25519"])),
        "ed25519-sha256"
    );
    assert_eq!(
        kind(&openssl(&["genrsa", "-traditional", "2048"])),
        "rsa-sha256"
    );
    let short = ["genrsa", "1024"];
    assert_eq!(key(&openssl(&short)).unwrap_err(), DkimError::Short);
    let traditional = ["genrsa", "-traditional", "1024"];
    assert_eq!(key(&openssl(&traditional)).unwrap_err(), DkimError::Short);
    let curve = ["ecparam", "-genkey", "-name", "prime256v1", "-noout"];
    assert_eq!(key(&openssl(&curve)).unwrap_err(), DkimError::Kind);
    let password = ["genrsa", "-aes128", "-passout", "pass:a", "2048"];
    assert_eq!(key(&openssl(&password)).unwrap_err(), DkimError::NoKey);
    assert_eq!(key(b"").unwrap_err(), DkimError::NoKey);
    let damaged = b"-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n";
    assert!(matches!(key(damaged).unwrap_err(), DkimError::Unusable(_)));
    let shown = format!("{:?}", key(EXAMPLE_KEY.as_bytes()).unwrap());
    assert_eq!(shown, "DkimKey(a ed25519-sha256)");
}

#[test]
fn a_record_holds_what_openssl_calls_the_public_key() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    std::fs::write(path, openssl(&["genrsa", "3072"])).unwrap();
    let public = openssl(&["rsa", "-in", path, "-pubout", "-outform", "DER"]);
    let key = DkimKey::from_pem("a", &std::fs::read(path).unwrap()).unwrap();
    let public = BASE64_STANDARD.encode(public);
    assert_eq!(key.record(), format!("v=DKIM1; k=rsa; p={public}"));
}

#[test]
fn names_that_the_dns_does_not_have_are_refused() {
    for selector in ["", "a b", "a;d=evil.example", ".a", "a.", "-a", "\u{e9}"] {
        let key = DkimKey::from_pem(selector, EXAMPLE_KEY.as_bytes());
        assert_eq!(key.unwrap_err(), DkimError::Selector(selector.to_owned()));
    }
    for domain in ["", "a b", "example.org.", "exämple.org", "*.example.org"] {
        let error = SignDkim::new()
            .with_keys(domain, [ed25519("a")])
            .unwrap_err();
        assert_eq!(error, DkimError::Domain(domain.to_owned()));
    }
    let long = [&"a.".repeat(110)[..], "org"].concat();
    let key = ed25519(&"b".repeat(60));
    let error = SignDkim::new().with_keys(&long, [key]).unwrap_err();
    assert!(matches!(error, DkimError::Selector(_)));
    let twice = [ed25519("a"), rsa("A")];
    let error = SignDkim::new().with_keys("example.org", twice).unwrap_err();
    assert_eq!(error, DkimError::SelectorTwice("a".to_owned()));
    let error = both().with_keys("Example.org", [ed25519("a")]).unwrap_err();
    assert_eq!(error, DkimError::DomainTwice("example.org".to_owned()));
}

/// All notices of a host that can be about a message: that it failed, is late,
/// was delivered.
fn notices(builder: &dyn BounceBuilder, reporting: &str) -> [Message; 3] {
    let told_of = message_for("Subject: a\r\n\r\n", &["b@example.com"]);
    let mut envelope = told_of.envelope;
    envelope.sender = ReversePath::parse("a@example.com").unwrap();
    envelope.recipients[0].notify = Some(Notify {
        success: true,
        failure: true,
        delay: true,
    });
    let reply = Response::permanent(1, 1, "Unknown");
    let reported = [(envelope.recipients[0].clone(), reply)];
    let failure = Failure {
        id: MessageId::new(&World::simulated(Timestamp::EPOCH, 1)),
        client: &told_of.client,
        envelope: &envelope,
        content: &told_of.content,
        received: told_of.timestamp,
        failed: &reported,
        remote: None,
        reporting,
        now: told_of.timestamp,
    };
    let notices = [
        builder.build(&failure),
        builder.build_delay(&failure, None),
        builder.build_success(&failure, OnSuccess::Delivered),
    ];
    notices.map(Option::unwrap)
}

#[test]
fn notices_are_signed_by_the_domain_of_this_host() {
    let signing = both().notices(Bounce::default());
    let signed = notices(&signing, "mx.example.org");
    for notice in &signed {
        assert_eq!(verified(&notice.content.to_vec(), &records()), [true, true]);
    }
    assert_eq!(signed, notices(&signing, "mx.example.org"));
    let others = notices(&Bounce::default(), "mx.example.com");
    assert_eq!(notices(&signing, "mx.example.com"), others);
}

#[test]
fn a_notice_that_cannot_be_signed_goes_without() {
    let broken = SignDkim::new().with_keys("example.org", [DkimKey::broken("a")]);
    let signing = broken.unwrap().notices(Bounce::default());
    let unsigned = notices(&Bounce::default(), "mx.example.org");
    assert_eq!(notices(&signing, "mx.example.org"), unsigned);
}

/// Fields as clients write them, and as they should not.
fn field() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "Subject",
        "subject ",
        "To",
        "Received",
        "List-Unsubscribe",
        "DKIM-Signature-Of-Another",
    ];
    let known = prop::sample::select(KNOWN).prop_map(str::to_owned);
    let name = prop_oneof![known, "X-[A-Za-z-]{1,60}"];
    let value = prop::collection::vec("[ -~\u{e9}]{0,30}", 0..4);
    let fold = prop_oneof![Just("\r\n "), Just("\r\n\t"), Just("\r\n \t ")];
    (name, value, fold).prop_map(|(name, value, fold)| {
        let parts = value.iter().filter(|part| !part.trim().is_empty());
        let value: Vec<_> = parts.map(String::as_str).collect();
        format!("{name}:{}\r\n", value.join(fold))
    })
}

static SIGNER: LazyLock<SignDkim> = LazyLock::new(both);

proptest! {
    // Each case is signed once and verified many times.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_signature_holds_whatever_is_put_around_it(
        above in prop::collection::vec(field(), 0..6),
        below in prop::collection::vec(field(), 0..6),
        body in prop::collection::vec(prop_oneof![Just("\r\n"), Just("."), Just(" "), Just("\t"),
            Just("word"), Just("\u{e9}")], 0..40),
        received in field(),
    ) {
        let original = format!(
            "{}From: A\r\n <a@example.org>\r\n{}\r\n{}",
            above.concat(), below.concat(), body.concat(),
        );
        let whole = signed(&SIGNER, original.clone());
        let fields = whole.strip_suffix(original.as_bytes()).unwrap();
        let fields = str::from_utf8(fields).unwrap();
        prop_assert!(fields.lines().all(|line| line.len() <= 78), "{}", fields);
        prop_assert!(fields.is_ascii() && fields.ends_with("\r\n"));
        prop_assert_eq!(verified(&whole, &records()), [true, true]);

        let edited = |edit: &dyn Fn(&str) -> String| octets(&edit(&latin1(&whole)));
        let passed_on = edited(&|text| format!("X-Received: {received}{text}\r\n \t\r\n"));
        prop_assert_eq!(verified(&passed_on, &records()), [true, true]);
        let refolded = edited(&|text| text.replace("\r\n <a@", " \r\n\t <a@"));
        prop_assert_eq!(verified(&refolded, &records()), [true, true]);
        for forged in ["From: b@example.org", "Subject: another", "Content-Type: text/html", "cc:"] {
            let forged = edited(&|text| format!("{forged}\r\n{text}"));
            prop_assert_eq!(verified(&forged, &records()), [false, false]);
        }
        let appended = edited(&|text| format!("{text}more"));
        prop_assert_eq!(verified(&appended, &records()), [false, false]);
    }
}
