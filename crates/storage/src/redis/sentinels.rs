//! Asks sentinels which server is the primary.
//!
//! They name another one after a failover. Who calls in the meantime is told to
//! try later: an answer, also none, holds for a second.

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt as _;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionAddr, ConnectionInfo, RedisError, TlsMode};
use slimta_core::storage::StorageError;
use slimta_core::world::World;
use tokio::sync::Mutex;

use super::address::{self, Address, host};
use super::encrypted;

/// How long the sentinels, and the primary that they name, may take.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(1500);
/// How long what they said is taken for true.
const ANSWER_HOLDS: Duration = Duration::from_secs(1);

/// Who knows the primary.
pub(super) struct Sentinels {
    /// Where they are, and the name of the primary, for messages.
    place: String,
    world: World,
    asked: Mutex<Asked>,
}

struct Asked {
    client: SentinelClient,
    /// What they said last, and until when it is taken for true.
    answer: Option<(Result<String, StorageError>, Duration)>,
}

impl Sentinels {
    pub(super) fn new(
        address: &Address,
        sentinels: &address::Sentinels,
        world: World,
    ) -> Result<Self, StorageError> {
        let place = address.place.clone();
        let unusable = |error: RedisError| StorageError::Open {
            place: place.clone(),
            reason: error.to_string(),
        };
        let client = client(address, sentinels).map_err(unusable)?;
        Ok(Sentinels {
            place,
            world,
            asked: Mutex::new(Asked {
                client,
                answer: None,
            }),
        })
    }

    /// Host and port of the primary.
    pub(super) async fn primary(&self) -> Result<String, StorageError> {
        let asking = async {
            let mut asked = self.asked.lock().await;
            if let Some((answer, until)) = &asked.answer
                && self.world.monotonic() < *until
            {
                return answer.clone();
            }
            // Boxed, because it is a deep one inside of many others.
            let asking = asked.client.async_get_client().boxed();
            let answer = match self.world.timeout(ANSWER_TIME_MAX, asking).await {
                Some(Ok(client)) => Ok(host(client.get_connection_info())),
                Some(Err(error)) => Err(self.failed(&error)),
                None => Err(self.away("no answer")),
            };
            let until = self.world.monotonic() + ANSWER_HOLDS;
            asked.answer = Some((answer.clone(), until));
            answer
        };
        let asked = self.world.timeout(ANSWER_TIME_MAX, asking).await;
        asked.unwrap_or_else(|| Err(self.away("no answer")))
    }

    fn failed(&self, error: &RedisError) -> StorageError {
        match encrypted::refusal(error) {
            Some(reason) => StorageError::Open {
                place: self.place.clone(),
                reason,
            },
            None => self.away(&error.to_string()),
        }
    }

    fn away(&self, why: &str) -> StorageError {
        let place = &self.place;
        StorageError::Unavailable(format!("{place}: the sentinels name no primary: {why}"))
    }
}

/// The client crate's, which asks for the primary and sees that it is one.
fn client(address: &Address, sentinels: &address::Sentinels) -> Result<SentinelClient, RedisError> {
    let seeds = sentinels.seeds.iter().map(|seed| seed.addr().clone());
    let kind = SentinelServerType::Master;
    let mut builder = SentinelClientBuilder::new(seeds, &sentinels.master, kind)?;
    if let Some(there) = sentinels.seeds.first().map(ConnectionInfo::redis_settings) {
        if let Some(name) = there.username() {
            builder = builder.set_client_to_sentinel_username(name);
        }
        if let Some(password) = there.password() {
            builder = builder.set_client_to_sentinel_password(password);
        }
    }
    let Some(primary) = address.seeds.first() else {
        return builder.build();
    };
    let there = primary.redis_settings();
    builder = builder.set_client_to_redis_db(there.db());
    if let Some(name) = there.username() {
        builder = builder.set_client_to_redis_username(name);
    }
    if let Some(password) = there.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if let ConnectionAddr::TcpTls { insecure, .. } = primary.addr() {
        let mode = if *insecure {
            TlsMode::Insecure
        } else {
            TlsMode::Secure
        };
        builder = builder.set_client_to_redis_tls_mode(mode);
    }
    if let Some(certificates) = &sentinels.certificates {
        builder = builder.set_client_to_redis_certificates(certificates.clone());
    }
    builder.build()
}

impl fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sentinels").field(&self.place).finish()
    }
}
