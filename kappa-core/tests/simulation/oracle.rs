//! What must hold at every moment, computed from the input alone.
//!
//! At a checkpoint (late markers written, open transactions left out) the committed offsets say how far the input has been
//! processed, and everything committed must be exactly what follows from that much input: numbers, totals, changelogs,
//! histories. State on disk must be exactly its changelog up to its mark.

use crate::job::{INPUT, MIDDLE, ONE, OUTPUT, PARTITIONS_OUT, SEEN, SUMS, group_of, unpack};
use crate::judge::Judge;
use crate::knobs::Knobs;
use kappa_core::log::embedded::{EmbeddedLog, InspectedKind};
use kappa_core::log::{Log, OffsetSpec, Start, TopicPartition};
use kappa_core::runtime::AppLayout;
use kappa_core::topology::TopicRef;
use kappa_state::{Direction, MemoryBackend, StateBackend, StateError};
use std::collections::BTreeMap;
use std::ops::Bound;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    key: u64,
    value: i64,
    timestamp_ms: i64,
}

/// Committed records by offset; what compaction or deletion removes from the log stays here.
type Tape = BTreeMap<i64, Written>;
/// Key to value and timestamp.
type Table = BTreeMap<u64, (i64, i64)>;

/// The contents of one store of a process that was down.
struct Snapshot {
    identity: String,
    changelog: TopicPartition,
    mark: Option<i64>,
    rows: Table,
}

pub(crate) struct Oracle {
    groups: u64,
    at_once: bool,
    tail_records: u64,
    partitions_in: i32,
    partitions_mid: i32,
    tapes: BTreeMap<(&'static str, i32), Tape>,
    snapshots: Vec<Snapshot>,
    /// For each process (its state's identity) and changelog, its own confirmed commits: position and records.
    commits: BTreeMap<(String, TopicPartition), Vec<(i64, u64)>>,
    /// For each process and changelog, the highest mark ever seen.
    marks: BTreeMap<(String, TopicPartition), i64>,
}

impl Oracle {
    pub(crate) fn new(knobs: &Knobs) -> Self {
        Self {
            groups: knobs.groups,
            at_once: knobs.at_once,
            tail_records: knobs.tail_records,
            partitions_in: knobs.partitions_in,
            partitions_mid: knobs.partitions_mid,
            tapes: BTreeMap::new(),
            snapshots: Vec::new(),
            commits: BTreeMap::new(),
            marks: BTreeMap::new(),
        }
    }

    fn refresh(&mut self, log: &EmbeddedLog, topic: &'static str, partition: i32) {
        let records = log.inspect(&TopicPartition::new(topic, partition)).unwrap_or_default();
        let tape = self.tapes.entry((topic, partition)).or_default();
        for record in records {
            if let (InspectedKind::Plain | InspectedKind::Committed, Some(key), Some(value)) =
                (record.kind, &record.key, &record.value)
            {
                let (key, value) = (number(key) as u64, number(value));
                tape.entry(record.offset).or_insert(Written { key, value, timestamp_ms: record.timestamp_ms });
            }
        }
    }

    fn tape(&self, topic: &'static str, partition: i32) -> impl Iterator<Item = (&i64, &Written)> {
        self.tapes.get(&(topic, partition)).into_iter().flatten()
    }

    /// The last value of each key below an offset.
    fn table(&self, topic: &'static str, partition: i32, below: i64) -> Table {
        let written = self.tape(topic, partition).take_while(|(offset, _)| **offset < below);
        written.map(|(_, written)| (written.key, (written.value, written.timestamp_ms))).collect()
    }

    fn check_snapshot(&self, snapshot: &Snapshot) -> Result<(), String> {
        let Snapshot { identity, changelog, mark, rows } = snapshot;
        let topic = if *changelog.topic == *SEEN { SEEN } else { SUMS };
        let expected = self.table(topic, changelog.partition, mark.unwrap_or(0));
        if *rows != expected {
            return Err(format!(
                "{identity}: the store of {changelog} with mark {mark:?} has {rows:?}, its changelog says {expected:?}"
            ));
        }
        Ok(())
    }

