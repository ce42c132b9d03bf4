//! Delivery by SMTP: what each failure of a next hop means for a message.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use slimta::message::{Class, OnSuccess};
use slimta::queue::ByDestination;
use slimta::relay::{LeaseSignal, Relay, SmtpRelay, Sources, Timing};
use slimta::world::World;

use crate::hop::{Do, Hop, Met};
use crate::mail::{TEXT, codes, delivery, delivery_of};

pub(crate) fn relay(hop: &Hop) -> SmtpRelay {
    SmtpRelay::new(
        hop.address.ip().to_string(),
        hop.address.port(),
        "us.example",
        World::system(),
    )
}

#[tokio::test]
async fn messages_follow_each_other_on_one_connection() {
    let hop = Hop::start(|_| Do::Fine).await;
    let relay = relay(&hop);
    for _ in 0..3 {
        let report = relay
            .attempt(delivery(&["a@to.example", "b@to.example"]))
            .await;
        assert_eq!(codes(&report), [250, 250]);
        assert_eq!(report.remote.as_deref(), Some("127.0.0.1"));
    }
    assert_eq!(hop.count("connection"), 1);
    assert_eq!(hop.count("EHLO us.example"), 1);
    let stuffed = format!("{}.\r\n", TEXT.replace("\r\n.dot", "\r\n..dot"));
    assert_eq!(hop.log().iter().filter(|line| **line == stuffed).count(), 3);
}

/// Only a next hop that was told of NOTIFY tells of success itself.
#[tokio::test]
async fn who_tells_of_success_depends_on_the_next_hop() {
    let hop = Hop::start(|_| Do::Fine).await;
    let report = relay(&hop).attempt(delivery(&["a@to.example"])).await;
    assert_eq!(report.on_success, OnSuccess::Relayed);
    let hop = Hop::start(|met| match met {
        Met::Command(line) if line.starts_with("EHLO") => Do::Say("250-hop.example\r\n250 DSN"),
        _ => Do::Fine,
    })
    .await;
    let report = relay(&hop).attempt(delivery(&["a@to.example"])).await;
    assert_eq!(report.on_success, OnSuccess::PassedOn);
}

#[tokio::test]
async fn a_connection_carries_no_more_messages_than_its_destination_wants() {
    let hop = Hop::start(|_| Do::Fine).await;
    let rule = "to.example".parse().unwrap();
    let messages = ByDestination::new(100).with_rule(rule, 2);
    let relay = relay(&hop).with_messages_per_connection(messages);
    for _ in 0..5 {
        let report = relay.attempt(delivery(&["a@to.example"])).await;
        assert_eq!(codes(&report), [250]);
    }
    assert_eq!(hop.count("connection"), 3);
}

fn source(address: &str) -> Sources {
    Sources::new([address.parse().unwrap()]).unwrap()
}

/// Both destinations have the same next hop.
#[tokio::test]
async fn a_connection_is_not_used_for_mail_from_another_source_address() {
    let hop = Hop::start(|_| Do::Fine).await;
    let rule = "to.example".parse().unwrap();
    let sources = ByDestination::new(source("127.0.0.2")).with_rule(rule, source("127.0.0.3"));
    let relay = relay(&hop).with_sources(sources);
    for _ in 0..2 {
        for recipient in ["a@to.example", "a@other.example"] {
            let report = relay.attempt(delivery(&[recipient])).await;
            assert_eq!(codes(&report), [250]);
        }
    }
    assert_eq!(hop.count("connection"), 2);
}

/// X.3 is what says that the destination is not to blame.
#[tokio::test]
async fn a_source_address_that_is_gone_is_this_hosts_own_fault() {
    let hop = Hop::start(|_| Do::Fine).await;
    let relay = relay(&hop).with_sources(source("192.0.2.7").into());
    let report = relay.attempt(delivery(&["a@to.example"])).await;
    let said = report.responses[0].to_string();
    assert!(
        said.contains("4.3.0") && said.contains("192.0.2.7"),
        "{said}"
    );
    assert_eq!((report.remote, hop.count("connection")), (None, 0));
}

