//! Rows of a versioned store: the latest version of a key, the older ones of a segment, and what the store knows of itself.
//!
//! **Invariants:**
//! - The versions of a [`History`] are ordered from new to old, there is at least one, and each is valid until the one before
//!   it begins, the first until `until_ms`.
//! - Only the marker of a deletion may be empty, valid from a moment until the same moment: it says that nothing was there
//!   from then on, where that is known by nothing else. It is alone in its history.

use crate::{Codec, CodecError, Held};

/// A version that another one has followed.
pub(super) struct Version<V> {
    pub(super) from_ms: i64,
    /// `None` where the key was deleted.
    pub(super) value: Option<Held<V>>,
}

/// Versions of one key that ended in one segment.
pub(super) struct History<V> {
    /// When the newest of them ended.
    pub(super) until_ms: i64,
    versions: Vec<Version<V>>,
}

impl<V> History<V> {
    pub(super) fn of(value: Option<Held<V>>, from_ms: i64, until_ms: i64) -> Self {
        Self { until_ms, versions: vec![Version { from_ms, value }] }
    }

    /// When the oldest of them began.
    pub(super) fn since_ms(&self) -> i64 {
        self.versions.last().map_or(self.until_ms, |version| version.from_ms)
    }

    fn is_marker(&self) -> bool {
        self.since_ms() == self.until_ms
    }

    /// The index of the version that was valid at a time between `since_ms` and `until_ms`.
    pub(super) fn find(&self, at_ms: i64) -> usize {
        self.versions.partition_point(|version| version.from_ms > at_ms)
    }

    pub(super) fn version(&self, index: usize) -> &Version<V> {
        &self.versions[index]
    }

    /// When a version ended.
    pub(super) fn end_ms(&self, index: usize) -> i64 {
        index.checked_sub(1).map_or(self.until_ms, |newer| self.versions[newer].from_ms)
    }

    /// Adds a version that is newer than all others. Where it doesn't begin when they ended, nothing was there between.
    pub(super) fn push(&mut self, value: Option<Held<V>>, from_ms: i64, until_ms: i64) {
        let ended_ms = self.until_ms;
        if self.is_marker() {
            self.versions.clear();
        }
        if ended_ms < from_ms {
            self.versions.insert(0, Version { from_ms: ended_ms, value: None });
        }
        self.versions.insert(0, Version { from_ms, value });
        self.until_ms = until_ms;
    }

    /// Adds a version that is older than all others and valid until they begin.
    pub(super) fn push_oldest(&mut self, value: Option<Held<V>>, from_ms: i64) {
        if self.is_marker() {
            self.versions.clear();
        }
        self.versions.push(Version { from_ms, value });
    }

    /// Adds a version that ends when the one at `index` did, which from now on ends when it begins.
    pub(super) fn insert(&mut self, index: usize, value: Option<Held<V>>, from_ms: i64) {
        self.versions.insert(index, Version { from_ms, value });
    }

    /// Puts a version in the place of another, which is given back.
    pub(super) fn replace(&mut self, index: usize, value: Option<Held<V>>, from_ms: i64) -> Version<V> {
        std::mem::replace(&mut self.versions[index], Version { from_ms, value })
    }
}

/// A row; its timestamp says since when the latest version is valid, until when a history is, or how far the store's time is.
pub(super) enum Row<V> {
    Latest(Held<V>),
    History(History<V>),
    /// The store's time is known, and which segments it has.
    Store {
        segments: Vec<i64>,
    },
}

/// Rows as bytes: `[kind]`, then the value; or `[4 byte count]` and for each version `[8 byte from][4 byte length, -1 for a
/// deletion]`, then the values; or the segments.
#[derive(Debug)]
pub(super) struct RowCodec;

const LATEST: u8 = 0;
const HISTORY: u8 = 1;
const STORE: u8 = 2;

impl<V: Send + 'static> Codec<Row<V>> for RowCodec {
    fn encode(&self, row: &Row<V>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match row {
            Row::Latest(held) => {
                out.push(LATEST);
                out.extend_from_slice(held.bytes());
            }
            Row::History(history) => {
                out.push(HISTORY);
                out.extend_from_slice(&(history.versions.len() as u32).to_be_bytes());
                for version in &history.versions {
                    let len = version.value.as_ref().map_or(-1, |held| held.bytes().len() as i32);
                    out.extend_from_slice(&version.from_ms.to_be_bytes());
                    out.extend_from_slice(&len.to_be_bytes());
                }
                let values = history.versions.iter().filter_map(|version| version.value.as_ref());
                values.for_each(|held| out.extend_from_slice(held.bytes()));
                // The row's timestamp says it as well, but a row is whole without it.
                out.extend_from_slice(&history.until_ms.to_be_bytes());
            }
            Row::Store { segments } => {
                out.push(STORE);
                segments.iter().for_each(|segment| out.extend_from_slice(&segment.to_be_bytes()));
            }
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Row<V>, CodecError> {
        let (kind, rest) = bytes.split_first().ok_or_else(|| CodecError::new("an empty row"))?;
        match *kind {
            LATEST => Ok(Row::Latest(Held::of(rest))),
            HISTORY => history(rest).map(Row::History),
            STORE => {
                let (segments, _) = rest.as_chunks();
                Ok(Row::Store { segments: segments.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect() })
            }
            kind => Err(CodecError::new(format_args!("a row of kind {kind}"))),
        }
    }
}

fn history<V: 'static>(bytes: &[u8]) -> Result<History<V>, CodecError> {
    let mut rest = bytes;
    let count = u32::from_be_bytes(take(&mut rest)?) as usize;
    let mut versions = Vec::with_capacity(count.min(bytes.len()));
    let mut lengths = Vec::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        versions.push(Version { from_ms: i64::from_be_bytes(take(&mut rest)?), value: None });
        lengths.push(i32::from_be_bytes(take(&mut rest)?));
    }
    for (version, len) in versions.iter_mut().zip(lengths) {
        if let Ok(len) = usize::try_from(len) {
            let (value, after) = rest.split_at_checked(len).ok_or_else(cut_off)?;
            version.value = Some(Held::of(value));
            rest = after;
        }
    }
    Ok(History { until_ms: i64::from_be_bytes(take(&mut rest)?), versions })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], CodecError> {
    let (first, rest) = bytes.split_first_chunk().ok_or_else(cut_off)?;
    *bytes = rest;
    Ok(*first)
}

fn cut_off() -> CodecError {
    CodecError::new("a row of versions is cut off")
}