    /// The first stage: numbers in store and repartition topic follow from the input that is committed as processed.
    fn check_numbers(&self, committed: impl Fn(&str, i32) -> i64) -> Result<(), String> {
        let mut expected: BTreeMap<u64, Vec<(i64, i64)>> = BTreeMap::new();
        for partition in 0..self.partitions_in {
            let upto = committed(INPUT, partition);
            let mut numbers = BTreeMap::new();
            for (_, written) in self.tape(INPUT, partition).take_while(|(offset, _)| **offset < upto) {
                let of_key = expected.entry(written.key).or_default();
                of_key.push((of_key.len() as i64 + 1, written.value));
                numbers.insert(written.key, of_key.len() as i64);
            }
            let table = self.table(SEEN, partition, i64::MAX);
            let logged: BTreeMap<u64, i64> = table.into_iter().map(|(key, (value, _))| (key, value)).collect();
            if logged != numbers {
                return Err(format!(
                    "{SEEN}-{partition}: says {logged:?}, but of the input up to {upto} follows {numbers:?}"
                ));
            }
        }
        let mut found: BTreeMap<u64, Vec<(i64, i64)>> = BTreeMap::new();
        for partition in 0..self.partitions_mid {
            for (offset, written) in self.tape(MIDDLE, partition) {
                let (key, number, amount) = unpack(written.value);
                if written.key != group_of(key, self.groups) {
                    return Err(format!(
                        "{MIDDLE}-{partition} offset {offset}: key {key} is not of group {}",
                        written.key
                    ));
                }
                found.entry(key).or_default().push((number, amount));
            }
        }
        for key in expected.keys().chain(found.keys()) {
            let (expected, found) = (expected.get(key), found.get(key));
            if expected != found {
                return Err(format!("{MIDDLE}: key {key} has {found:?}, but of the input follows {expected:?}"));
            }
        }
        Ok(())
    }

    /// The second stage: totals in store, output and its history follow from the repartition topic's committed part.
    fn check_totals(&self, committed: impl Fn(&str, i32) -> i64) -> Result<(), String> {
        let mut totals: BTreeMap<u64, i64> = BTreeMap::new();
        for partition in 0..self.partitions_mid {
            let upto = committed(MIDDLE, partition);
            let mut here: BTreeMap<u64, i64> = BTreeMap::new();
            for (_, written) in self.tape(MIDDLE, partition).take_while(|(offset, _)| **offset < upto) {
                *here.entry(written.key).or_default() += ONE + unpack(written.value).2;
            }
            let table = self.table(SUMS, partition, i64::MAX);
            let logged: BTreeMap<u64, i64> = table.into_iter().map(|(key, (value, _))| (key, value)).collect();
            if logged != here {
                return Err(format!("{SUMS}-{partition}: says {logged:?}, but up to {upto} follows {here:?}"));
            }
            totals.extend(here);
        }
        let mut last: BTreeMap<u64, i64> = BTreeMap::new();
        for partition in 0..PARTITIONS_OUT {
            for (offset, written) in self.tape(OUTPUT, partition) {
                let before = last.insert(written.key, written.value).unwrap_or_default();
                let records = (written.value >> 32) - (before >> 32);
                if records < 1 || written.value <= before || (self.at_once && records != 1) {
                    return Err(format!(
                        "{OUTPUT}-{partition} offset {offset}: group {} goes from {before:#x} to {:#x}",
                        written.key, written.value
                    ));
                }
            }
        }
        if last != totals {
            return Err(format!("{OUTPUT}: says {last:?}, but of the repartition topic follows {totals:?}"));
        }
        Ok(())
    }
}

impl Judge for Oracle {
    /// A process has committed changelog records and knows it.
    fn has_committed(&mut self, identity: &str, changelog: &str, partition: i32, position: i64, records: u64) {
        let of = (identity.to_owned(), TopicPartition::new(changelog, partition));
        self.commits.entry(of).or_default().push((position, records));
    }

    /// A restore begins: from the store's mark, never further back than that mark was; and what this process wrote itself
    /// beyond the mark is within the bound of the tail.
    fn check_restore(&mut self, identity: &str, changelog: &TopicPartition, start: Start) -> Result<(), String> {
        let of = (identity.to_owned(), changelog.clone());
        let from = match start {
            Start::Offset(offset) => offset,
            Start::Earliest | Start::Latest => 0,
        };
        let known = self.marks.get(&of).copied().unwrap_or_default();
        if from < known {
            return Err(format!(
                "{identity}: {changelog} is restored from {from}, but its store was at {known} already"
            ));
        }
        self.marks.insert(of.clone(), from);
        let commits = self.commits.get(&of).map_or(&[][..], Vec::as_slice);
        let own: Vec<u64> =
            commits.iter().filter(|(position, _)| *position > from).map(|(_, records)| *records).collect();
        let before_last: u64 = own.iter().rev().skip(1).sum();
        if before_last >= self.tail_records {
            return Err(format!(
                "{identity}: {changelog} is restored from {from}: {before_last} records of its own and those of its last \
                 commit, though the tail is bounded by {}",
                self.tail_records
            ));
        }
        Ok(())
    }

