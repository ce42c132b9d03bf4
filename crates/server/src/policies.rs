//! What mail passes between an edge and the queue.

use std::net::IpAddr;

use slimta::edge::smtp::Role;
use slimta::message::Client;
use slimta::policy::{AddDate, AddFrom, AddMessageId, AddReceived, Chain, LoopCheck, OfClients};

use crate::config::{Listener, Settings};
use crate::edges::Means;
use crate::failure::Failure;

/// The policies of a listener, in their order: first what looks at a message as it
/// came, last what signs it, behind all that changes it.
pub(crate) fn policies(
    settings: &Settings,
    said: &Listener,
    means: &Means,
) -> Result<Chain, Failure> {
    let mut policies = Chain::new();
    // Who submits is known by other means, and who speaks LMTP is a part of this site.
    let verify = settings.verify_senders.as_ref();
    let verify = verify.filter(|_| said.role == Role::Relay);
    if let (Some(options), Some(verify)) = (verify, &means.verify) {
        let trusted = options.trusted(&said.permit).to_vec();
        let is_trusted = move |ip| trusted.iter().any(|network| network.contains(ip));
        policies = policies.then(verify.clone().with_trusted(is_trusted));
    }
    policies = policies.then(stamps(settings, said, means));
    if let Some(spam_scan) = &means.spam_scan {
        policies = policies.then(spam_scan.clone());
    }
    if let Some(forward) = settings.forward.policy() {
        policies = policies.then(forward);
    }
    if let Some(tenant) = &settings.tenant {
        policies = policies.then(tenant.clone());
    }
    policies = policies.then(means.dkim.clone());
    let seal = verify.map(|verify| verify.seal(settings, &means.dkim));
    if let Some(seal) = seal.transpose()?.flatten() {
        policies = policies.then(seal);
    }
    Ok(policies)
}

/// What says how a message came here, and adds what it lacks if that is ours to do.
fn stamps(settings: &Settings, said: &Listener, means: &Means) -> Chain {
    let hostname = &settings.hostname;
    let ids = AddMessageId::new(hostname, means.world.clone());
    let completed = Chain::new().then(AddDate).then(ids);
    let permit = said.permit.clone();
    let is_own = move |client: &Client| {
        let is_permitted = |ip: IpAddr| permit.iter().any(|network| network.contains(ip));
        client.auth.is_some() || client.ip.is_some_and(is_permitted)
    };
    let policies = Chain::new().then(LoopCheck::default());
    let policies = match said.role {
        Role::Submission => policies.then(AddFrom::new(hostname)).then(completed),
        // What other hosts hand on is not ours to complete.
        Role::Relay | Role::Lmtp => policies.then(OfClients::new(is_own, completed)),
    };
    policies.then(AddReceived::new(hostname))
}
