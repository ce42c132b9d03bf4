//! What mail passes between an edge and the queue.

use slimta::policy::{self, Chain, SignDkim};
use slimta::world::World;

use crate::config::Settings;
use crate::failure::Failure;

/// The policies, in their order: first what looks at a message as it came, last what
/// signs it, behind all that changes it.
pub(crate) fn policies(
    settings: &Settings,
    dkim: SignDkim,
    world: &World,
) -> Result<Chain, Failure> {
    let mut policies = Chain::new();
    if let Some(verify) = &settings.verify_senders {
        policies = policies.then(verify.policy(settings, world.clone())?);
    }
    policies = policies.then(policy::standard(&settings.hostname, world.clone()));
    if let Some(spam_scan) = &settings.spam_scan {
        policies = policies.then(spam_scan.policy(world.clone()));
    }
    if let Some(forward) = settings.forward.policy() {
        policies = policies.then(forward);
    }
    if let Some(tenant) = &settings.tenant {
        policies = policies.then(tenant.clone());
    }
    let verify = settings.verify_senders.as_ref();
    let seal = verify.map(|verify| verify.seal(settings, &dkim));
    policies = policies.then(dkim);
    if let Some(seal) = seal.transpose()?.flatten() {
        policies = policies.then(seal);
    }
    Ok(policies)
}
