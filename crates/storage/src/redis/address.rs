//! What a URL says: servers, who we are there, and how to use them.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};

use slimta_core::storage::StorageError;

use super::encrypted::{self, Files};

/// Shards of a new queue: a single server has nothing to share out.
const SHARDS_MAX: u32 = 1024;
/// Where sentinels are found if the URL does not say.
const SENTINEL_PORT: &str = "26379";

/// A parsed URL.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// Servers to begin with, and how to present ourselves there. With
    /// sentinels it is one, of which only the latter counts.
    pub(super) seeds: Vec<ConnectionInfo>,
    /// Who says which server is to be used, if somebody does.
    pub(super) sentinels: Option<Sentinels>,
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

/// Who to ask for the primary.
#[derive(Clone, Debug)]
pub(super) struct Sentinels {
    pub(super) seeds: Vec<ConnectionInfo>,
    /// What they call it.
    pub(super) master: String,
    /// What the servers behind them are told and known by, over TLS.
    pub(super) certificates: Option<TlsCertificates>,
}

/// What stands behind the question mark.
#[derive(Default)]
struct Options<'u> {
    prefix: Option<&'u str>,
    shards: Option<u32>,
    allow_lossy: bool,
    must_exist: bool,
    /// `USER:PASSWORD` at the sentinels.
    sentinel_auth: Option<&'u str>,
    files: Files,
}

/// The parts of a URL, still as they stand there.
struct Parts<'u> {
    is_tls: bool,
    is_insecure: bool,
    is_sentinel: bool,
    /// Over TLS, once they are read.
    certificates: Option<TlsCertificates>,
    /// `USER:PASSWORD@`, or nothing.
    user: String,
    hosts: &'u str,
    path: &'u str,
    options: &'u str,
}

impl Address {
    /// From `redis://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/DATABASE][?OPTIONS]`,
    /// or `redis+sentinel://…/MASTER[/DATABASE]`; with `rediss` for `redis` the
    /// same over TLS.
    pub(super) fn parse(url: &str) -> Result<Self, StorageError> {
        Address::of(url).map_err(|reason| StorageError::Open {
            place: "redis".to_owned(),
            reason,
        })
    }

    fn of(url: &str) -> Result<Self, String> {
        let mut parts = Parts::of(url)?;
        let options = Options::of(parts.options)?;
        parts.certificates = options.files.read(parts.is_tls, parts.is_insecure)?;
        let scheme = url.split(':').next().unwrap_or_default();
        let place = format!("{scheme}://{}/{}", parts.hosts, parts.path);
        let (master, database) = match parts.is_sentinel {
            true => parts.path.split_once('/').unwrap_or((parts.path, "")),
            false => ("", parts.path),
        };
        let mut hosts = Vec::new();
        for host in parts.hosts.split(',') {
            hosts.push(parts.server(&parts.user, host, database)?);
        }
        let sentinels = match parts.is_sentinel {
            true => Some(parts.sentinels(master, &options)?),
            false if options.sentinel_auth.is_some() => {
                return Err("sentinel_auth is for redis+sentinel://".to_owned());
            }
            false => None,
        };
        Ok(Address {
            seeds: hosts,
            sentinels,
            place,
            prefix: options.prefix.unwrap_or("slimta").to_owned(),
            shards: options.shards,
            allow_lossy: options.allow_lossy,
            must_exist: options.must_exist,
        })
    }

    /// A server that another one named, under the same name and password.
    pub(super) fn other(&self, host_and_port: &str) -> Option<ConnectionInfo> {
        let (host, port) = host_and_port.rsplit_once(':')?;
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = port.parse().ok()?;
        let like = self.seeds.first()?.clone();
        let addr = match like.addr().clone() {
            ConnectionAddr::TcpTls {
                insecure,
                tls_params,
                ..
            } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure,
                tls_params,
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        Some(like.set_addr(addr))
    }
}

impl<'u> Parts<'u> {
    fn of(url: &'u str) -> Result<Self, String> {
        let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
        let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
        let (is_tls, is_sentinel) = match scheme {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis+sentinel" => (false, true),
            "rediss+sentinel" => (true, true),
            _ => {
                return Err(
                    "the URL begins with redis://, rediss:// (TLS), redis+sentinel:// or \
                            rediss+sentinel://"
                        .to_owned(),
                );
            }
        };
        if !(fragment.is_empty() || is_tls && fragment == "insecure") {
            return Err("behind # stands only \"insecure\", for rediss".to_owned());
        }
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        Ok(Parts {
            is_tls,
            is_insecure: fragment == "insecure",
            is_sentinel,
            certificates: None,
            user,
            hosts,
            path,
            options,
        })
    }

