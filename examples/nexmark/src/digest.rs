//! A digest of records that does not depend on their order.
//!
//! Of each record the SHA-256 of: key length, key, value length, value (lengths as i32 big-endian, -1 for
//! null). The first two i64 of the hashes are summed up, each modulo 2^64, and shown in hexadecimal.

use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt;

/// How the records of a topic are to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// As a multiset of records.
    Stream,
    /// By the last value of each key.
    Table,
}

/// The digest of the records added so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest {
    sums: [u64; 2],
    count: u64,
}

impl Digest {
    /// Adds a record.
    pub fn add(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        let mut sha = Sha256::new();
        for part in [key, value] {
            sha.update(part.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
            sha.update(part.unwrap_or_default());
        }
        let hash = sha.finalize();
        for (sum, word) in self.sums.iter_mut().zip(hash.chunks_exact(8)) {
            *sum = sum.wrapping_add(word.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
        }
        self.count += 1;
    }

    /// The digest of the records of both.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        let sums = [0, 1].map(|at: usize| self.sums[at].wrapping_add(other.sums[at]));
        Self { sums, count: self.count + other.count }
    }

    /// How many records were added.
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.sums[0], self.sums[1])
    }
}

/// Takes records in their order and digests them in a [`Mode`].
#[derive(Debug)]
pub struct Digester {
    mode: Mode,
    records: u64,
    stream: Digest,
    table: HashMap<Vec<u8>, Vec<u8>>,
}

impl Digester {
    /// Nothing seen yet.
    pub fn new(mode: Mode) -> Self {
        Self { mode, records: 0, stream: Digest::default(), table: HashMap::new() }
    }

    /// Takes the next record. In a table a null value deletes its key; records without a key are no rows.
    pub fn add(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.records += 1;
        match (self.mode, key, value) {
            (Mode::Stream, ..) => self.stream.add(key, value),
            (Mode::Table, Some(key), Some(value)) => {
                // Most rows are written many times: look before a key is copied.
                match self.table.get_mut(key) {
                    Some(row) => value.clone_into(row),
                    None => {
                        self.table.insert(key.to_vec(), value.to_vec());
                    }
                }
            }
            (Mode::Table, Some(key), None) => {
                self.table.remove(key);
            }
            (Mode::Table, None, _) => {}
        }
    }

    /// How many records were taken.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The digest of what was taken.
    pub fn finish(&self) -> Digest {
        let mut digest = self.stream;
        for (key, value) in &self.table {
            digest.add(Some(key), Some(value));
        }
        digest
    }
}
