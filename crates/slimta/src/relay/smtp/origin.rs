//! From where mail goes: pools of addresses of this host, each with a name, of
//! which every message has one and keeps it.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::source::Sources;
use crate::message::{MessageId, StoredMessage, Tenant};
use crate::queue::ByDestination;

/// One way out of this host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origin {
    /// The addresses that connections are made from.
    pub addresses: Sources,
    /// What this host calls itself there, in EHLO; none for its usual name.
    pub ehlo_name: Option<String>,
}

/// Several ways out of this host, each with its weight. Which one a message goes
/// is a function of its id, so that all its attempts come from there: a next hop
/// that greylists (RFC 6647) knows it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OriginPool(Arc<[(Origin, NonZeroU32)]>);

impl OriginPool {
    /// None if there are no ways.
    pub fn new(members: impl IntoIterator<Item = (Origin, NonZeroU32)>) -> Option<Self> {
        let members: Arc<[_]> = members.into_iter().collect();
        (!members.is_empty()).then_some(OriginPool(members))
    }

    /// The way of a message, by weighted rendezvous: each way draws a number, and
    /// the highest is taken. So only the messages of a way that is taken out, or the
    /// share of one that is new, change theirs.
    fn choose(&self, id: MessageId) -> Option<&Origin> {
        let drawn = |(origin, weight): &(Origin, NonZeroU32)| {
            let of = format!("{} {:?}", origin.addresses, origin.ehlo_name);
            // From 0, left out, to 1: its logarithm is a number below zero.
            let share = (stable_hash(id, &of) as f64 + 1.0) / (u64::MAX as f64 + 2.0);
            -f64::from(weight.get()) / share.ln()
        };
        let ways = self.0.iter().map(|member| (drawn(member), &member.0));
        let best = ways.max_by(|(a, _), (b, _)| a.total_cmp(b));
        best.map(|(_, origin)| origin)
    }
}

/// FNV-1a with a last mix, which no version of the compiler changes.
fn stable_hash(id: MessageId, of: &str) -> u64 {
    let bytes = id.as_bytes().iter().chain(of.as_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Which mail goes from where: by the pool of its destination, else by that of its
/// tenant, else by that of all other mail, else as the relay's [`Sources`] say; and
/// by what name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origins {
    pools: ByDestination<Option<OriginPool>>,
    tenants: BTreeMap<Tenant, OriginPool>,
    rest: Option<OriginPool>,
    names: ByDestination<Option<String>>,
}

impl Default for Origins {
    fn default() -> Self {
        Origins {
            pools: None.into(),
            tenants: BTreeMap::new(),
            rest: None,
            names: None.into(),
        }
    }
}

impl Origins {
    /// Sets the pools of destinations. Default: none has one.
    #[must_use]
    pub fn with_pools(mut self, pools: ByDestination<Option<OriginPool>>) -> Self {
        self.pools = pools;
        self
    }

    /// Sets the pools of tenants. Default: none has one.
    #[must_use]
    pub fn with_tenants(mut self, tenants: BTreeMap<Tenant, OriginPool>) -> Self {
        self.tenants = tenants;
        self
    }

    /// Sets the pool of all other mail. Default: none.
    #[must_use]
    pub fn with_rest(mut self, pool: Option<OriginPool>) -> Self {
        self.rest = pool;
        self
    }

    /// Sets what this host calls itself where the pool of a message says nothing;
    /// none for its usual name, the default.
    #[must_use]
    pub fn with_names(mut self, names: ByDestination<Option<String>>) -> Self {
        self.names = names;
        self
    }

    /// Fails if this host does not have one of the addresses.
    pub fn check(&self) -> io::Result<()> {
        let pools = self.pools.values().flatten().chain(&self.rest);
        let pools = pools.chain(self.tenants.values());
        let mut ways = pools.flat_map(|pool| pool.0.iter());
        ways.try_for_each(|(origin, _)| origin.addresses.check())
    }

    /// From where a message goes, and the name of this host there if it is not the
    /// usual one.
    pub(super) fn of(
        &self,
        message: &StoredMessage,
        sources: &ByDestination<Sources>,
    ) -> (Sources, Option<&str>) {
        let destination = &message.destination;
        let of_tenant = || self.tenants.get(&destination.tenant()?);
        let pool = self.pools.get(destination).as_ref();
        let pool = pool.or_else(of_tenant).or(self.rest.as_ref());
        let origin = pool.and_then(|pool| pool.choose(message.id));
        let name = origin.and_then(|origin| origin.ehlo_name.as_deref());
        let addresses = origin.map(|origin| origin.addresses);
        (
            addresses.unwrap_or_else(|| *sources.get(destination)),
            name.or(self.names.get(destination).as_deref()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    fn pool(weights: &[u32]) -> OriginPool {
        let member = |(index, weight): (usize, &u32)| {
            let address = format!("192.0.2.{index}").parse().unwrap();
            let origin = Origin {
                addresses: Sources::new([address]).unwrap(),
                ehlo_name: None,
            };
            (origin, NonZeroU32::new(*weight).unwrap())
        };
        OriginPool::new(weights.iter().enumerate().map(member)).unwrap()
    }

    fn chosen(pool: &OriginPool, id: MessageId) -> usize {
        let way = pool.choose(id).unwrap();
        pool.0.iter().position(|(origin, _)| origin == way).unwrap()
    }

    #[test]
    fn each_way_has_its_share_and_a_message_its_way() {
        let world = World::system();
        let ids: Vec<_> = (0..10_000).map(|_| MessageId::new(&world)).collect();
        let (two, three) = (pool(&[1, 3]), pool(&[1, 3, 4]));
        let mut shares = [0; 2];
        let mut moved = 0;
        for id in &ids {
            let way = chosen(&two, *id);
            shares[way] += 1;
            assert_eq!(chosen(&two, *id), way);
            let later = chosen(&three, *id);
            assert!(later == way || later == 2, "only to the new way");
            moved += usize::from(later == 2);
        }
        // 1 of 4 and 4 of 8, with room for chance.
        assert!((2_200..2_800).contains(&shares[0]), "{shares:?}");
        assert!((4_600..5_400).contains(&moved), "{moved}");
    }

    /// A retry after an upgrade comes from where it came before it.
    #[test]
    fn a_choice_is_the_same_for_ever() {
        let id: MessageId = "018c4a5e-0000-7000-8000-000000000001".parse().unwrap();
        assert_eq!(stable_hash(id, "192.0.2.1 None"), 0x3eb9_391a_05e8_7f7e);
    }
}