#[tokio::test]
async fn what_is_no_2yz_is_never_delivered() {
    type Script = fn(Met<'_>) -> Do;
    let failures: [(&str, Script, u16); 12] = [
        (
            "no greeting",
            |met| {
                if matches!(met, Met::Connection(_)) {
                    Do::Close
                } else {
                    Do::Fine
                }
            },
            451,
        ),
        (
            "refused greeting",
            |met| {
                if matches!(met, Met::Connection(_)) {
                    Do::Say("554 No")
                } else {
                    Do::Fine
                }
            },
            451,
        ),
        (
            "busy",
            |met| {
                if matches!(met, Met::Connection(_)) {
                    Do::Say("421 Busy")
                } else {
                    Do::Fine
                }
            },
            421,
        ),
        (
            "closed at MAIL",
            |met| {
                if command(met, "MAIL") {
                    Do::Close
                } else {
                    Do::Fine
                }
            },
            451,
        ),
        (
            "refused sender",
            |met| {
                if command(met, "MAIL") {
                    Do::Say("550 No")
                } else {
                    Do::Fine
                }
            },
            550,
        ),
        (
            "closed at RCPT",
            |met| {
                if command(met, "RCPT") {
                    Do::Close
                } else {
                    Do::Fine
                }
            },
            451,
        ),
        (
            "refused recipient",
            |met| {
                if command(met, "RCPT") {
                    Do::Say("550 No")
                } else {
                    Do::Fine
                }
            },
            550,
        ),
        (
            "refused DATA",
            |met| {
                if command(met, "DATA") {
                    Do::Say("452 Full")
                } else {
                    Do::Fine
                }
            },
            452,
        ),
        (
            "closed after the dot",
            |met| {
                if matches!(met, Met::Contents(_)) {
                    Do::Close
                } else {
                    Do::Fine
                }
            },
            451,
        ),
        (
            "garbage after the dot",
            |met| {
                if matches!(met, Met::Contents(_)) {
                    Do::Say("OK")
                } else {
                    Do::Fine
                }
            },
            451,
        ),
        (
            "421 after the dot",
            |met| {
                if matches!(met, Met::Contents(_)) {
                    Do::Say("421 Bye")
                } else {
                    Do::Fine
                }
            },
            421,
        ),
        (
            "refused contents",
            |met| {
                if matches!(met, Met::Contents(_)) {
                    Do::Say("554 Spam")
                } else {
                    Do::Fine
                }
            },
            554,
        ),
    ];
    for (name, script, code) in failures {
        let hop = Hop::start(script).await;
        let report = relay(&hop).attempt(delivery(&["a@to.example"])).await;
        assert_eq!(codes(&report), [code], "{name}");
        let ends = report.responses[0].class() == Class::Permanent;
        assert_eq!(ends, code >= 500, "{name}");
    }
}

fn command(met: Met<'_>, verb: &str) -> bool {
    matches!(met, Met::Command(line) if line.starts_with(verb))
}

#[tokio::test]
async fn nobody_listens() {
    let hop = Hop::start(|_| Do::Fine).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let relay = SmtpRelay::new("127.0.0.1", port, "us.example", World::system());
    let report = relay.attempt(delivery(&["a@to.example"])).await;
    assert!(
        report.responses[0].to_string().starts_with("451 4.4.1 "),
        "{report:?}"
    );
    assert_eq!(hop.count("connection"), 0);
    let relay = SmtpRelay::new("no.such.host.invalid", port, "us.example", World::system());
    let report = relay.attempt(delivery(&["a@to.example"])).await;
    assert_eq!(report.responses[0].to_string(), "451 4.4.1 Host not found");
}

#[tokio::test]
async fn a_silent_next_hop_is_given_up() {
    let short = Timing {
        greeting: Duration::from_millis(20),
        ..Timing::default()
    };
    let hop = Hop::start(|_| Do::Hang).await;
    let report = relay(&hop)
        .with_timing(short)
        .attempt(delivery(&["a@to.example"]))
        .await;
    let response = report.responses[0].to_string();
    assert!(
        response.starts_with("451 4.4.2 ") && response.contains("too long"),
        "{response}"
    );
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_attempt() {
    let closing = Hop::start(closes_after_one()).await;
    let relay = relay(&closing);
    for _ in 0..3 {
        let report = relay.attempt(delivery(&["a@to.example"])).await;
        assert_eq!(codes(&report), [250]);
    }
    assert_eq!(closing.count("connection"), 3);
}

/// A next hop that ends each session at the second MAIL.
fn closes_after_one() -> impl Fn(Met<'_>) -> Do + Send + Sync + 'static {
    let mails = AtomicUsize::new(0);
    move |met| match met {
        Met::Connection(_) => {
            mails.store(0, Ordering::Relaxed);
            Do::Fine
        }
        _ if command(met, "MAIL") && mails.fetch_add(1, Ordering::Relaxed) > 0 => Do::Close,
        _ => Do::Fine,
    }
}

#[tokio::test]
async fn a_session_that_had_enough_costs_no_attempt() {
    let mails = AtomicUsize::new(0);
    let hop = Hop::start(move |met| match met {
        Met::Connection(_) => {
            mails.store(0, Ordering::Relaxed);
            Do::Fine
        }
        _ if command(met, "MAIL") && mails.fetch_add(1, Ordering::Relaxed) > 0 => {
            Do::Say("421 Enough")
        }
        _ => Do::Fine,
    });
    let hop = hop.await;
    let relay = relay(&hop);
    for _ in 0..3 {
        assert_eq!(
            codes(&relay.attempt(delivery(&["a@to.example"])).await),
            [250]
        );
    }
    assert_eq!(hop.count("connection"), 3);
}

#[tokio::test]
async fn many_recipients_go_in_several_transactions() {
    let hop = Hop::start(|_| Do::Fine).await;
    let names: Vec<String> = (0..250).map(|n| format!("a{n}@to.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let report = relay(&hop).attempt(delivery(&names)).await;
    assert_eq!(codes(&report), [250; 250]);
    assert_eq!(
        (
            hop.count("MAIL"),
            hop.count("RCPT"),
            hop.count("connection")
        ),
        (3, 250, 1)
    );
}

#[tokio::test]
async fn one_recipient_too_many_goes_next() {
    let taken = AtomicUsize::new(0);
    let hop = Hop::start(move |met| {
        if command(met, "MAIL") {
            taken.store(0, Ordering::Relaxed);
        }
        if command(met, "RCPT") && taken.fetch_add(1, Ordering::Relaxed) >= 2 {
            return Do::Say("452 4.5.3 Too many");
        }
        Do::Fine
    });
    let hop = hop.await;
    let five = [
        "a@t.example",
        "b@t.example",
        "c@t.example",
        "d@t.example",
        "e@t.example",
    ];
    let report = relay(&hop).attempt(delivery(&five)).await;
    assert_eq!(codes(&report), [250; 5]);
    assert_eq!(hop.count("MAIL"), 3);
    let full = Hop::start(|met| {
        if command(met, "RCPT") {
            Do::Say("452 4.2.2 Full")
        } else {
            Do::Fine
        }
    });
    let full = full.await;
    assert_eq!(
        codes(&relay(&full).attempt(delivery(&five)).await),
        [452; 5]
    );
    assert_eq!(full.count("MAIL"), 1, "nobody was taken: it waits");
}

#[tokio::test]
async fn without_a_lease_nothing_is_sent() {
    let hop = Hop::start(|_| Do::Fine).await;
    let world = World::system();
    let over = LeaseSignal::until(world.clone(), world.monotonic());
    let report = relay(&hop)
        .attempt(delivery_of(TEXT, &["a@to.example"], over))
        .await;
    assert_eq!(codes(&report), [451]);
    assert_eq!(hop.count("MAIL"), 0);
}

#[tokio::test]
async fn a_lease_that_ends_before_the_dot_keeps_the_dot_back() {
    let world = World::system();
    let lease = LeaseSignal::until(world.clone(), Duration::MAX / 2);
    let ending = lease.clone();
    let hop = Hop::start(move |met| {
        if command(met, "DATA") {
            ending.extend(Duration::ZERO);
        }
        Do::Fine
    });
    let hop = hop.await;
    let report = relay(&hop)
        .attempt(delivery_of(TEXT, &["a@to.example"], lease))
        .await;
    assert_eq!(codes(&report), [451]);
    // The connection is given up: what the next hop has is no message.
    while hop.count("cut short") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(hop.count("Subject"), 0);
}

#[tokio::test]
async fn large_contents_arrive_whole() {
    let line = "A line of no great interest, but with a dot.\r\n.\r\n";
    let text = format!("Subject: large\r\n\r\n{}", line.repeat(40_000));
    let hop = Hop::start(|_| Do::Fine).await;
    let delivery = delivery_of(&text, &["a@to.example"], LeaseSignal::unleased());
    assert_eq!(codes(&relay(&hop).attempt(delivery).await), [250]);
    let arrived = hop
        .log()
        .into_iter()
        .find(|line| line.starts_with("Subject"))
        .unwrap();
    assert_eq!(arrived, format!("{}.\r\n", text.replace("\r\n.", "\r\n..")));
}
