//! The input topics: one for each content and number of partitions, loaded once and kept.

use super::BenchError;
use crate::cluster::Cluster;
use crate::digest::Digest;
use crate::expected::Query;
use crate::loader::{self, Load};
use crate::nexmark::{Event, Format, Generator, Kind};
use crate::reading;
use crate::state_keys;
use crate::synthetic::Synthetic;
use std::collections::{BTreeMap, HashSet};

/// What an input topic holds; its name says it all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Input {
    /// The encoding of the events.
    pub(super) format: Format,
    /// Which records.
    pub(super) content: Content,
    /// Partitions.
    pub(super) partitions: i32,
}

/// Which records an input topic holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    /// Those of one kind among so many of Nexmark's events.
    Nexmark {
        /// Persons, auctions or bids.
        kind: Kind,
        /// Events generated; 46 of 50 are bids.
        events: u64,
        /// The generator's seed.
        seed: u64,
    },
    /// As small as records get: the keys that a query counts by, in order, each with a value of eight bytes.
    Keys {
        /// The query.
        query: Query,
        /// Events generated.
        events: u64,
        /// The generator's seed.
        seed: u64,
    },
    /// Bids made up for growth.
    Synthetic(Synthetic),
}

impl Input {
    /// The topic.
    pub(super) fn topic(&self) -> String {
        let content = match self.content {
            Content::Nexmark { kind, events, seed } => format!("{}-e{events}-s{seed}", self.format.topic(kind)),
            Content::Keys { query, events, seed } => format!("nexmark-keys-{query}-e{events}-s{seed}"),
            Content::Synthetic(Synthetic { keys, bytes, records }) => {
                format!("synthetic-{}-k{keys}-b{bytes}-n{records}", self.format)
            }
        };
        format!("{content}-p{}", self.partitions)
    }

    /// How many records it holds.
    pub(super) fn records(&self) -> u64 {
        match self.content {
            Content::Nexmark { kind, events, .. } => of_kinds(events, &[kind]).count() as u64,
            Content::Keys { query, events, seed } => keys(query, events, seed).count() as u64,
            Content::Synthetic(synthetic) => synthetic.records,
        }
    }

    fn write(&self, cluster: &Cluster) -> Result<loader::Loaded, BenchError> {
        let &Self { format, content, partitions } = self;
        let topic = self.topic();
        Ok(match content {
            Content::Nexmark { kind, events, seed } => {
                loader::load(cluster, &Load { format, events, seed, partitions, topics: vec![(kind, topic)] })?
            }
            Content::Keys { query, events, seed } => {
                let mut keys = keys(query, events, seed);
                loader::load_topic(cluster, &topic, partitions, 0..self.records(), |_, value| {
                    value.extend_from_slice(&1_i64.to_be_bytes());
                    Ok(keys.next().unwrap_or_default())
                })?
            }
            Content::Synthetic(synthetic) => {
                loader::load_topic(cluster, &topic, partitions, 0..synthetic.records, |i, value| {
                    let bid = synthetic.bid(i, format);
                    let (key, time_ms) = (bid.auction, bid.date_time);
                    format.encode(&Event::Bid(bid), value)?;
                    Ok((key, time_ms))
                })?
            }
        })
    }
}

/// The numbers of the events of these kinds.
fn of_kinds(events: u64, kinds: &[Kind]) -> impl Iterator<Item = u64> {
    (0..events).filter(move |&i| kinds.contains(&Kind::of(i)))
}

/// What a query sends to a repartition topic or a changelog: key and time of each record.
fn keys(query: Query, events: u64, seed: u64) -> impl Iterator<Item = (i64, i64)> {
    let mut seen = HashSet::new();
    of_kinds(events, state_keys::senders(query)).flat_map(move |i| {
        let event = Generator::new(seed).event(i);
        let mut keys = Vec::new();
        if let (None, Event::Bid(bid)) = (query.site(), &event) {
            keys.push((query.group(bid), bid.date_time));
        }
        state_keys::sent(query, &event, |key| {
            if !state_keys::once(query) || seen.insert(key.to_vec()) {
                keys.push((key.first().copied().unwrap_or_default(), event.time_ms()));
            }
        });
        keys
    })
}

/// What is loaded, and what the queries must make of it; each worked out once.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    expected: BTreeMap<(Query, Format, Content), Digest>,
    held: BTreeMap<Input, Digest>,
    loaded: Vec<Input>,
}

impl Inputs {
    /// The digest of a query's output over an input.
    pub(super) fn expected(&mut self, query: Query, input: &Input) -> Result<Digest, BenchError> {
        let key = (query, input.format, input.content);
        if let Some(digest) = self.expected.get(&key) {
            return Ok(*digest);
        }
        let digest = match input.content {
            Content::Nexmark { events, seed, .. } | Content::Keys { events, seed, .. } => {
                query.expected(input.format, seed, events)?
            }
            Content::Synthetic(synthetic) => query.expected_of(
                (0..synthetic.records).map(|i| {
                    if query == Query::CountLocal { synthetic.short(i) } else { synthetic.bid(i, input.format) }
                }),
                input.format,
            )?,
        };
        self.expected.insert(key, digest);
        Ok(digest)
    }

    /// The topic of an input, loaded unless it is there already.
    pub(super) fn load(&mut self, cluster: &Cluster, input: &Input) -> Result<String, BenchError> {
        let topic = input.topic();
        if self.loaded.contains(input) {
            return Ok(topic);
        }
        if self.is_loaded(cluster, input)? {
            eprintln!("{topic}: {} records are there already", input.records());
        } else {
            let loaded = input.write(cluster)?;
            eprintln!("{topic}: loaded {} records in {:.1} s", loaded.records, loaded.wall_s);
        }
        self.loaded.push(*input);
        Ok(topic)
    }

    /// Whether the topic holds as many records, and where they are Nexmark's bids, these very ones.
    fn is_loaded(&mut self, cluster: &Cluster, input: &Input) -> Result<bool, BenchError> {
        let topic = input.topic();
        if cluster.partitions(&topic)? != Some(input.partitions as usize) {
            return Ok(false);
        }
        let records: i64 = cluster.extents(&topic)?.iter().map(|extent| extent.end - extent.start).sum();
        if records != input.records() as i64 {
            return Ok(false);
        }
        if !matches!(input.content, Content::Nexmark { .. }) {
            return Ok(true);
        }
        Ok(reading::digest(cluster, &topic, Query::Q0.mode())?.finish() == self.held(&[*input])?)
    }

    /// The digest of the records that these inputs hold, which are Nexmark's.
    pub(super) fn held(&mut self, inputs: &[Input]) -> Result<Digest, BenchError> {
        let mut sum = Digest::default();
        for input in inputs {
            if let Some(digest) = self.held.get(input) {
                sum = sum.with(digest);
                continue;
            }
            let Content::Nexmark { kind, events, seed } = input.content else { continue };
            let (mut digest, mut value) = (Digest::default(), Vec::new());
            for event in of_kinds(events, &[kind]).map(|i| Generator::new(seed).event(i)) {
                value.clear();
                input.format.encode(&event, &mut value)?;
                digest.add(Some(&event.key().to_be_bytes()), Some(&value));
            }
            self.held.insert(*input, digest);
            sum = sum.with(&digest);
        }
        Ok(sum)
    }
}
