//! What becomes of recipients.

use proptest::prelude::*;

use super::super::tests::message;
use super::*;
use crate::message::Notify;

fn rules(rules: &[(&str, &str)]) -> Forward {
    let add = |forward: Forward, (pattern, to): &(&str, &str)| forward.with_rule(pattern, to);
    rules.iter().try_fold(Forward::new(), add).unwrap()
}

async fn recipients(forward: &Forward, recipients: &[&str]) -> Vec<Recipient> {
    let content = "Subject :  odd\r\n  folding\r\n\r\nbody";
    let message = message(content, recipients);
    let mut forwarded = forward.apply(message.clone()).await.unwrap();
    let mut kept = forwarded.pop().unwrap();
    let recipients = std::mem::take(&mut kept.envelope.recipients);
    let mut bare = message;
    bare.envelope.recipients.clear();
    assert_eq!((forwarded.len(), kept), (0, bare));
    recipients
}

async fn addresses(forward: &Forward, given: &[&str]) -> Vec<String> {
    let recipients = recipients(forward, given).await;
    recipients.iter().map(|r| r.address.to_string()).collect()
}

#[tokio::test]
async fn the_first_rule_that_matches_is_the_only_one() {
    let forward = rules(&[
        (r"sales@a\.example", "ann@b.example"),
        (r".*@b\.example", "never@c.example"),
        (r"s.*@a\.example", "second@d.example"),
    ]);
    let given = ["sales@a.example", "support@a.example", "tom@a.example"];
    let expected = ["ann@b.example", "second@d.example", "tom@a.example"];
    assert_eq!(addresses(&forward, &given).await, expected);
}

#[tokio::test]
async fn groups_carry_over_and_case_does_not_matter() {
    let forward = rules(&[
        (r"(.+)\+(?<tag>.*)@OLD\.example", "${tag}.$1_x@new.example"),
        (r"(\w+)@(\w+)\.old\.example", "${2}$$${1}@new.example"),
        (r"(a)|b@c\.example", "x$1@new.example"),
    ]);
    let given = [
        "Ann+lists@old.Example",
        "tom@shop.old.example",
        "b@c.example",
    ];
    let expected = [
        "lists.Ann_x@new.example",
        "shop$tom@new.example",
        "x@new.example",
    ];
    assert_eq!(addresses(&forward, &given).await, expected);
}

#[tokio::test]
async fn a_pattern_speaks_of_the_whole_address() {
    let forward = rules(&[(r"info@a\.example|b@a\.example", "ann@b.example")]);
    let given = ["myinfo@a.example", "b@a.example.org", "postmaster"];
    assert_eq!(addresses(&forward, &given).await, given);
}

#[tokio::test]
async fn what_the_sender_asked_stays_with_the_recipient() {
    let forward = rules(&[(r"(.+)@old\.example", "$1@new.example")]);
    let mut message = message("\r\n", &["a@old.example", "b@old.example", "c@x.example"]);
    let asked = OriginalRecipient {
        kind: "rfc822".to_owned(),
        address: "list@known.example".to_owned(),
    };
    message.envelope.recipients[0].notify = Some(Notify::NEVER);
    message.envelope.recipients[0].original = Some(asked.clone());
    let kept = forward.apply(message).await.unwrap().remove(0);
    let [a, b, c] = &kept.envelope.recipients[..] else {
        panic!("{kept:?}")
    };
    assert_eq!(
        (a.notify, a.original.as_ref()),
        (Some(Notify::NEVER), Some(&asked))
    );
    let known = b
        .original
        .as_ref()
        .map(|known| (&*known.kind, &*known.address));
    assert_eq!((b.notify, known), (None, Some(("rfc822", "b@old.example"))));
    assert_eq!(c.original, None);
}

