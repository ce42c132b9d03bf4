//! What a URL says: servers, who we are there, and how to use them.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use slimta_core::storage::StorageError;

/// Shards of a new queue: a single server has nothing to share out.
const SHARDS_MAX: u32 = 1024;

/// A parsed URL.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// Servers to begin with, and how to present ourselves there.
    pub(super) seeds: Vec<ConnectionInfo>,
    /// The address without the password, for messages.
    pub(super) place: String,
    /// What the names of all keys begin with.
    pub(super) prefix: String,
    /// How many shards a new queue gets; by the kind of server if not given.
    pub(super) shards: Option<u32>,
    /// Whether the operator takes a server that may lose mail.
    pub(super) allow_lossy: bool,
    /// Whether an empty server is an error.
    pub(super) must_exist: bool,
}

impl Address {
    /// From `redis://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/DATABASE][?OPTIONS]`.
    pub(super) fn parse(url: &str) -> Result<Self, StorageError> {
        let unusable = |reason: String| StorageError::Open {
            place: "redis".to_owned(),
            reason,
        };
        let rest = url.strip_prefix("redis://").ok_or_else(|| {
            unusable("TLS to Redis is not there yet: use redis:// on a trusted network".to_owned())
        })?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let seed = |host: &str| {
            let url = format!("redis://{user}{host}/{database}");
            // What is wrong is told without the password.
            let wrong = |_| {
                unusable(format!(
                    "\"{host}/{database}\" is not HOST[:PORT]/[DATABASE]"
                ))
            };
            url.as_str().into_connection_info().map_err(wrong)
        };
        let mut address = Address {
            seeds: hosts.split(',').map(seed).collect::<Result<_, _>>()?,
            place: format!("redis://{hosts}/{database}"),
            prefix: "slimta".to_owned(),
            shards: None,
            allow_lossy: false,
            must_exist: false,
        };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            address.set(option).map_err(unusable)?;
        }
        Ok(address)
    }

    fn set(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let is_true = || match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("{name} is true or false, not \"{value}\"")),
        };
        match name {
            "allow_lossy" => self.allow_lossy = is_true()?,
            "must_exist" => self.must_exist = is_true()?,
            "prefix" if is_prefix(value) => self.prefix = value.to_owned(),
            "prefix" => return Err("a prefix has letters, digits, \"-\", \"_\", \".\"".to_owned()),
            "shards" => {
                let shards = value.parse().ok().filter(|n| (1..=SHARDS_MAX).contains(n));
                let range = || format!("shards is a number from 1 to {SHARDS_MAX}");
                self.shards = Some(shards.ok_or_else(range)?);
            }
            _ => {
                return Err(format!(
                    "unknown option \"{name}\": there are allow_lossy, must_exist, prefix, shards"
                ));
            }
        }
        Ok(())
    }

    /// A server that another one named, under the same name and password.
    pub(super) fn other(&self, host_and_port: &str) -> Option<ConnectionInfo> {
        let (host, port) = host_and_port.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let addr = ConnectionAddr::Tcp(host.to_owned(), port.parse().ok()?);
        Some(self.seeds.first()?.clone().set_addr(addr))
    }
}

/// Nothing that ends a hash tag or means something in a pattern.
fn is_prefix(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(is_plain)
}

/// Where a server is, for messages and to tell servers apart.
pub(super) fn host(info: &ConnectionInfo) -> String {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        Address::parse(url).unwrap_err().to_string()
    }

    #[test]
    fn a_url_names_servers_and_options() {
        let address =
            Address::parse("redis://u:p%40ss@a:7000,b,[::1]:7001/2?prefix=mail.q&shards=4");
        let address = address.unwrap();
        let hosts: Vec<String> = address.seeds.iter().map(host).collect();
        assert_eq!(
            hosts,
            [
                "a:7000".to_owned(),
                "b:6379".to_owned(),
                "::1:7001".to_owned()
            ]
        );
        let settings = address.seeds[1].redis_settings();
        assert_eq!(settings.password(), Some("p@ss"));
        assert_eq!((settings.username(), settings.db()), (Some("u"), 2));
        assert_eq!(
            (address.prefix.as_str(), address.shards),
            ("mail.q", Some(4))
        );
        assert!(!address.place.contains("p%40ss"), "{}", address.place);
        let other = address.other("10.0.0.1:7002").unwrap();
        assert_eq!(
            (host(&other).as_str(), other.redis_settings().db()),
            ("10.0.0.1:7002", 2)
        );
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for url in [
            "redis://u:secret@a:port",
            "redis://u:secret@a/b",
            "redis://u:secret@a?shards=0",
            "redis://u:secret@a?prefix={x}",
            "redis://u:secret@a?allow_lossy=maybe",
            "redis://u:secret@a?wrong=1",
            "rediss://u:secret@a",
        ] {
            assert!(!error(url).contains("secret"), "{}", error(url));
        }
        assert!(error("rediss://a").contains("TLS"));
    }
}
