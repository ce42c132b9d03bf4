//! What a part is: the value of Content-Type (RFC 2045 section 5.1), as far as it
//! says where parts end.

/// Longest boundary (RFC 2046 section 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// A type, with the boundary if it holds parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kind {
    /// In lower case.
    pub(super) main: String,
    /// In lower case.
    pub(super) sub: String,
    /// What parts its parts; none if that is not certain.
    pub(super) boundary: Option<String>,
}

impl Kind {
    /// Reads it; a part that names none is plain text.
    pub(super) fn read(value: Option<&str>) -> Option<Self> {
        let value = value.unwrap_or("text/plain");
        let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
        let (main, sub) = kind.trim_ascii().split_once('/')?;
        if ![main, sub].into_iter().all(is_token) {
            return None;
        }
        let boundary = boundary(parameters)
            .filter(|boundary| (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()));
        Some(Kind {
            main: main.to_ascii_lowercase(),
            sub: sub.to_ascii_lowercase(),
            boundary,
        })
    }
}

/// The boundary among parameters, if there is one and all of them are well formed.
fn boundary(mut rest: &str) -> Option<String> {
    let mut found = None;
    while !rest.trim_ascii().trim_matches(';').is_empty() {
        let (name, behind) = rest.split_once('=')?;
        let name = name.trim_ascii();
        let (value, behind) = value(behind.trim_ascii_start())?;
        if !is_token(name) {
            return None;
        }
        if name.eq_ignore_ascii_case("boundary") && found.replace(value).is_some() {
            return None;
        }
        rest = behind.trim_ascii_start();
        rest = match rest.strip_prefix(';') {
            Some(more) => more,
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    found
}

/// The value of a parameter, and what stands behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (token, behind) = text.split_at(end);
        return is_token(token).then(|| (token.to_owned(), behind));
    };
    let (mut value, mut is_escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if is_escaped => {
                value.push(c);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => return Some((value, quoted.get(at + 1..)?)),
            c => value.push(c),
        }
    }
    None
}

/// RFC 2045 section 5.1.
fn is_token(text: &str) -> bool {
    let is_special = |b: u8| br#"()<>@,;:\"/[]?="#.contains(&b);
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !is_special(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_is_read_or_is_not_certain() {
        let boundary = |value| Kind::read(Some(value)).unwrap().boundary;
        let is = |value: &str| Some(value.to_owned());
        assert_eq!(boundary("multipart/mixed; boundary=a-b"), is("a-b"));
        assert_eq!(
            boundary("Multipart/Mixed;charset=x; BOUNDARY = \"a b\\\"c\" ;"),
            is("a b\"c")
        );
        for unsure in [
            "multipart/mixed",
            "multipart/mixed; boundary=",
            "multipart/mixed; boundary=\"a",
            "multipart/mixed; boundary=a; boundary=b",
            "multipart/mixed; boundary*0=a; boundary*1=b",
            "multipart/mixed; boundary=a (comment)",
            "multipart/mixed; charset; boundary=a",
        ] {
            assert_eq!(boundary(unsure), None, "{unsure}");
        }
        for no_type in ["", "text", "text/", "te xt/plain", "text/plain(x)"] {
            assert_eq!(Kind::read(Some(no_type)), None, "{no_type}");
        }
        assert_eq!(Kind::read(None).unwrap().main, "text");
    }
}
