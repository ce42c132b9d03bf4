//! Connections through a SOCKS5 proxy (RFC 1928), with a name and a password if it
//! wants them (RFC 1929).
//!
//! The proxy is told an address, never a name: which hosts take mail for a domain is
//! this host's own matter.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connector::{Connector, Endpoint, Stream};
use super::source::Sources;

const VERSION: u8 = 5;
/// The version of the exchange of name and password.
const LOGIN_VERSION: u8 = 1;
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;
const NONE_OF_THEM: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// A proxy through which next hops are connected to. Clones share it.
#[derive(Clone, PartialEq, Eq)]
pub struct Socks5(Arc<Proxy>);

#[derive(PartialEq, Eq)]
struct Proxy {
    host: String,
    port: u16,
    /// The message that says name and password.
    login: Option<Vec<u8>>,
}

/// No proxy can be told this name and password.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a name and a password for a SOCKS5 proxy have 1 to 255 bytes each (RFC 1929)")]
pub struct Socks5LoginError;

impl Socks5 {
    /// One at `host`, a name or an address, that asks for nothing.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Socks5(Arc::new(Proxy {
            host: host.into(),
            port,
            login: None,
        }))
    }

    /// The same, which may ask who this host is. It is told in clear.
    pub fn with_login(self, user: &str, password: &[u8]) -> Result<Self, Socks5LoginError> {
        let fits = |bytes: &[u8]| u8::try_from(bytes.len()).ok().filter(|len| *len > 0);
        let (user_len, password_len) = fits(user.as_bytes())
            .zip(fits(password))
            .ok_or(Socks5LoginError)?;
        let begin: &[u8] = &[LOGIN_VERSION, user_len];
        let login = [begin, user.as_bytes(), &[password_len], password].concat();
        Ok(Socks5(Arc::new(Proxy {
            host: self.0.host.clone(),
            port: self.0.port,
            login: Some(login),
        })))
    }

    /// A connection to `to` through it. Whether it is the proxy or the next hop that
    /// is not there tells [`ProxyError::is_of_proxy`]. The caller limits the time.
    pub(super) async fn connect(
        &self,
        connector: &dyn Connector,
        sources: &Sources,
        to: SocketAddr,
    ) -> io::Result<Box<dyn Stream>> {
        let connected = self.connect_to_proxy(connector, sources).await;
        let result = match connected {
            Ok(mut stream) => {
                let agreed = negotiate(&mut stream, self.0.login.as_deref(), to).await;
                agreed.map(|()| stream)
            }
            Err(error) => Err(ProxyError::Absent(error)),
        };
        result.map_err(|error| {
            if error.is_of_proxy() {
                tracing::warn!(proxy = %self, %to, %error, "no connection through the proxy");
            }
            io::Error::other(error)
        })
    }

    async fn connect_to_proxy(
        &self,
        connector: &dyn Connector,
        sources: &Sources,
    ) -> io::Result<Box<dyn Stream>> {
        let found = tokio::net::lookup_host((self.0.host.as_str(), self.0.port)).await?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        for address in found {
            let source = sources.towards(address.ip());
            match connector.connect(&Endpoint::Tcp(address), source).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl fmt::Display for Socks5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.host, self.0.port)
    }
}

impl fmt::Debug for Socks5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socks5({self})")
    }
}

/// Why there is no connection through a proxy. It does not name the proxy: a sender
/// may come to see it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("the SOCKS5 proxy cannot be reached: {0}")]
    Absent(io::Error),
    #[error("the connection to the SOCKS5 proxy was lost: {0}")]
    Lost(#[from] io::Error),
    #[error("the SOCKS5 proxy does not speak SOCKS5 (RFC 1928)")]
    OutOfStep,
    #[error("the SOCKS5 proxy takes none of the ways to log in that are known here")]
    NoWay,
    #[error("the SOCKS5 proxy refused name and password")]
    Denied,
    #[error("the SOCKS5 proxy made no connection: {0}")]
    Refused(Refusal),
}

/// What a proxy says of a connection that it did not make (RFC 1928 section 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusal(u8);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            1 => "general failure",
            2 => "not allowed by its rules",
            3 => "network unreachable",
            4 => "host unreachable",
            5 => "connection refused",
            6 => "time to live expired",
            7 => "it knows no CONNECT",
            8 => "it does not know this kind of address",
            other => return write!(f, "code {other}"),
        })
    }
}

impl ProxyError {
    /// Whether it says nothing of the next hop.
    pub(super) fn is_of_proxy(&self) -> bool {
        !matches!(self, ProxyError::Refused(Refusal(3..=6)))
    }
}

