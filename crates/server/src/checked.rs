//! Reads a whole configuration, with all files that it names, and says all that
//! is wrong with it: the one way by which `serve`, `check-config` and a reload
//! come to settings.
//!
//! Nothing is opened that others would notice: no port, no storage, no socket.

use std::path::Path;

use slimta::relay::OpenError;
use slimta::world::World;

use crate::assemble::socket;
use crate::certificates;
use crate::config::{EdgeTls, Flags, Reading, Settings};
use crate::failure::Failure;
use crate::relays::{Way, check_routes, check_sources, connections};

/// A configuration in which nothing is wrong.
pub(crate) struct Checked {
    /// What it says.
    pub(crate) settings: Settings,
    /// What works and is risky, each with its place.
    pub(crate) warnings: Vec<String>,
    /// The file and how many options it says, if there is one.
    pub(crate) file: Option<(String, usize)>,
}

impl Checked {
    /// Reads it. The failure names everything that is wrong.
    pub(crate) fn read(flags: Flags, world: &World) -> Result<Self, Failure> {
        let mut reading = Reading::begin(flags)?;
        let settings = reading.settings();
        let mut ending = Vec::new();
        if let Some(settings) = &settings {
            match settings.edge.tls.as_ref().map(EdgeTls::open).transpose() {
                Ok(Some(tls)) => ending = certificates::risks(&tls, world.now()),
                Ok(None) => {}
                Err(failure) => reading.note(vec![failure]),
            }
            reading.note(problems(settings, world));
        }
        reading.verdict()?;
        let settings = settings.ok_or(Failure::Told)?;
        let file = reading.read();
        Ok(Checked {
            warnings: reading.warnings(&settings, ending),
            file: file.map(|(shown, options)| (shown.to_owned(), options)),
            settings,
        })
    }
}

/// What is wrong with the files, addresses and relays that settings name.
fn problems(settings: &Settings, world: &World) -> Vec<Failure> {
    let edge = &settings.edge;
    let alone = [
        edge.auth.as_ref().and_then(|auth| auth.open().err()),
        edge.auth
            .as_ref()
            .and_then(|auth| auth.open_senders().err()),
        settings.notices.builder().err(),
        check_sources(settings).err(),
        check_routes(settings).err(),
        socket(settings.admin_socket.as_deref(), &settings.storage).err(),
    ];
    let alone = alone.into_iter().flatten();
    let listeners = settings.listeners.iter();
    let verify = settings.verify_senders.iter();
    alone
        .chain(listeners.filter_map(|listener| listener.open_recipients().err()))
        .chain(settings.dkim.problems())
        .chain(verify.flat_map(|verify| verify.problems(settings, world)))
        .chain(relays(settings, world))
        .collect()
}

/// What is wrong with each relay.
fn relays(settings: &Settings, world: &World) -> Vec<Failure> {
    let trusted = settings.dns.trusted(&settings.tls);
    let connections = match trusted.and_then(|trusted| connections(settings, trusted)) {
        Ok(connections) => connections,
        Err(failure) => return vec![failure],
    };
    let failed = Way::all(settings).map(|way| match way.url.strip_prefix("maildir:") {
        // Opening it would make it, perhaps as another user.
        Some(path) if !path.is_empty() => {
            let made = can_be_made(way.url, Path::new(path));
            made.map_err(|error| way.wrong(error)).err()
        }
        _ => way.open(&connections, settings, world).err(),
    });
    failed.flatten().collect()
}

/// Whether a directory is there, or that in which it would be made.
fn can_be_made(url: &str, path: &Path) -> Result<(), OpenError> {
    let nearest = path.ancestors().find(|above| above.exists());
    match nearest.is_none_or(Path::is_dir) {
        true => Ok(()),
        false => Err(OpenError::Directory {
            url: url.to_owned(),
            error: std::io::ErrorKind::NotADirectory.into(),
        }),
    }
}
