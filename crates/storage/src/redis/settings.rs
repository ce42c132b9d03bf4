//! What a server must be to keep what was answered for.
//!
//! Looked at whenever a connection is made, so that a server that came back
//! with other settings is noticed.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Scripts that say what they do when memory is full came with it.
const VERSION_MIN: u32 = 7;

/// Settings that lose mail when they have another value.
const REQUIRED: [(&str, &str); 4] = [
    ("appendonly", "yes"),
    ("appendfsync", "always"),
    ("no-appendfsync-on-rewrite", "no"),
    ("maxmemory-policy", "noeviction"),
];

/// Why a server is not used.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It cannot be asked now.
    Away(RedisError),
    /// It takes no writes.
    Replica,
    /// It is not used as it is: why, and what to do.
    Refused(String),
}

impl From<RedisError> for Unfit {
    fn from(error: RedisError) -> Self {
        Unfit::Away(error)
    }
}

/// What is told of a server.
pub(super) struct Kind {
    pub(super) is_cluster: bool,
}

/// Refuses a server that may lose mail, unless that is allowed, and one that
/// cannot be used at all.
pub(super) async fn check(
    connection: &mut MultiplexedConnection,
    allow_lossy: bool,
) -> Result<Kind, Unfit> {
    let info: String = redis::cmd("INFO").query_async(connection).await?;
    let info = parse(&info);
    let kind = Kind {
        is_cluster: info.get("cluster_enabled") == Some(&"1"),
    };
    // A replica refuses writes, whatever is allowed.
    if info.get("role") != Some(&"master") {
        return Err(Unfit::Replica);
    }
    let version = info.get("redis_version").copied().unwrap_or_default();
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < VERSION_MIN) {
        return Err(Unfit::Refused(format!(
            "the server has version \"{version}\": it takes {VERSION_MIN} at least"
        )));
    }
    if allow_lossy {
        return Ok(kind);
    }
    for (name, wanted) in REQUIRED {
        let found = setting(connection, name).await?;
        if found != wanted {
            return Err(Unfit::Refused(format!(
                "{name} is \"{found}\", and the server may lose mail that was answered for: \
                 set it to \"{wanted}\", or add allow_lossy=true to the URL"
            )));
        }
    }
    let replicas = info.get("connected_slaves").copied().unwrap_or("0");
    if replicas != "0" {
        return Err(Unfit::Refused(format!(
            "connected_slaves is {replicas}, and if one of these replicas takes over, what it had \
             not received is lost: use a server without, or add allow_lossy=true to the URL"
        )));
    }
    Ok(kind)
}

async fn setting(connection: &mut MultiplexedConnection, name: &str) -> Result<String, Unfit> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    let found: Result<BTreeMap<String, String>, _> = command.query_async(connection).await;
    match found {
        Ok(found) => Ok(found.into_values().next().unwrap_or_default()),
        Err(error) if is_forbidden(&error) => Err(Unfit::Refused(format!(
            "{name} cannot be asked for, because CONFIG GET is forbidden here ({error}): allow it, \
             or, if you know that the server loses nothing, add allow_lossy=true to the URL"
        ))),
        Err(error) => Err(error.into()),
    }
}

/// Not allowed by its access control, or renamed away.
fn is_forbidden(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(kind) => {
            matches!(
                kind,
                ServerErrorKind::NoPerm | ServerErrorKind::ResponseError
            )
        }
        _ => false,
    }
}

fn parse(info: &str) -> BTreeMap<&str, &str> {
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .collect()
}