/// Asks for a connection to `to`. What is read is what the proxy says, and nothing
/// of what comes behind it.
async fn negotiate<S>(
    stream: &mut S,
    login: Option<&[u8]>,
    to: SocketAddr,
) -> Result<(), ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let ways: &[u8] = match login {
        Some(_) => &[VERSION, 2, NO_LOGIN, LOGIN],
        None => &[VERSION, 1, NO_LOGIN],
    };
    say(stream, ways).await?;
    match (hear(stream).await?, login) {
        ([VERSION, NO_LOGIN], _) => {}
        ([VERSION, LOGIN], Some(login)) => {
            say(stream, login).await?;
            match hear(stream).await? {
                [LOGIN_VERSION, 0] => {}
                [LOGIN_VERSION, _] => return Err(ProxyError::Denied),
                _ => return Err(ProxyError::OutOfStep),
            }
        }
        ([VERSION, NONE_OF_THEM], _) => return Err(ProxyError::NoWay),
        _ => return Err(ProxyError::OutOfStep),
    }
    say(stream, &request(to)).await?;
    let [version, code, _reserved, kind] = hear(stream).await?;
    match (version, code) {
        (VERSION, 0) => {}
        (VERSION, code) => return Err(ProxyError::Refused(Refusal(code))),
        _ => return Err(ProxyError::OutOfStep),
    }
    // The address that it connects from, which nobody needs.
    let address_len = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => {
            let [len] = hear(stream).await?;
            usize::from(len)
        }
        _ => return Err(ProxyError::OutOfStep),
    };
    let mut rest = vec![0; address_len + size_of::<u16>()];
    stream.read_exact(&mut rest).await?;
    Ok(())
}

fn request(to: SocketAddr) -> Vec<u8> {
    let mut request = vec![VERSION, CONNECT, 0];
    match to.ip().to_canonical() {
        IpAddr::V4(v4) => {
            request.push(IPV4);
            request.extend(v4.octets());
        }
        IpAddr::V6(v6) => {
            request.push(IPV6);
            request.extend(v6.octets());
        }
    }
    request.extend(to.port().to_be_bytes());
    request
}

async fn say<S: AsyncWrite + Unpin + ?Sized>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn hear<S, const N: usize>(stream: &mut S) -> io::Result<[u8; N]>
where
    S: AsyncRead + Unpin + ?Sized,
{
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const TO: &str = "192.0.2.1:25";
    const LOGIN_SAID: &[u8] = b"\x01\x03ann\x06secret";

    /// What is said to a proxy that says `said` at once, what comes of it, and how
    /// much of it was read.
    fn play(said: &[u8], login: bool, to: &str) -> (Vec<u8>, Result<(), ProxyError>, usize) {
        let mut stream = tokio::io::join(Cursor::new(said.to_vec()), Vec::new());
        let login = login.then_some(LOGIN_SAID);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let asking = negotiate(&mut stream, login, to.parse().unwrap());
        let done = runtime.unwrap().block_on(asking);
        let (reader, writer) = stream.into_inner();
        (writer, done, usize::try_from(reader.position()).unwrap())
    }

    #[test]
    fn what_is_said_is_what_the_rfcs_say() {
        let answer = b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\x00220 mx";
        let (said, done, read) = play(answer, false, TO);
        done.unwrap();
        assert_eq!(
            said,
            b"\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x19"
        );
        assert_eq!(read, 12, "the greeting is left for the session");
        let answer = b"\x05\x02\x01\x00\x05\x00\x00\x03\x02ab\0\0";
        let (said, done, _) = play(answer, true, "[2001:db8::1]:26");
        done.unwrap();
        let expected = [
            b"\x05\x02\x00\x02",
            LOGIN_SAID,
            b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x1a",
        ];
        assert_eq!(said, expected.concat());
    }

    #[test]
    fn each_refusal_is_named_and_told_from_that_of_the_next_hop() {
        for (said, login, why, is_of_proxy) in [
            (&b"\x05\xff"[..], false, "none of the ways", true),
            (b"\x05\x02", false, "does not speak", true),
            (b"\x05\x02\x01\x01", true, "refused name and password", true),
            (b"220 mx.example\r\n", false, "does not speak", true),
            (b"\x05", false, "was lost", true),
            (
                b"\x05\x00\x05\x02\x00\x01",
                false,
                "not allowed by its rules",
                true,
            ),
            (
                b"\x05\x00\x05\x05\x00\x01",
                false,
                "connection refused",
                false,
            ),
            (
                b"\x05\x00\x05\x04\x00\x01",
                false,
                "host unreachable",
                false,
            ),
            (b"\x05\x00\x05\x77\x00\x01", false, "code 119", true),
        ] {
            let (_, done, _) = play(said, login, TO);
            let error = done.unwrap_err();
            assert!(error.to_string().contains(why), "{said:?}: {error}");
            assert_eq!(error.is_of_proxy(), is_of_proxy, "{said:?}");
        }
    }

    #[test]
    fn a_login_fits_its_message() {
        let proxy = || Socks5::new("127.0.0.1", 1080);
        assert!(proxy().with_login(&"u".repeat(255), &[0; 255]).is_ok());
        for (user, password) in [("", &b"x"[..]), ("u", b""), ("u", &[0; 256])] {
            assert!(proxy().with_login(user, password).is_err());
        }
        let shown = format!("{:?}", proxy().with_login("ann", b"secret").unwrap());
        assert_eq!(shown, "Socks5(127.0.0.1:1080)");
    }

    proptest! {
        /// No bytes break it, and only a success is one.
        #[test]
        fn only_a_success_is_a_connection(
            begin in prop_oneof![Just(vec![]), Just(vec![5, 0]), Just(vec![5, 0, 5, 0, 0])],
            rest in prop::collection::vec(any::<u8>(), 0..300),
            login in any::<bool>(),
        ) {
            let said = [begin, rest].concat();
            let (_, done, read) = play(&said, login, TO);
            prop_assert!(read <= said.len());
            if done.is_ok() {
                let answer = match said[1] {
                    NO_LOGIN => &said[2..],
                    _ => &said[4..],
                };
                prop_assert_eq!(&answer[..2], &[5, 0][..]);
            }
        }
    }
}