#[tokio::test]
async fn recipients_that_became_the_same_are_one() {
    let forward = rules(&[(r"(sales|info)@a\.example", "ann@B.example")]);
    let notify = |success, failure, delay| Notify {
        success,
        failure,
        delay,
    };
    let of = async |first: Option<Notify>, second: Option<Notify>| {
        let given = [
            "sales@a.example",
            "Ann@b.example",
            "info@A.example",
            "ann@b.example",
        ];
        let mut message = message("\r\n", &given);
        message.envelope.recipients[0].notify = first;
        message.envelope.recipients[2].notify = second;
        message.envelope.recipients[3].notify = second;
        let kept = forward.apply(message).await.unwrap().remove(0);
        let [one, other] = &kept.envelope.recipients[..] else {
            panic!("{kept:?}")
        };
        assert_eq!(
            (one.address.as_str(), other.address.as_str()),
            ("ann@B.example", "Ann@b.example")
        );
        assert_eq!(one.original.as_ref().unwrap().address, "sales@a.example");
        one.notify
    };
    assert_eq!(of(None, None).await, None);
    assert_eq!(
        of(Some(Notify::NEVER), Some(Notify::NEVER)).await,
        Some(Notify::NEVER)
    );
    assert_eq!(
        of(Some(Notify::NEVER), None).await,
        Some(notify(false, true, true))
    );
    let success = Some(notify(true, false, false));
    assert_eq!(
        of(success, Some(notify(false, true, false))).await,
        Some(notify(true, true, false))
    );
}

#[tokio::test]
async fn a_client_that_repeats_itself_keeps_its_recipients() {
    let forward = rules(&[(r"a@a\.example", "b@a.example")]);
    let given = ["c@a.example", "c@a.example"];
    assert_eq!(addresses(&forward, &given).await, given);
}

#[tokio::test]
async fn what_becomes_no_address_stays_with_the_client() {
    let forward = rules(&[(r"(.*)@a\.example", "$1.@b.example")]);
    let refused = forward
        .apply(message("\r\n", &["x@c.example", "x@a.example"]))
        .await;
    let reply = "451 4.3.5 A recipient cannot be forwarded now";
    assert_eq!(refused.unwrap_err().to_string(), reply);
}

#[test]
fn a_rule_without_sense_says_what_is_wrong() {
    for (pattern, to, why) in [
        ("(", "a@b.example", "unclosed group"),
        (")|(", "a@b.example", "unopened group"),
        (r"(a)\1", "a@b.example", "backreferences"),
        (r"\w{5000}", "a@b.example", "size limit"),
        ("(.*)@a", "$2@b.example", "the group 2"),
        ("(.*)@a", "${user}@b.example", "the group user"),
        ("(.*)@a", "$user@b.example", "a dollar is not followed by"),
        ("(.*)@a", "${1@b.example", "a dollar is not followed by"),
        (
            "(.*)@a",
            "$99999999999999999999@b.example",
            "a dollar is not",
        ),
        (".*", "a@", "the domain is not valid"),
        (".*", "nobody", "no domain"),
        (".*", "a@exämple.org", "xn--"),
    ] {
        let error = Forward::new().with_rule(pattern, to).unwrap_err();
        assert!(
            error.to_string().contains(why),
            "{pattern:.40} {to}: {error}"
        );
    }
}

proptest! {
    /// Whoever the recipients are, what is left are addresses, none twice, and
    /// those that no rule speaks of are still there.
    #[test]
    fn nobody_is_lost_and_nobody_is_there_twice(
        given in prop::collection::vec("[ab]{1,3}(\\+[ab\"]{0,2})?@(old|new|x)\\.example", 1..8),
    ) {
        let forward = rules(&[
            (r"([^+]+)(?:\+.*)?@old\.example", "$1@new.example"),
            (r"a@x\.example", "b@x.example"),
        ]);
        let given: Vec<_> = given.iter().filter(|text| text.parse::<Address>().is_ok()).collect();
        let given: Vec<_> = given.iter().map(|text| text.as_str()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let left = runtime.block_on(addresses(&forward, &given));
        for address in &left {
            let is_changed = left.iter().all(|left| given.contains(&left.as_str()));
            let times = left.iter().filter(|other| *other == address).count();
            prop_assert!(times == 1 || is_changed, "{address} in {left:?}");
            prop_assert!(!address.ends_with("@old.example"));
        }
        for address in given.iter().filter(|address| address.ends_with("@new.example")) {
            prop_assert!(left.iter().any(|left| left == address), "{address} not in {left:?}");
        }
    }
}
