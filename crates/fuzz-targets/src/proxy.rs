//! Headers of the PROXY protocol: what is asked for is bounded, nothing behind a
//! header is read, and who is named in one is named by the other version, too.

use std::net::{IpAddr, SocketAddr};

use slimta_smtp::proxy::{Header, Progress, read};

/// The longest header: what is fixed of version 2, and what may follow.
const HEADER_BYTES_MAX: usize = 16 + (4 << 10);
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a connection begins with.
pub(crate) fn header(bytes: &[u8]) {
    let Some((header, used)) = driven(bytes) else {
        return;
    };
    // Whatever follows changes nothing, nor does a cut.
    let (front, _) = bytes.split_at(used);
    assert_eq!(driven(front), Some((header, used)));
    assert_eq!(read(front), Ok(Progress::Done(header)));
    if let Header::Client(client) = header {
        for written in [line(client), octets(client)] {
            assert_eq!(driven(&written), Some((header, written.len())));
        }
    }
}

/// Reads as much as is asked for; gives the header and its length, if there is
/// one.
fn driven(bytes: &[u8]) -> Option<(Header, usize)> {
    let mut used = 0;
    loop {
        match read(&bytes[..used]).ok()? {
            Progress::Done(header) => return Some((header, used)),
            Progress::Needs(more) => {
                assert!(more > 0 && used + more <= HEADER_BYTES_MAX, "{used} {more}");
                if used == bytes.len() {
                    return None;
                }
                used = bytes.len().min(used + more);
            }
        }
    }
}

/// The header of version 1.
fn line(client: SocketAddr) -> Vec<u8> {
    let (ip, port) = (client.ip(), client.port());
    let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
    format!("PROXY {family} {ip} {ip} {port} 25\r\n").into_bytes()
}

/// The header of version 2.
fn octets(client: SocketAddr) -> Vec<u8> {
    let (family, ip) = match client.ip() {
        IpAddr::V4(ip) => (0x11, ip.octets().to_vec()),
        IpAddr::V6(ip) => (0x21, ip.octets().to_vec()),
    };
    let ports = [&client.port().to_be_bytes()[..], &[0, 25]].concat();
    let rest = [&ip[..], &ip, &ports].concat();
    let fixed = [0x21, family, 0, u8::try_from(rest.len()).unwrap()];
    [SIGNATURE, &fixed, &rest].concat()
}
