//! The name of this machine.

/// What a machine without a usable name is called.
const NAMELESS: &str = "localhost";
/// RFC 5321 section 4.5.3.1.2.
const NAME_BYTES_MAX: usize = 255;
/// RFC 1035 section 2.3.4.
const LABEL_BYTES_MAX: usize = 63;

/// The name of this machine, as it calls itself.
pub(crate) fn machine_name() -> String {
    let name = gethostname::gethostname();
    let usable = name.to_str().filter(|name| is_host_name(name));
    usable.unwrap_or(NAMELESS).to_owned()
}

/// Whether `text` can stand in a greeting (RFC 5321 section 4.1.2, `Domain`).
pub(super) fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        (1..=LABEL_BYTES_MAX).contains(&bytes.len())
            && bytes
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= NAME_BYTES_MAX && text.split('.').all(is_label)
}
