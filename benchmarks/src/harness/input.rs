//! The input topics: one for each format, length and number of partitions, loaded once and kept.

use super::BenchError;
use crate::cluster::Cluster;
use crate::digest::Digest;
use crate::expected::Query;
use crate::loader::{self, Load};
use crate::nexmark::{Format, Kind};
use crate::reading;
use std::collections::BTreeMap;

/// What an input topic holds; its name says it all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Input {
    /// The encoding of the bids.
    pub(super) format: Format,
    /// Events generated; 46 of 50 are bids.
    pub(super) events: u64,
    /// The generator's seed.
    pub(super) seed: u64,
    /// Partitions.
    pub(super) partitions: i32,
}

impl Input {
    /// The topic.
    pub(super) fn topic(&self) -> String {
        let Self { format, events, seed, partitions } = self;
        format!("{}-e{events}-s{seed}-p{partitions}", format.topic(Kind::Bid))
    }
}

/// What is loaded, and what the queries must make of it; each worked out once.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    expected: BTreeMap<(Query, Format, u64), Digest>,
    loaded: Vec<Input>,
}

impl Inputs {
    /// The digest of a query's output over an input.
    pub(super) fn expected(&mut self, query: Query, input: &Input) -> Result<Digest, BenchError> {
        let key = (query, input.format, input.events);
        if let Some(digest) = self.expected.get(&key) {
            return Ok(*digest);
        }
        let digest = query.expected(input.format, input.seed, input.events)?;
        self.expected.insert(key, digest);
        Ok(digest)
    }

    /// The topic of an input, loaded unless it is there already.
    pub(super) fn load(&mut self, cluster: &Cluster, input: &Input) -> Result<String, BenchError> {
        let topic = input.topic();
        if self.loaded.contains(input) {
            return Ok(topic);
        }
        let bids = self.expected(Query::Q0, input)?;
        if is_loaded(cluster, &topic, input.partitions, &bids)? {
            eprintln!("{topic}: {} bids are there already", bids.count());
        } else {
            let &Input { format, events, seed, partitions } = input;
            let load = Load { format, events, seed, partitions, topics: vec![(Kind::Bid, topic.clone())] };
            let loaded = loader::load(cluster, &load)?;
            eprintln!("{topic}: loaded {} bids in {:.1} s", loaded.records, loaded.wall_s);
        }
        self.loaded.push(*input);
        Ok(topic)
    }
}

fn is_loaded(cluster: &Cluster, topic: &str, partitions: i32, bids: &Digest) -> Result<bool, BenchError> {
    if cluster.partitions(topic)? != Some(partitions as usize) {
        return Ok(false);
    }
    let records: i64 = cluster.extents(topic)?.iter().map(|extent| extent.end - extent.start).sum();
    if records != bids.count() as i64 {
        return Ok(false);
    }
    Ok(reading::digest(cluster, topic, Query::Q0.mode())?.finish() == *bids)
}
