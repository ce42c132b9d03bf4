//! Who wants reports on a domain: the record at `_smtp._tls.DOMAIN` (RFC 8460
//! section 3).

use crate::message::Address;
use crate::relay::https::HTTPS_PORT;
use crate::relay::sts::is_host_name;

const VERSION: &str = "v=TLSRPTv1";
const BLANKS: [char; 2] = [' ', '\t'];
/// Most places that one report goes to.
const PLACES_MAX: usize = 10;

/// Where a report goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// By mail.
    Mail(Address),
    /// By POST to a web server.
    Web {
        host: String,
        port: u16,
        path: String,
    },
}

/// Where reports on a domain go, by the texts at its name, each with how the record
/// writes it. None if there is not exactly one record of this version. What is not
/// understood is left out.
pub(super) fn places(texts: &[String]) -> Vec<(String, Place)> {
    let mut records = texts.iter().filter_map(|text| fields(text));
    let (Some(only), None) = (records.next(), records.next()) else {
        return Vec::new();
    };
    let fields = only.split(';').filter_map(|field| field.split_once('='));
    let mut rua = fields.filter(|(name, _)| name.trim_matches(BLANKS) == "rua");
    let uris = rua.next().map_or("", |(_, uris)| uris);
    let uris = uris.split(',').map(|uri| uri.trim_matches(BLANKS));
    let understood = uris.filter_map(|uri| Some((uri.to_owned(), place(uri)?)));
    understood.take(PLACES_MAX).collect()
}

fn fields(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(VERSION)?;
    rest.trim_start_matches(BLANKS).strip_prefix(';')
}

fn place(uri: &str) -> Option<Place> {
    let (scheme, rest) = uri.split_once(':')?;
    if scheme.eq_ignore_ascii_case("mailto") {
        let (local, domain) = rest.split('?').next()?.rsplit_once('@')?;
        let address = format!("{}@{}", decoded(local)?, decoded(domain)?);
        // Which octets beyond ASCII are meant is another's guess.
        let address: Address = address.parse().ok().filter(|_| address.is_ascii())?;
        return address.domain().is_some().then_some(Place::Mail(address));
    }
    let rest = rest
        .strip_prefix("//")
        .filter(|_| scheme.eq_ignore_ascii_case("https"))?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, HTTPS_PORT),
    };
    // It goes into the first line of a request.
    let is_path = path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    (is_host_name(host) && is_path).then(|| Place::Web {
        host: host.to_ascii_lowercase(),
        port,
        path: path.to_owned(),
    })
}

/// A part of a URI without percent signs (RFC 3986 section 2.1), as `mailto:` writes
/// what else would end it there or in the record (RFC 6068 section 2). None if they
/// stand for nothing.
fn decoded(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut decoded = pieces.next()?.to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let octet = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
        decoded.push(char::from(octet));
        decoded += rest;
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(texts: &[&str]) -> Vec<String> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        let places = places(&texts).into_iter();
        let shown = places.map(|(_, place)| match place {
            Place::Mail(address) => address.to_string(),
            Place::Web { host, port, path } => format!("{host} {port} {path}"),
        });
        shown.collect()
    }

    #[test]
    fn a_record_names_mailboxes_and_web_servers() {
        let record = "v=TLSRPTv1; rua=mailto:r@d.example, HTTPS://R.d.example:8443/v1?a=b,https://r.example;";
        let expected = ["r@d.example", "r.d.example 8443 /v1?a=b", "r.example 443 /"];
        assert_eq!(read(&[record]), expected);
        assert_eq!(read(&["v=spf1", record]), expected);
        assert_eq!(
            read(&["v=TLSRPTv1;rua=mailto:r@d.example?subject=x"]),
            ["r@d.example"]
        );
        // What would end an address or a field is written as a number.
        let record = "v=TLSRPTv1; rua=mailto:a%2Bb%21@d.example,mailto:%22x%2cy%3B%22@d.example";
        let expected = ["a+b!@d.example", "\"x,y;\"@d.example"];
        assert_eq!(read(&[record]), expected);
    }

    #[test]
    fn what_is_not_certain_is_left_out() {
        for record in [
            "v=TLSRPTv1",
            "v=TLSRPTv2; rua=mailto:r@d.example",
            "v=TLSRPTv1; ruf=mailto:r@d.example",
            "v=TLSRPTv1; rua=r@d.example",
            "v=TLSRPTv1; rua=mailto:r%40d.example",
            "v=TLSRPTv1; rua=mailto:r%@d.example",
            "v=TLSRPTv1; rua=mailto:r%2@d.example",
            "v=TLSRPTv1; rua=mailto:r%+1@d.example",
            "v=TLSRPTv1; rua=mailto:r%0d%0a@d.example",
            "v=TLSRPTv1; rua=mailto:r%00@d.example",
            "v=TLSRPTv1; rua=mailto:%c3%bc@d.example",
            "v=TLSRPTv1; rua=mailto:r\u{fc}@d.example",
            "v=TLSRPTv1; rua=mailto:postmaster",
            "v=TLSRPTv1; rua=http://r.example/",
            "v=TLSRPTv1; rua=https://u@r.example/",
            "v=TLSRPTv1; rua=https://[::1]/",
            "v=TLSRPTv1; rua=https://r.example/a b",
            "v=TLSRPTv1; rua=https://r.example:x/",
        ] {
            assert_eq!(read(&[record]), [] as [&str; 0], "{record}");
        }
        let record = "v=TLSRPTv1; rua=mailto:r@d.example";
        assert_eq!(read(&[record, record]), [] as [&str; 0]);
    }

    proptest! {
        #[test]
        fn nothing_in_a_record_ends_a_line(tail: String) {
            for (_, place) in places(&[format!("v=TLSRPTv1; rua={tail}")]) {
                let text = match place {
                    Place::Mail(address) => address.to_string(),
                    Place::Web { host, path, .. } => host + &path,
                };
                prop_assert!(text.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
            }
        }
    }
}
