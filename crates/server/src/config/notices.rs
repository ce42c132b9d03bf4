//! What senders are told when their mail fails: templates, and how much of it
//! comes back.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use slimta_core::message::Bounce;

use super::Options;
use crate::failure::Failure;

/// What was said of notices; where nothing was, the queue's own defaults hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Notices {
    /// Longer messages come back as their header.
    pub(crate) returned_bytes_max: Option<usize>,
    /// The template before what comes back.
    pub(crate) header: Option<PathBuf>,
    /// The template behind it.
    pub(crate) footer: Option<PathBuf>,
}

impl Notices {
    /// What builds them. Reads the templates.
    pub(crate) fn builder(&self) -> Result<Bounce, Failure> {
        let mut bounce = Bounce::default();
        if let Some(bytes) = self.returned_bytes_max {
            bounce = bounce.with_returned_bytes_max(bytes);
        }
        let Some(header) = &self.header else {
            return Ok(bounce);
        };
        let header = template(header, "bounce-header")?;
        let footer = match &self.footer {
            Some(footer) => template(footer, "bounce-footer")?,
            None => String::new(),
        };
        Ok(bounce.with_templates(&header, &footer))
    }
}

fn template(path: &Path, option: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        Failure::setting(
            option,
            format!("the template {path} cannot be read: {error}"),
        )
    })
}

impl Options {
    pub(super) fn notices(&self) -> Result<Notices, Failure> {
        if self.bounce_footer.is_some() && self.bounce_header.is_none() {
            let why = "it needs a bounce-header before it";
            return Err(Failure::setting("bounce-footer", why));
        }
        Ok(Notices {
            returned_bytes_max: self.returned_bytes_max.map(NonZeroUsize::get),
            header: self.bounce_header.clone(),
            footer: self.bounce_footer.clone(),
        })
    }
}
