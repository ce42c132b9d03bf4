//! Which database, by its URL.

use std::fmt;
use std::time::Duration;

use deadpool_postgres::{Hook, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use slimta_core::storage::StorageError;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::durability;
use super::rows::told;
use super::tls::Parameters;

/// Connections that one process opens at most.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection may take to be made.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a call waits for a connection while all are in use and answer.
const WAIT_TIME_MAX: Duration = Duration::from_secs(10);
/// What our sessions ask of the server, unless the URL says otherwise. A manager
/// that is frozen or cut off in the middle of a transaction must not keep the
/// others from its mail for longer than its lease; and who waits for a row that
/// it holds has met no silent database.
const SESSION: &str = "-c idle_in_transaction_session_timeout=5s -c lock_timeout=1s";
/// Where PostgreSQL listens if the URL does not say.
const PORT_DEFAULT: u16 = 5432;
/// The parameter of a URL that only we know.
const ALLOW_LOSSY: &str = "allow_lossy";

/// What a URL says.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    /// The address without its secrets, for messages.
    pub(super) place: String,
    /// Servers that may lose what they have acknowledged are good enough.
    pub(super) allow_lossy: bool,
}

impl Target {
    pub(super) fn new(url: &str) -> Result<Self, StorageError> {
        let Split {
            url,
            allow_lossy,
            tls,
        } = Split::new(url).map_err(unusable)?;
        let parsed: Result<Config, tokio_postgres::Error> = url.parse();
        let mut config = parsed.map_err(|error| unusable(told(&error)))?;
        let (mode, tls) = tls.settle().map_err(unusable)?;
        // Nobody listens in on a socket of this machine, and PostgreSQL encrypts none.
        let is_here = |host: &Host| matches!(host, Host::Unix(_));
        let mode = match config.get_hosts().iter().all(is_here) {
            true => SslMode::Disable,
            false => mode,
        };
        config.ssl_mode(mode);
        config.application_name("slimta");
        config.connect_timeout(CONNECT_TIME_MAX);
        let of_the_url = config.get_options().unwrap_or_default();
        let options = format!("{SESSION} {of_the_url}");
        config.options(options.trim_end());
        if config.get_target_session_attrs() == TargetSessionAttrs::Any {
            // Of several hosts the primary; a standby is no place to store.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Ok(Target {
            place: place(&config),
            config,
            tls,
            allow_lossy,
        })
    }

    /// Connections to it; none is made yet.
    pub(super) fn pool(&self) -> Result<Pool, StorageError> {
        let recycling_method = RecyclingMethod::Fast;
        let manager = ManagerConfig { recycling_method };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), manager);
        let mut pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .wait_timeout(Some(WAIT_TIME_MAX))
            .create_timeout(Some(CONNECT_TIME_MAX))
            .runtime(Runtime::Tokio1);
        if !self.allow_lossy {
            pool = pool.post_create(Hook::async_fn(|client, _| {
                Box::pin(durability::demand(client))
            }));
        }
        pool.build().map_err(|error| unusable(error.to_string()))
    }
}

fn unusable(reason: String) -> StorageError {
    StorageError::Open {
        place: "postgres".to_owned(),
        reason,
    }
}

/// The address of a database without its secrets.
fn place(config: &Config) -> String {
    // One port is for all hosts, else each has its own.
    let ports = config.get_ports();
    let port = |at: usize| ports.get(at).or(ports.first()).unwrap_or(&PORT_DEFAULT);
    let hosts = config.get_hosts().iter().enumerate();
    let hosts = hosts.map(|(at, host)| match host {
        Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", port(at)),
        Host::Tcp(name) => format!("{name}:{}", port(at)),
        Host::Unix(path) => format!("{}:{}", path.display(), port(at)),
    });
    let hosts: Vec<String> = hosts.collect();
    let database = config.get_dbname().unwrap_or_default();
    format!("postgres://{}/{database}", hosts.join(","))
}

/// A URL without what tokio-postgres does not know or understands otherwise.
struct Split {
    url: String,
    allow_lossy: bool,
    tls: Parameters,
}

impl Split {
    fn new(url: &str) -> Result<Self, String> {
        let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut split = Split {
            url: address.to_owned(),
            allow_lossy: false,
            tls: Parameters::default(),
        };
        if parameters.contains('@') {
            // The rest of a password, which no message may name.
            let why = "in a password, ? is written %3F and @ is written %40";
            return Err(why.to_owned());
        }
        let mut joint = '?';
        for parameter in parameters.split('&').filter(|text| !text.is_empty()) {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                (ALLOW_LOSSY, "true") => split.allow_lossy = true,
                (ALLOW_LOSSY, "false") => split.allow_lossy = false,
                (ALLOW_LOSSY, other) => {
                    return Err(format!("{ALLOW_LOSSY} is true or false, not \"{other}\""));
                }
                (name, value) if split.tls.take(name, value)? => {}
                _ => {
                    split.url.push(joint);
                    split.url.push_str(parameter);
                    joint = '&';
                }
            }
        }
        Ok(split)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.place).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_ours_are_taken_out_of_the_url() {
        let split = |url: &str| {
            let split = Split::new(url).unwrap();
            (split.url, split.allow_lossy)
        };
        let plain = "postgres://u:p@h/d";
        assert_eq!(split(plain), (plain.to_owned(), false));
        assert_eq!(
            split(&format!("{plain}?allow_lossy=true&sslmode=require")),
            (plain.to_owned(), true)
        );
        assert_eq!(
            split(&format!("{plain}?a=b&allow_lossy=false&c=d")),
            (format!("{plain}?a=b&c=d"), false)
        );
        assert!(Split::new(&format!("{plain}?allow_lossy")).is_err());
    }

    #[test]
    fn messages_have_no_password_in_them() {
        let target = Target::new("postgres://user:secret@db.example:1234/mail").unwrap();
        assert_eq!(target.place, "postgres://db.example:1234/mail");
        for wrong in [
            "postgres://user:secret@h?x=y",
            "postgres://user:secret@h?allow_lossy=1",
            "postgres://user:secret@h:port",
            "postgres://user:a?secret@h",
            "postgres://user:a?secret@h?x=y",
            "postgres://user:a?b=secret@h",
        ] {
            let error = Target::new(wrong).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_place_has_every_host_with_its_port() {
        let place = |url: &str| Target::new(url).unwrap().place;
        assert_eq!(place("postgres://u:p@h/d"), "postgres://h:5432/d");
        assert_eq!(place("postgres://a,b:1/d"), "postgres://a:5432,b:1/d");
        assert_eq!(place("postgres://[::1]:7/d"), "postgres://[::1]:7/d");
        assert_eq!(place("postgres://%2Frun:7/d"), "postgres:///run:7/d");
    }

    #[test]
    fn a_parameter_that_nobody_knows_is_named() {
        let error = Target::new("postgres://u@h/d?bogus=1").unwrap_err();
        assert!(
            error.to_string().contains("unknown option `bogus`"),
            "{error}"
        );
    }
}
