//! What is held back of a key, as bytes.

use crate::log::Headers;

/// A change that is held back: `[8 byte buffer time][8 byte timestamp][headers][prior][old][new]`, numbers big-endian; a part is
/// `[4 byte length][bytes]`, with the length −1 where there is none; headers are `[4 byte count]`, then name and value of each.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// When it began to wait.
    pub(super) time_ms: i64,
    /// The last change's timestamp.
    pub(super) timestamp_ms: i64,
    /// The last change's headers.
    pub(super) headers: Headers,
    /// The value before the first change.
    pub(super) prior: Option<Vec<u8>>,
    /// The value before the last change.
    pub(super) old: Option<Vec<u8>>,
    /// The value now.
    pub(super) new: Option<Vec<u8>>,
}

impl Entry {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.time_ms.to_be_bytes());
        out.extend_from_slice(&self.timestamp_ms.to_be_bytes());
        out.extend_from_slice(&(self.headers.as_slice().len() as u32).to_be_bytes());
        for header in self.headers.as_slice() {
            put(Some(header.name.as_bytes()), &mut out);
            put(header.value.as_deref(), &mut out);
        }
        for part in [&self.prior, &self.old, &self.new] {
            put(part.as_deref(), &mut out);
        }
        out
    }

    /// `None` where the bytes are no entry.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let (time_ms, timestamp_ms) = (time(rest)?, time(rest)?);
        let (count, after) = rest.split_first_chunk()?;
        *rest = after;
        let mut headers = Headers::empty();
        for _ in 0..u32::from_be_bytes(*count) {
            let name = take(rest)??;
            let value = take(rest)?;
            headers = headers.with(std::str::from_utf8(&name).ok()?, value.as_deref());
        }
        let (prior, old, new) = (take(rest)?, take(rest)?, take(rest)?);
        rest.is_empty().then_some(Self { time_ms, timestamp_ms, headers, prior, old, new })
    }

    /// What it counts towards a bound in bytes.
    pub(super) fn size(&self, key: &[u8]) -> u64 {
        let part = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        let old = if self.old == self.prior { 0 } else { part(&self.old) };
        let header =
            |header: &crate::log::Header| header.name.len() + header.value.as_ref().map_or(0, |value| value.len());
        let headers: usize = self.headers.as_slice().iter().map(header).sum();
        (16 + key.len() + part(&self.prior) + old + part(&self.new) + headers) as u64
    }
}

fn put(part: Option<&[u8]>, out: &mut Vec<u8>) {
    let length = part.map_or(-1, |part| part.len() as i32);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(part.unwrap_or_default());
}

fn time(rest: &mut &[u8]) -> Option<i64> {
    let (time, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i64::from_be_bytes(*time))
}

/// The next part; the outer `None` where there is none.
fn take(rest: &mut &[u8]) -> Option<Option<Vec<u8>>> {
    let (length, after) = rest.split_first_chunk()?;
    *rest = after;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else { return Some(None) };
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(Some(part.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_and_damage_is_seen() {
        let headers = Headers::empty().with("h", Some(b"1")).with("none", None::<&[u8]>);
        let (prior, old, new) = (None, Some(Vec::new()), Some(vec![1, 2]));
        let entry = Entry { time_ms: 5, timestamp_ms: -1, headers, prior, old, new };
        let bytes = entry.encode();
        let back = Entry::decode(&bytes).unwrap();
        assert_eq!((back.time_ms, back.timestamp_ms, &back.prior), (5, -1, &None));
        assert_eq!((&back.old, &back.new), (&entry.old, &entry.new));
        assert_eq!(back.headers, entry.headers);
        for len in 0..bytes.len() {
            assert!(Entry::decode(&bytes[..len]).is_none(), "{len}");
        }
    }
}
