//! The calls of the contract on PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slimta_core::message::{Content, Destination, MessageId, Submission};
use slimta_core::storage::{
    Acted, Action, Backlog, Due, Filter, FirstLeases, Lease, Leased, Listed, Listing, Owner, Page,
    Session, Settled, Settlement, Stats, StorageError, Suspension, Ticket,
};
use slimta_core::world::Timestamp;
use uuid::Uuid;

use super::clock::NOW;
use super::contents;
use super::listen::notify;
use super::listing;
use super::managers;
use super::reads;
use super::rows::{self, get, key, millis, token};
use super::settle::{NO_LEASE, quarantine, remove_alone, settle};
use super::store::{Columns, insert, pair};
use super::suspensions;
use super::{Shared, ask};
use crate::closing::Closing;

#[derive(Debug)]
pub(super) struct PostgresSession {
    shared: Arc<Shared>,
    owner: Owner,
    closing: Closing,
}

impl PostgresSession {
    pub(super) fn new(shared: Arc<Shared>, owner: Owner) -> Self {
        PostgresSession {
            shared,
            owner,
            closing: Closing::default(),
        }
    }

    fn open(&self) -> Result<&Shared, StorageError> {
        self.closing.check()?;
        Ok(&self.shared)
    }

    /// Keeps what was leased, and puts aside what cannot be read.
    async fn readable(&self, found: &[tokio_postgres::Row]) -> Result<Vec<Leased>, StorageError> {
        let mut leased = Vec::with_capacity(found.len());
        for row in found {
            match rows::leased(row)? {
                Ok(one) => leased.push(one),
                Err(unreadable) => {
                    let client = self.shared.client().await?;
                    quarantine(&client, key(unreadable.id), &unreadable.reason).await?;
                }
            }
        }
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
        let order = if by_age {
            "ORDER BY first.due, first.id"
        } else {
            ""
        };
        let statement = format!(
            "WITH clock AS MATERIALIZED (SELECT {NOW} AS now), due AS MATERIALIZED (
                 -- Of each priority only what is due: what waits behind it costs nothing.
                 SELECT first.id FROM clock, (VALUES (0), (1), (2)) AS priorities (priority),
                     LATERAL (
                         SELECT id, due FROM slimta_messages m
                         WHERE m.destination = $2 AND m.priority = priorities.priority
                             AND NOT m.is_held AND m.quarantined IS NULL AND m.due <= clock.now
                             AND (m.lease_end IS NULL OR m.lease_end <= clock.now)
                         ORDER BY m.due, m.id LIMIT $3
                         FOR UPDATE OF m SKIP LOCKED
                     ) AS first
                 {order} LIMIT $3
             )
             UPDATE slimta_messages m
             SET lease_owner = $4, lease_token = nextval('slimta_tokens'),
                 lease_end = clock.now + $5::bigint
             FROM due, clock WHERE m.id = due.id
             RETURNING m.id, m.record, m.lease_token, m.lease_end"
        );
        let client = shared.client().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = ask::rows(
            &client,
            &statement,
            &[
                &shared.clock.parameter(),
                &destination.as_str(),
                &limit,
                &self.owner.as_str(),
                &millis(lease),
            ],
        )
        .await?;
        drop(client);
        let mut leased = self.readable(&found).await?;
        leased.sort_by_key(|Leased { message, .. }| {
            let priority = (!by_age).then_some(message.priority);
            (priority, message.due, message.id)
        });
        Ok(leased)
    }
}

#[async_trait]
impl Session for PostgresSession {
    fn owner(&self) -> &Owner {
        &self.owner
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
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
        let columns = Columns::new(&submission)?;
        let client = shared.client().await?;
        let leases = insert(&client, &shared.clock, &columns, &self.owner, lease).await?;
        if leases.len() < submission.messages.len() {
            // It is stored, and would be found without this.
            let _ = notify(&client).await;
        }
        shared.changed();
        Ok(pair(leases, submission))
    }

    async fn due_destinations(
        &self,
        after: Option<&Due>,
        limit: usize,
    ) -> Result<Vec<Due>, StorageError> {
        let shared = self.open()?;
        reads::due_destinations(&shared.client().await?, &shared.clock, after, limit).await
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
        let statement = format!(
            "UPDATE slimta_messages
             SET lease_owner = $3, lease_token = nextval('slimta_tokens'),
                 lease_end = {NOW} + $4::bigint
             WHERE id = $2 AND quarantined IS NULL AND (lease_end IS NULL OR lease_end <= {NOW})
             RETURNING id, record, lease_token, lease_end"
        );
        let client = shared.client().await?;
        let found = ask::rows(
            &client,
            &statement,
            &[
                &shared.clock.parameter(),
                &key(id),
                &self.owner.as_str(),
                &millis(lease),
            ],
        )
        .await?;
        drop(client);
        Ok(self.readable(&found).await?.pop())
    }

    async fn unlock(&self, lease: &Lease) -> Result<Settled, StorageError> {
        let shared = self.open()?;
        let client = shared.client().await?;
        let statement =
            format!("UPDATE slimta_messages SET {NO_LEASE} WHERE id = $1 AND lease_token = $2");
        let (id, token) = (key(lease.id()), token(lease.ticket()));
        let changed = ask::run(&client, &statement, &[&id, &token]).await?;
        shared.changed();
        Ok(Settled::if_current(changed > 0))
    }

