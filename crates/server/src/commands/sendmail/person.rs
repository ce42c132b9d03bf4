//! Who calls: the name that mail is from if nobody says another.

use super::status::{Ended, Status};

/// Where the system's own users are.
const PASSWD: &str = "/etc/passwd";

/// A user of this host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Person {
    /// The local-part of their address.
    pub(super) login: String,
    /// As they are called, if that is known.
    pub(super) full_name: Option<String>,
}

impl Person {
    /// The user that this process is of. Not from the environment, where it can be
    /// known otherwise: scripts run as somebody else than who set it.
    pub(super) fn of_process() -> Result<Self, Ended> {
        let uid = rustix::process::getuid().as_raw();
        let passwd = std::fs::read(PASSWD).unwrap_or_default();
        let found = find(&String::from_utf8_lossy(&passwd), uid);
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let from_outside = || {
            // Users that a directory keeps, and not this host.
            set("LOGNAME").or_else(|| set("USER")).map(|login| Person {
                login,
                full_name: None,
            })
        };
        let nobody = || {
            Status::System.because(format!(
                "user {uid} has no name in {PASSWD}: give an address with -f"
            ))
        };
        let person = found.or_else(from_outside).ok_or_else(nobody)?;
        Ok(Person {
            full_name: set("NAME").or(person.full_name),
            ..person
        })
    }
}

/// Looks a user up in the text of a passwd(5) file.
fn find(passwd: &str, uid: u32) -> Option<Person> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let login = fields.next().filter(|login| !login.is_empty())?;
        let is_meant = fields.nth(1)?.parse::<u32>() == Ok(uid);
        // Behind the group; the name ends at a comma, and `&` is the login.
        let gecos = fields.nth(1).unwrap_or_default();
        let name = gecos.split(',').next().unwrap_or_default().trim();
        let full_name = name.replace('&', &capitalized(login));
        is_meant.then(|| Person {
            login: login.to_owned(),
            full_name: Some(full_name).filter(|name| !name.is_empty()),
        })
    })
}

fn capitalized(login: &str) -> String {
    let mut rest = login.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\n:x:7:7::/:\n\
                      www:x:33:33:& of &,room,,:/:\nbare:x:34:34\nmail:x:8:8:,:/:\n";
        let found = |uid| find(passwd, uid).map(|p| (p.login, p.full_name.unwrap_or_default()));
        let of = |login: &str, name: &str| Some((login.to_owned(), name.to_owned()));
        assert_eq!(found(0), of("root", "root"));
        assert_eq!(found(33), of("www", "Www of Www"));
        assert_eq!(found(34), of("bare", ""));
        assert_eq!(found(8), of("mail", ""));
        assert_eq!(found(7), None);
        assert_eq!(found(1000), None);
    }
}
