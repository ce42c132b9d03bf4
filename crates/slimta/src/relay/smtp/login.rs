//! Who this host says it is to a server that wants to know (AUTH, RFC 4954).

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use slimta_smtp::client::Login;

use crate::message::Response;

/// What is read of a file of a password, at most.
const FILE_BYTES_MAX: u64 = 4096;

/// A name, and a password or the file it is in, for the one server of a relay.
/// They are said by PLAIN or LOGIN, under TLS only, so mail waits where there is
/// none, whatever the level of its destination.
///
/// ```
/// # use slimta::relay::{SmtpLogin, SmtpLoginError, SmtpRelay};
/// # fn example(relay: SmtpRelay) -> Result<SmtpRelay, SmtpLoginError> {
/// let login = SmtpLogin::with_password_file("ann", "/etc/slimta/smarthost-password");
/// login.check()?;
/// let relay = relay.with_login(login);
/// # Ok(relay)
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SmtpLogin {
    user: String,
    password: Password,
    is_for_clear: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Password {
    /// With its name.
    Known(Login),
    InFile(PathBuf),
}

/// Why there is no name or no password.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum SmtpLoginError {
    /// The file cannot be read.
    #[error("the password of {user} cannot be read from {}: {error}", file.display())]
    Unreadable {
        /// Whose.
        user: String,
        /// From where.
        file: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// No exchange can carry them.
    #[error(
        "the user {user:?} and its password cannot be sent: neither may be empty or hold a NUL, a name has 255 bytes at most and a password 1024"
    )]
    Unsendable {
        /// Who.
        user: String,
    },
}

impl SmtpLogin {
    /// A password that is known.
    pub fn new(user: &str, password: &[u8]) -> Result<Self, SmtpLoginError> {
        Ok(SmtpLogin {
            password: Password::Known(login(user, password)?),
            user: user.to_owned(),
            is_for_clear: false,
        })
    }

    /// A password that is the first line of `file`. It is read for each
    /// connection, so a new one needs no restart.
    pub fn with_password_file(user: &str, file: impl Into<PathBuf>) -> Self {
        SmtpLogin {
            user: user.to_owned(),
            password: Password::InFile(file.into()),
            is_for_clear: false,
        }
    }

    /// Lets them be sent in clear, too, where everybody on the way can read them.
    #[must_use]
    pub fn even_in_clear(mut self) -> Self {
        self.is_for_clear = true;
        self
    }

    /// Fails if there is no password that could be sent just now. It reads the
    /// file.
    pub fn check(&self) -> Result<(), SmtpLoginError> {
        self.read_now().map(drop)
    }

    /// Who it is.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// Whether it may be said in clear.
    pub(super) fn goes_in_clear(&self) -> bool {
        self.is_for_clear
    }

    /// What a session says; or the answer for the message, which does not name
    /// the file: a sender may come to see it.
    pub(super) async fn read(&self) -> Result<Login, Response> {
        let own = self.clone();
        let read = match &self.password {
            Password::Known(_) => self.read_now(),
            Password::InFile(_) => {
                let reading = tokio::task::spawn_blocking(move || own.read_now());
                reading.await.unwrap_or_else(|error| {
                    Err(SmtpLoginError::Unreadable {
                        user: self.user.clone(),
                        file: PathBuf::new(),
                        error: io::Error::other(error),
                    })
                })
            }
        };
        read.map_err(|error| {
            tracing::error!(user = %self.user, %error, "no password for the next hop");
            let text = format!(
                "This host has no password to log in to the next hop as {}",
                self.user
            );
            Response::transient(3, 0, text)
        })
    }

    fn read_now(&self) -> Result<Login, SmtpLoginError> {
        let read = match &self.password {
            Password::Known(known) => known.clone(),
            Password::InFile(file) => {
                let line = first_line(file).map_err(|error| SmtpLoginError::Unreadable {
                    user: self.user.clone(),
                    file: file.clone(),
                    error,
                })?;
                login(&self.user, &line)?
            }
        };
        Ok(match self.is_for_clear {
            true => read.even_in_clear(),
            false => read,
        })
    }
}

fn login(user: &str, password: &[u8]) -> Result<Login, SmtpLoginError> {
    Login::new(user, password).ok_or_else(|| SmtpLoginError::Unsendable {
        user: user.to_owned(),
    })
}

/// The first line of a file, without its end.
pub(super) fn first_line(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    let end = bytes.iter().position(|byte| *byte == b'\n');
    bytes.truncate(end.unwrap_or(bytes.len()));
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        for text in ["a b ", "a b \n", "a b \r\n", "a b \n# more\n"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(first_line(&file).unwrap(), b"a b ");
        }
        let login = SmtpLogin::with_password_file("ann", &file);
        login.check().unwrap();
        std::fs::write(&file, "\n").unwrap();
        assert!(login.check().unwrap_err().to_string().contains("\"ann\""));
        std::fs::remove_file(&file).unwrap();
        let error = login.check().unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