    async fn renew(
        &self,
        tickets: &[Ticket],
        lease: Duration,
    ) -> Result<Vec<Settled>, StorageError> {
        let shared = self.open()?;
        let statement = format!(
            "UPDATE slimta_messages m SET lease_end = {NOW} + $2::bigint
             FROM unnest($3::uuid[], $4::bigint[]) AS ticket (id, token)
             WHERE m.id = ticket.id AND m.lease_token = ticket.token
             RETURNING m.id, m.lease_token"
        );
        let ids: Vec<Uuid> = tickets.iter().map(|ticket| key(ticket.id)).collect();
        let tokens: Vec<i64> = tickets.iter().map(|ticket| token(*ticket)).collect();
        let client = shared.client().await?;
        let found = ask::rows(
            &client,
            &statement,
            &[&shared.clock.parameter(), &millis(lease), &ids, &tokens],
        )
        .await?;
        let renewed = found
            .iter()
            .map(|row| Ok((get::<Uuid>(row, "id")?, get::<i64>(row, "lease_token")?)))
            .collect::<Result<Vec<_>, StorageError>>()?;
        let is_renewed = |pair: (&Uuid, &i64)| renewed.contains(&(*pair.0, *pair.1));
        Ok(ids
            .iter()
            .zip(&tokens)
            .map(is_renewed)
            .map(Settled::if_current)
            .collect())
    }

    async fn settle(
        &self,
        batch: &[Settlement],
    ) -> Result<Vec<Result<Settled, StorageError>>, StorageError> {
        let shared = self.open()?;
        let mut ready = Vec::with_capacity(batch.len());
        for settlement in batch {
            let notices = settlement.notices.iter().map(Columns::new);
            let notices: Vec<_> = notices.collect::<Result<_, StorageError>>()?;
            ready.push((settlement, notices));
        }
        let mut client = shared.client().await?;
        if let [one] = batch
            && remove_alone(&client, one).await?
        {
            shared.changed();
            return Ok(vec![Ok(Settled::Done)]);
        }
        let txn = client.transaction().await?;
        let mut answers = Vec::with_capacity(batch.len());
        for (settlement, notices) in &ready {
            let clock = &shared.clock;
            answers.push(Ok(
                settle(&txn, clock, &self.owner, settlement, notices).await?
            ));
        }
        txn.commit().await?;
        shared.changed();
        Ok(answers)
    }

    async fn load(&self, id: MessageId) -> Result<Option<Listed>, StorageError> {
        let shared = self.open()?;
        let statement = format!(
            "SELECT id, record, lease_owner, lease_end, {NOW} AS now FROM slimta_messages
             WHERE id = $2 AND quarantined IS NULL"
        );
        let client = shared.client().await?;
        let found = ask::row(&client, &statement, &[&shared.clock.parameter(), &key(id)]).await?;
        let Some(row) = found else { return Ok(None) };
        match rows::message(&row)? {
            Ok(message) => Ok(Some(Listed {
                message,
                lease: rows::lease_view(&row)?,
            })),
            Err(unreadable) => {
                quarantine(&client, key(id), &unreadable.reason).await?;
                Ok(None)
            }
        }
    }

    async fn contents(&self, id: MessageId) -> Result<Option<Content>, StorageError> {
        let shared = self.open()?;
        let client = shared.client().await?;
        match contents::read(&client, id).await? {
            None => Ok(None),
            Some(Ok(content)) => Ok(Some(content)),
            Some(Err(reason)) => {
                quarantine(&client, key(id), &reason).await?;
                Ok(None)
            }
        }
    }

    async fn list(&self, filter: &Filter, page: Page) -> Result<Listing, StorageError> {
        let shared = self.open()?;
        let client = shared.client().await?;
        listing::list(&client, &shared.clock, filter, page).await
    }

    async fn waiting_destinations(
        &self,
        after: Option<&Due>,
        limit: usize,
    ) -> Result<Vec<Due>, StorageError> {
        let shared = self.open()?;
        reads::waiting_destinations(&shared.client().await?, &shared.clock, after, limit).await
    }

    async fn backlogs(
        &self,
        destinations: &[Destination],
        most: usize,
    ) -> Result<Vec<Backlog>, StorageError> {
        let shared = self.open()?;
        reads::backlogs(&shared.client().await?, &shared.clock, destinations, most).await
    }

    async fn stats(&self) -> Result<Stats, StorageError> {
        let shared = self.open()?;
        reads::stats(&shared.client().await?, &shared.clock).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StorageError> {
        let shared = self.open()?;
        reads::next_due(&shared.client().await?, &shared.clock).await
    }

    async fn changed(&self, seen: u64) -> Result<u64, StorageError> {
        self.closing.news(&self.shared.generation, seen).await
    }

    async fn manage(&self, lasting: Duration) -> Result<Vec<Owner>, StorageError> {
        let shared = self.open()?;
        managers::manage(&shared.client().await?, &shared.clock, &self.owner, lasting).await
    }

    async fn act(
        &self,
        filter: &Filter,
        page: Page,
        action: &Action,
    ) -> Result<Acted, StorageError> {
        let shared = self.open()?;
        let mut client = shared.client().await?;
        let txn = client.transaction().await?;
        let acted = listing::act(&txn, &shared.clock, filter, page, action).await?;
        if !acted.changed.is_empty() {
            notify(&txn).await?;
        }
        txn.commit().await?;
        shared.changed();
        Ok(acted)
    }

    async fn suspend(&self, suspension: &Suspension) -> Result<(), StorageError> {
        suspensions::suspend(self.open()?, suspension).await
    }

    async fn resume(&self, destinations: &str) -> Result<bool, StorageError> {
        suspensions::resume(self.open()?, destinations).await
    }

    async fn suspensions(&self) -> Result<Vec<Suspension>, StorageError> {
        let shared = self.open()?;
        suspensions::in_force(&shared.client().await?, &shared.clock).await
    }
}
