//! Contents as rows: a first chunk that begins with what is needed to put the
//! others together again, and to see that nothing is missing.

use bytes::Bytes;
use slimta_core::message::Content;

/// redb rounds a row up to a power of two; this fills 64 KiB.
const CHUNK_BYTES: usize = 65_000;
/// Checksum, length of the header, length of all.
const PREFIX_BYTES: usize = 4 + 8 + 8;

/// The rows of a content, in order.
pub(crate) fn split(content: &Content) -> Vec<Vec<u8>> {
    let lengths = [content.header_bytes().len(), content.len()].map(|len| len as u64);
    let lengths = lengths.map(u64::to_le_bytes).concat();
    let mut checksum = crc32fast::Hasher::new();
    for part in content.chunks() {
        checksum.update(part);
    }
    checksum.update(&lengths);
    let mut first = Vec::with_capacity(PREFIX_BYTES + content.len().min(CHUNK_BYTES));
    first.extend_from_slice(&checksum.finalize().to_le_bytes());
    first.extend_from_slice(&lengths);
    let mut chunks = vec![first];
    for mut part in content.chunks().map(|part| &part[..]) {
        while !part.is_empty() {
            let last = match chunks.pop() {
                Some(last) if last.len() < CHUNK_BYTES => last,
                full => {
                    chunks.extend(full);
                    Vec::with_capacity(part.len().min(CHUNK_BYTES))
                }
            };
            chunks.push(last);
            if let Some(last) = chunks.last_mut() {
                let (now, later) = part.split_at(part.len().min(CHUNK_BYTES - last.len()));
                last.extend_from_slice(now);
                part = later;
            }
        }
    }
    chunks
}

/// How many bytes of contents a row holds.
#[cfg(any(test, feature = "embedded"))]
pub(crate) fn len(number: u32, chunk: &[u8]) -> u64 {
    let prefix = if number == 0 { PREFIX_BYTES } else { 0 };
    chunk.len().saturating_sub(prefix) as u64
}

/// Puts contents together; says what is wrong with them if anything is.
pub(crate) fn join<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Result<Content, String> {
    let mut all: Vec<u8> = Vec::new();
    for chunk in chunks {
        all.extend_from_slice(chunk);
    }
    let cut = || "the contents are cut short".to_owned();
    let (checksum, rest) = all.split_first_chunk::<4>().ok_or_else(cut)?;
    let (header, rest) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
    let (whole, body) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
    let (header, whole) = (u64::from_le_bytes(*header), u64::from_le_bytes(*whole));
    if body.len() as u64 != whole || header > whole {
        return Err(cut());
    }
    let checksum = u32::from_le_bytes(*checksum);
    let mut found = crc32fast::Hasher::new();
    found.update(body);
    // Format 1 left the lengths out.
    let is_old = found.clone().finalize() == checksum;
    found.update(&header.to_le_bytes());
    found.update(&whole.to_le_bytes());
    if !is_old && found.finalize() != checksum {
        return Err("the contents are damaged: their checksum is wrong".to_owned());
    }
    let header = usize::try_from(header).map_err(|_| cut())?;
    let mut header_bytes = Bytes::from(all).split_off(PREFIX_BYTES);
    let body_bytes = header_bytes.split_off(header);
    Ok(Content::from_parts(header_bytes, body_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_of_any_size_survive() {
        let around = [
            0,
            1,
            CHUNK_BYTES - PREFIX_BYTES,
            CHUNK_BYTES,
            3 * CHUNK_BYTES,
        ];
        for size in around.into_iter().flat_map(|size| [size, size + 1]) {
            for header in [0, size / 3, size] {
                let bytes: Vec<u8> = (0..size).map(|i| (i % 253) as u8).collect();
                let (header, body) = bytes.split_at(header);
                let content = Content::from_parts(header.to_vec(), body.to_vec());
                let chunks = split(&content);
                assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES));
                let lens = chunks.iter().zip(0..).map(|(chunk, n)| len(n, chunk));
                assert_eq!(lens.sum::<u64>(), size as u64);
                assert!(join(chunks.iter().map(|c| &c[..])) == Ok(content));
            }
        }
    }

    #[test]
    fn damage_is_noticed() {
        let chunks = split(&Content::new(vec![b'x'; 200_000]));
        assert!(join(chunks[1..].iter().map(|c| &c[..])).is_err());
        assert!(join(chunks[..1].iter().map(|c| &c[..])).is_err());
        assert!(join(std::iter::empty()).is_err());
        let mut flipped = chunks.clone();
        flipped[1][7] ^= 1;
        assert!(join(flipped.iter().map(|c| &c[..])).is_err());
        for bit in 0..8 * PREFIX_BYTES {
            let mut flipped = chunks.clone();
            flipped[0][bit / 8] ^= 1 << (bit % 8);
            assert!(join(flipped.iter().map(|c| &c[..])).is_err(), "{bit}");
        }
    }

    #[test]
    fn contents_of_format_1_are_read() {
        let content = Content::new("Subject: a\r\n\r\nb\r\n");
        let mut chunks = split(&content);
        let checksum = crc32fast::hash(&content.to_vec());
        chunks[0][..4].copy_from_slice(&checksum.to_le_bytes());
        assert!(join(chunks.iter().map(|c| &c[..])) == Ok(content));
    }
}