    /// A server, or a sentinel, and who we are there.
    fn server(&self, user: &str, host: &str, database: &str) -> Result<ConnectionInfo, String> {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        let insecure = if self.is_insecure { "#insecure" } else { "" };
        let url = format!("{scheme}://{user}{host}/{database}{insecure}");
        // What is wrong is told without the password.
        let wrong = |_| format!("\"{host}/{database}\" is not HOST[:PORT]/[DATABASE]");
        let info = url.as_str().into_connection_info().map_err(wrong)?;
        match &self.certificates {
            Some(certificates) => encrypted::encrypt(info, certificates.clone()),
            None => Ok(info),
        }
    }

    fn sentinels(&self, master: &str, options: &Options<'_>) -> Result<Sentinels, String> {
        if master.is_empty() {
            return Err(
                "the URL lacks the name that the sentinels know the primary by, as in \
                        redis+sentinel://HOST,HOST,HOST/mymaster"
                    .to_owned(),
            );
        }
        if !options.allow_lossy {
            return Err(
                "Redis answers before its replicas have what it answers for, so a \
                        failover by Sentinel can lose mail that was answered for: name a server \
                        without replicas by redis://, or add allow_lossy=true to the URL"
                    .to_owned(),
            );
        }
        let user = options.sentinel_auth.map(|auth| format!("{auth}@"));
        let user = user.unwrap_or_default();
        let mut seeds = Vec::new();
        for host in self.hosts.split(',') {
            let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
            let host = match has_port {
                true => host.to_owned(),
                false => format!("{host}:{SENTINEL_PORT}"),
            };
            seeds.push(self.server(&user, &host, "")?);
        }
        Ok(Sentinels {
            seeds,
            master: master.to_owned(),
            certificates: self.certificates.clone(),
        })
    }
}

impl<'u> Options<'u> {
    fn of(text: &'u str) -> Result<Self, String> {
        let mut options = Options::default();
        for option in text.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            options.set(name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &'u str) -> Result<(), String> {
        let is_true = || match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("{name} is true or false, not \"{value}\"")),
        };
        match name {
            "allow_lossy" => self.allow_lossy = is_true()?,
            "must_exist" => self.must_exist = is_true()?,
            "prefix" if is_prefix(value) => self.prefix = Some(value),
            "prefix" => return Err("a prefix has letters, digits, \"-\", \"_\", \".\"".to_owned()),
            "sentinel_auth" => self.sentinel_auth = Some(value),
            "shards" => {
                let shards = value.parse().ok().filter(|n| (1..=SHARDS_MAX).contains(n));
                let range = || format!("shards is a number from 1 to {SHARDS_MAX}");
                self.shards = Some(shards.ok_or_else(range)?);
            }
            _ if self.files.take(name, value)? => {}
            _ => {
                return Err(format!(
                    "unknown option \"{name}\": there are allow_lossy, cacert, cert, key, \
                     must_exist, prefix, sentinel_auth, shards"
                ));
            }
        }
        Ok(())
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
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            format!("{host}:{port}")
        }
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
            "redis://u:secret@a#insecure",
            "rediss://u:secret@a#else",
            "redis://u:secret@a?cacert=/root.pem",
            "redis://u:secret@a?sentinel_auth=u:secret",
            "redis+sentinel://u:secret@a/m",
            "redis+sentinel://u:secret@a?sentinel_auth=u:secret&allow_lossy=true",
            "other://u:secret@a",
        ] {
            assert!(!error(url).contains("secret"), "{}", error(url));
        }
    }

    #[test]
    fn a_url_names_sentinels_and_what_they_look_after() {
        let url = "redis+sentinel://u:p@a,b:7,[::1]/mail/2?sentinel_auth=s:t&allow_lossy=true";
        let address = Address::parse(url).unwrap();
        let sentinels = address.sentinels.as_ref().unwrap();
        let hosts: Vec<String> = sentinels.seeds.iter().map(host).collect();
        assert_eq!(hosts, ["a:26379", "b:7", "::1:26379"]);
        assert_eq!(sentinels.master, "mail");
        let of = |info: &ConnectionInfo| {
            let settings = info.redis_settings();
            let password = settings.password().unwrap().to_owned();
            (password, settings.db())
        };
        assert_eq!(of(&sentinels.seeds[0]), ("t".to_owned(), 0));
        assert_eq!(of(&address.other("c:1").unwrap()), ("p".to_owned(), 2));
        let lossy = error("redis+sentinel://a/mail");
        assert!(
            lossy.contains("failover by Sentinel") && lossy.contains("allow_lossy=true"),
            "{lossy}"
        );
        assert!(error("redis+sentinel://a?allow_lossy=true").contains("mymaster"));
    }

    #[test]
    fn other_servers_are_encrypted_as_the_first() {
        for (url, insecure) in [("rediss://a", false), ("rediss://a/#insecure", true)] {
            let other = Address::parse(url).unwrap().other("b:1").unwrap();
            let ConnectionAddr::TcpTls { insecure: is, .. } = other.addr() else {
                panic!("{url}");
            };
            assert_eq!(*is, insecure);
        }
    }
}
