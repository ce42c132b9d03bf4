//! The calls of the contract on Redis.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use slimta_core::message::{Content, Destination, MessageId, Submission};
use slimta_core::storage::{
    Acted, Action, Due, Filter, FirstLeases, Lease, Leased, Listed, Listing, Owner, Page, Session,
    Settled, Settlement, Stats, StorageError, Ticket,
};
use slimta_core::world::Timestamp;

use super::Shared;
use super::rows::{self, Granted, limit, millis};
use super::scripts::{self, Args};
use super::shards::{Shard, home};
use super::store::{Prepared, pair};
use super::{listing, reads, settle};
use crate::closing::Closing;

#[derive(Debug)]
pub(super) struct RedisSession {
    shared: Arc<Shared>,
    owner: Owner,
    closing: Closing,
}

impl RedisSession {
    pub(super) fn new(shared: Arc<Shared>, owner: Owner) -> Self {
        RedisSession {
            shared,
            owner,
            closing: Closing::default(),
        }
    }

    fn open(&self) -> Result<&Shared, StorageError> {
        self.closing.check()?;
        self.shared.servers.check_lost()?;
        Ok(&self.shared)
    }

    /// Keeps what was leased, and puts aside what cannot be read.
    async fn readable(
        &self,
        shard: &Shard,
        granted: Vec<Granted>,
    ) -> Result<Vec<Leased>, StorageError> {
        let mut leased = Vec::with_capacity(granted.len());
        for one in granted {
            match rows::leased(shard, one)? {
                Ok(one) => leased.push(one),
                Err(unreadable) => self.shared.quarantine(shard, &unreadable).await?,
            }
        }
        Ok(leased)
    }