    /// Looks into all stores of a process that is down.
    fn take_snapshots(&mut self, identity: &str, backend: &MemoryBackend) -> Result<(), String> {
        let failed = |error: StateError| format!("{identity}: a store can't be read: {error}");
        for id in backend.stored().map_err(failed)? {
            let store = backend.open(&id).map_err(failed)?;
            let mark = store.mark().map(|mark| mark.changelog_offset);
            let mut rows = Table::new();
            let mut cursor = store.scan(Bound::Unbounded, Bound::Unbounded, Direction::Forward).map_err(failed)?;
            while let Some((key, row)) = cursor.next().map_err(failed)? {
                let (timestamp_ms, value) = row.split_at(8);
                rows.insert(number(key) as u64, (number(value), number(timestamp_ms)));
            }
            drop(cursor);
            let partition = id.task.rsplit('-').next().and_then(|text| text.parse().ok()).unwrap_or(-1);
            let topic = if id.store == "seen" { SEEN } else { SUMS };
            let (identity, changelog) = (identity.to_owned(), TopicPartition::new(topic, partition));
            let known = self.marks.entry((identity.clone(), changelog.clone())).or_default();
            if mark.unwrap_or(0) < *known {
                return Err(format!("{identity}: the store of {changelog} was at {known} and is at {mark:?} now"));
            }
            *known = mark.unwrap_or(0);
            self.snapshots.push(Snapshot { identity, changelog, mark, rows });
        }
        Ok(())
    }

    /// Everything that must hold now.
    fn check(&mut self, log: &EmbeddedLog, group: &str) -> Result<(), String> {
        let topics = [
            (INPUT, self.partitions_in),
            (MIDDLE, self.partitions_mid),
            (OUTPUT, PARTITIONS_OUT),
            (SEEN, self.partitions_in),
            (SUMS, self.partitions_mid),
        ];
        for (topic, partitions) in topics {
            for partition in 0..partitions {
                self.refresh(log, topic, partition);
            }
        }
        let offsets = log.group(group).map(|group| group.offsets).unwrap_or_default();
        let committed = |topic: &str, partition: i32| {
            offsets.get(&TopicPartition::new(topic, partition)).map_or(0, |committed| committed.offset)
        };
        for snapshot in std::mem::take(&mut self.snapshots) {
            self.check_snapshot(&snapshot)?;
        }
        self.check_numbers(committed)?;
        self.check_totals(committed)
    }

    fn before_purge(&mut self, log: &EmbeddedLog) {
        (0..self.partitions_mid).for_each(|partition| self.refresh(log, MIDDLE, partition));
    }

    /// Whether all of the input has been processed, through both stages.
    fn is_through(&mut self, log: &EmbeddedLog, group: &str) -> bool {
        let offsets = log.group(group).map(|group| group.offsets).unwrap_or_default();
        let stages = [(INPUT, self.partitions_in), (MIDDLE, self.partitions_mid)];
        stages.iter().all(|(topic, partitions)| {
            (0..*partitions).all(|partition| {
                self.refresh(log, topic, partition);
                let last = self.tapes[&(*topic, partition)].keys().next_back().copied();
                let committed = offsets.get(&TopicPartition::new(*topic, partition)).map(|committed| committed.offset);
                last.is_none_or(|last| committed.is_some_and(|committed| committed > last))
            })
        })
    }
}

/// Offsets may only be committed by the member that has the tasks at that moment.
pub(crate) fn check_owner(
    log: &EmbeddedLog,
    layout: &AppLayout,
    member: &str,
    partitions: &[TopicPartition],
) -> Result<(), String> {
    let Some(group) = log.group(crate::job::APPLICATION) else { return Ok(()) };
    let Some(seat) = group.members.iter().find(|seat| seat.member_id == member) else {
        return Err(format!("offsets of {member} were taken, but it is no member"));
    };
    for partition in partitions {
        let sub =
            layout.sub_topologies.iter().find(|sub| sub.sources.iter().any(|source| source.topic == partition.topic));
        let task = sub.map_or(-1, |sub| sub.first_task as i32 + partition.partition);
        if !seat.owned.contains(&task) {
            return Err(format!("offsets of {partition} were taken from {member}, which does not have the task"));
        }
    }
    Ok(())
}

/// Nothing is deleted from a repartition topic that is not committed as processed.
pub(crate) fn check_purged(log: &EmbeddedLog, layout: &AppLayout) -> Result<(), String> {
    let offsets = log.group(crate::job::APPLICATION).map(|group| group.offsets).unwrap_or_default();
    let sources = layout.sub_topologies.iter().flat_map(|sub| &sub.sources);
    for source in sources.filter(|source| matches!(source.reference, TopicRef::Repartition(_))) {
        for number in 0..source.partitions {
            let partition = TopicPartition::new(&*source.topic, number);
            let asked = [(partition.clone(), OffsetSpec::Earliest)];
            let start =
                log.topics().and_then(|mut topics| topics.offsets(&asked)).map_err(|error| error.to_string())?;
            let committed = offsets.get(&partition).map_or(0, |committed| committed.offset);
            if start[0] > committed {
                return Err(format!(
                    "{partition} begins at {}, but only what is below {committed} is committed",
                    start[0]
                ));
            }
        }
    }
    Ok(())
}

fn number(bytes: &[u8]) -> i64 {
    bytes.try_into().map(i64::from_be_bytes).unwrap_or(i64::MIN)
}