    /// Claims so many messages on each shard.
    async fn claim_on(
        &self,
        share: &[(&Shard, usize)],
        destination: &Destination,
        by_age: bool,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        let mut leased = Vec::new();
        for (shard, limit) in share {
            let args = Args::new()
                .text(destination.as_str())
                .shown(limit)
                .shown(by_age)
                .text(self.owner.as_str())
                .shown(millis(lease));
            match self.shared.call(shard, &scripts::CLAIM, &args).await {
                Ok(granted) => leased.extend(self.readable(shard, granted).await?),
                // What is leased is not given up for what is not.
                Err(_) if !leased.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        leased.sort_by_key(|Leased { message, .. }| {
            let priority = (!by_age).then_some(message.priority);
            (priority, message.due, message.id)
        });
        Ok(leased)
    }

    /// By priority or by age.
    async fn claim_in_order(
        &self,
        destination: &Destination,
        limit: usize,
        by_age: bool,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        let shared = self.open()?;
        let limit = rows::limit(limit);
        let share = match shared.shards()? {
            [only] => vec![(only, limit)],
            _ => reads::share(shared, destination, limit, by_age).await?,
        };
        self.claim_on(&share, destination, by_age, lease).await
    }
}

/// What belongs to each shard, with its place in the whole.
fn by_shard<T>(all: impl Iterator<Item = (Ticket, T)>) -> BTreeMap<usize, Vec<(usize, T)>> {
    let mut shards: BTreeMap<usize, Vec<(usize, T)>> = BTreeMap::new();
    for (place, (ticket, value)) in all.enumerate() {
        let shard = shards.entry(Shard::number_of(ticket)).or_default();
        shard.push((place, value));
    }
    shards
}

#[async_trait]
impl Session for RedisSession {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn now(&self) -> Timestamp {
        let shards = self.shared.shards().unwrap_or_default();
        self.shared.servers.now(shards)
    }

    async fn close(&self) {
        self.closing.close();
    }

    async fn store(
        &self,
        submission: Submission,
        lease: Option<FirstLeases>,
    ) -> Result<Vec<Leased>, StorageError> {
        let shared = self.open()?;
        let first = submission.messages.first();
        let id = first.map_or(MessageId::MIN, |message| message.submission);
        let shards = shared.shards()?;
        let shard = shards
            .get(home(id, shards.len()))
            .ok_or(StorageError::Closed)?;
        let prepared = Prepared::new(shared, shard, &submission).await?;
        let duration = millis(lease.map_or(Duration::ZERO, |lease| lease.lease));
        let args = Args::new()
            .text(self.owner.as_str())
            .shown(duration)
            .shown(limit(lease.map_or(0, |lease| lease.count)));
        let granted: Vec<(String, u64, i64)> = {
            let args = prepared.args(args);
            shared.call(shard, &scripts::STORE, &args).await?
        };
        drop(prepared);
        shared.changed();
        let leases = granted
            .iter()
            .map(|(id, token, end)| rows::lease(shard, id, *token, *end));
        Ok(pair(leases.collect::<Result<_, _>>()?, submission))
    }

    async fn due_destinations(
        &self,
        after: Option<&Due>,
        limit: usize,
    ) -> Result<Vec<Due>, StorageError> {
        reads::due_destinations(self.open()?, after, limit).await
    }

    async fn claim(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        self.claim_in_order(destination, limit, false, lease).await
    }

    async fn claim_longest_due(
        &self,
        destination: &Destination,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Leased>, StorageError> {
        self.claim_in_order(destination, limit, true, lease).await
    }

    async fn lock(&self, id: MessageId, lease: Duration) -> Result<Option<Leased>, StorageError> {
        let shared = self.open()?;
        let args = Args::new()
            .shown(id)
            .text(self.owner.as_str())
            .shown(millis(lease));
        let found = shared.find(id, &scripts::LOCK, &args).await?;
        match found {
            Some((shard, granted)) => Ok(self.readable(shard, granted).await?.pop()),
            None => Ok(None),
        }
    }

    async fn unlock(&self, lease: &Lease) -> Result<Settled, StorageError> {
        let shared = self.open()?;
        let ticket = lease.ticket();
        let Some(shard) = shared.shards()?.get(Shard::number_of(ticket)) else {
            return Ok(Settled::LeaseLost);
        };
        let args = Args::new().shown(ticket.id).shown(Shard::own_token(ticket));
        let unlocked: i64 = shared.call(shard, &scripts::UNLOCK, &args).await?;
        shared.changed();
        Ok(Settled::if_current(unlocked == 1))
    }

    async fn renew(
        &self,
        tickets: &[Ticket],
        lease: Duration,
    ) -> Result<Vec<Settled>, StorageError> {
        let shared = self.open()?;
        let mut answers = vec![Settled::LeaseLost; tickets.len()];
        for (number, here) in by_shard(tickets.iter().map(|ticket| (*ticket, *ticket))) {
            let Some(shard) = shared.shards()?.get(number) else {
                continue;
            };
            let mut args = Args::new().shown(millis(lease)).shown(here.len());
            for (_, ticket) in &here {
                args = args.shown(ticket.id).shown(Shard::own_token(*ticket));
            }
            let renewed: Vec<i64> = shared.call(shard, &scripts::RENEW, &args).await?;
            for ((place, _), renewed) in here.iter().zip(renewed) {
                answers[*place] = Settled::if_current(renewed == 1);
            }
        }
        Ok(answers)
    }

    async fn settle(
        &self,
        batch: &[Settlement],
    ) -> Result<Vec<Result<Settled, StorageError>>, StorageError> {
        let shared = self.open()?;
        let shards = shared.shards()?;
        let mut answers = vec![Ok(Settled::LeaseLost); batch.len()];
        let settlements = batch
            .iter()
            .map(|settlement| (settlement.lease.ticket(), settlement));
        let mut settling = Vec::new();
        for (number, here) in by_shard(settlements) {
            if let Some(shard) = shards.get(number) {
                let (places, here): (Vec<usize>, Vec<&Settlement>) = here.into_iter().unzip();
                settling.push(async move { (places, settle::settle(shared, shard, &here).await) });
            }
        }
        // Where one shard is away, the others have answers all the same.
        for (places, settled) in join_all(settling).await {
            for (place, settled) in places.into_iter().zip(settled) {
                answers[place] = settled;
            }
        }
        shared.changed();
        Ok(answers)
    }

    async fn load(&self, id: MessageId) -> Result<Option<Listed>, StorageError> {
        reads::load(self.open()?, id).await
    }

    async fn contents(&self, id: MessageId) -> Result<Option<Content>, StorageError> {
        reads::contents(self.open()?, id).await
    }

    async fn list(&self, filter: &Filter, page: Page) -> Result<Listing, StorageError> {
        listing::list(self.open()?, filter, page).await
    }

    async fn stats(&self) -> Result<Stats, StorageError> {
        reads::stats(self.open()?).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StorageError> {
        reads::next_due(self.open()?).await
    }

    async fn changed(&self, seen: u64) -> Result<u64, StorageError> {
        self.closing.check()?;
        tokio::select! {
            biased;
            lost = self.shared.servers.lost() => Err(lost),
            news = self.closing.news(&self.shared.generation, seen) => news,
        }
    }

    /// The first shard knows who manages.
    async fn manage(&self, lasting: Duration) -> Result<Vec<Owner>, StorageError> {
        let shared = self.open()?;
        let shard = shared.shards()?.first().ok_or(StorageError::Closed)?;
        let args = Args::new().text(self.owner.as_str()).shown(millis(lasting));
        let managers: Vec<String> = shared.call(shard, &scripts::MANAGE, &args).await?;
        Ok(managers.into_iter().map(Owner::new).collect())
    }

    async fn act(
        &self,
        filter: &Filter,
        page: Page,
        action: &Action,
    ) -> Result<Acted, StorageError> {
        let shared = self.open()?;
        let acted = listing::act(shared, filter, page, action).await?;
        shared.changed();
        Ok(acted)
    }
}
