//! The output's whole history, as a read_committed reader sees it while it comes about, each record judged.
//!
//! **Invariants:**
//! - A [`Judge`] accepts a record only if it is the oracle's, to the byte and the millisecond, and counts up.
//! - The digest of a partition covers offset, key, value and timestamp of every record in it: two readers that agree on the digests
//!   have seen the same history.

use super::PARTITIONS;
use super::topology;
use super::workload::Oracle;
use kappa_core::log::{
    Assignment, Fetch, FetchOptions, Isolation, LogError, OffsetSpec, PARTITION_BYTES_LEAN, RecordView, Recovery,
    SharedLog, Start, TopicPartition,
};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(50);
const POLL_RECORDS: usize = 10_000;
/// How long the end of what is there may be waited for.
const END: Duration = Duration::from_secs(120);

/// Judges records, one by one.
#[derive(Debug)]
pub struct Judge {
    oracle: Arc<Oracle>,
    /// The last count seen of each account.
    counts: Vec<u64>,
    partitions: Vec<PartitionDigest>,
    /// Input records that the last totals account for.
    accounted: u64,
}

/// What was seen of one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionDigest {
    /// Records.
    pub records: u64,
    digest: u64,
}

impl Judge {
    /// A judge who has seen nothing.
    pub fn new(oracle: Arc<Oracle>) -> Judge {
        let counts = vec![0; oracle.accounts() as usize];
        Judge { oracle, counts, partitions: vec![PartitionDigest::default(); PARTITIONS as usize], accounted: 0 }
    }

    /// Judges the next record of a partition; an error says what is wrong with it.
    pub fn see(&mut self, partition: usize, record: &RecordView<'_>) -> Result<(), String> {
        let (offset, timestamp_ms) = (record.offset, record.timestamp_ms);
        let bytes = record.key.zip(record.value);
        let (key, value) = bytes.ok_or_else(|| format!("output {partition}@{offset} has no key or no value"))?;
        let (account, total) =
            topology::decode(key, value).map_err(|error| format!("output {partition}@{offset}: {error}"))?;
        let expected = self.oracle.after(account, total.count);
        if expected != Some((total, timestamp_ms)) {
            return Err(format!(
                "output {partition}@{offset}: account {account} shows {total:?} at {timestamp_ms}; after {} payments it can \
                 only be {expected:?}",
                total.count
            ));
        }
        let last = &mut self.counts[account as usize];
        if total.count <= *last {
            return Err(format!(
                "output {partition}@{offset}: account {account} shows {total:?} after a count of {last} was committed"
            ));
        }
        self.accounted += total.count - *last;
        *last = total.count;
        let seen = &mut self.partitions[partition];
        let mut hasher = DefaultHasher::new();
        (seen.digest, offset, timestamp_ms, key, value).hash(&mut hasher);
        *seen = PartitionDigest { records: seen.records + 1, digest: hasher.finish() };
        Ok(())
    }

    /// Input records that the last totals account for: all of them, in the end.
    pub fn accounted(&self) -> u64 {
        self.accounted
    }

    /// What was seen, by partition.
    pub fn digests(&self) -> &[PartitionDigest] {
        &self.partitions
    }

    /// Records seen in all.
    pub fn records(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.records).sum()
    }

    /// The oracle's last total of every account has been seen; else the first account that lacks something.
    pub fn complete(&self) -> Result<(), String> {
        for (account, count) in (0..).zip(&self.counts) {
            let payments = self.oracle.payments(account);
            if *count != payments {
                return Err(format!("account {account} ended at a count of {count}, the input has {payments}"));
            }
        }
        Ok(())
    }
}

/// Reads an output to its end, as it is now, and judges it.
pub fn read_all(log: &SharedLog, topic: &str, oracle: &Arc<Oracle>) -> Result<Judge, String> {
    let mut judge = Judge::new(Arc::clone(oracle));
    let mut reading = Reading::open(log, topic).map_err(|error| error.to_string())?;
    reading.read_to_the_end(log, topic, &mut |partition, record| judge.see(partition, record))?;
    Ok(judge)
}

/// Looks for records that are in a topic twice: every timestamp of the workload is one record's alone.
pub fn doubled(log: &SharedLog, topic: &str) -> Result<Vec<String>, String> {
    let mut seen: BTreeMap<i64, (usize, i64)> = BTreeMap::new();
    let mut doubled = Vec::new();
    let mut reading = Reading::open(log, topic).map_err(|error| error.to_string())?;
    reading.read_to_the_end(log, topic, &mut |partition, record| {
        if let Some((first_partition, first)) = seen.insert(record.timestamp_ms, (partition, record.offset)) {
            let (time, offset) = (record.timestamp_ms, record.offset);
            doubled.push(format!("the record of {time} at {first_partition}@{first} and {partition}@{offset}"));
        }
        Ok(())
    })?;
    Ok(doubled)
}

/// Is shown the records of a topic with their partitions, in order.
type See<'s> = dyn FnMut(usize, &RecordView<'_>) -> Result<(), String> + 's;

struct Reading {
    fetch: Box<dyn Fetch>,
    /// Next offset of each partition, control records included.
    positions: Vec<i64>,
}

impl Reading {
    fn open(log: &SharedLog, topic: &str) -> Result<Reading, LogError> {
        let options = FetchOptions {
            client_id: "history".into(),
            isolation: Isolation::ReadCommitted,
            buffer_bytes: 16 * 1024 * 1024,
            wait_max: Duration::from_millis(20),
            ahead_records: 10_000,
            partition_bytes: PARTITION_BYTES_LEAN,
        };
        let mut fetch = log.fetch(options)?;
        let assignments: Vec<Assignment> = (0..PARTITIONS)
            .map(|partition| Assignment {
                partition: TopicPartition::new(topic, partition),
                start: Start::Earliest,
                token: partition as u32,
            })
            .collect();
        fetch.assign(&assignments)?;
        Ok(Reading { fetch, positions: vec![0; PARTITIONS as usize] })
    }

    fn step(&mut self, see: &mut See<'_>) -> Result<(), String> {
        let polled = match self.fetch.poll(POLL_RECORDS, POLL) {
            Ok(polled) => polled,
            Err(error) if error.recovery() == Recovery::Retry => return Ok(()),
            Err(error) => return Err(format!("the output can't be read: {error}")),
        };
        if let Some(batch) = polled.batch {
            for run in batch.runs() {
                for index in run.start..run.end {
                    let record = batch.record(index as usize);
                    see(run.token as usize, &record)?;
                    self.positions[run.token as usize] = record.offset + 1;
                }
            }
        }
        for end in polled.ends {
            let position = &mut self.positions[end.token as usize];
            *position = end.offset.max(*position);
        }
        match polled.failures.into_iter().next() {
            Some(failure) => Err(format!("output {} can't be read: {}", failure.token, failure.error)),
            None => Ok(()),
        }
    }

    fn read_to_the_end(&mut self, log: &SharedLog, topic: &str, see: &mut See<'_>) -> Result<(), String> {
        let wanted: Vec<(TopicPartition, OffsetSpec)> = (0..PARTITIONS)
            .map(|partition| (TopicPartition::new(topic, partition), OffsetSpec::Latest(Isolation::ReadUncommitted)))
            .collect();
        let mut topics = log.topics().map_err(|error| error.to_string())?;
        let ends = topics.offsets(&wanted).map_err(|error| error.to_string())?;
        let until = Instant::now() + END;
        while self.positions.iter().zip(&ends).any(|(position, end)| position < end) {
            if Instant::now() >= until {
                return Err(format!(
                    "the output's end was not reached within {END:?}: read up to {:?} of {ends:?}; is a transaction open?",
                    self.positions
                ));
            }
            self.step(see)?;
        }
        Ok(())
    }
}

/// A reader that follows the output while it is written.
#[derive(Debug)]
pub struct LiveReader {
    shared: Arc<Live>,
    thread: Option<JoinHandle<Option<Judge>>>,
}

#[derive(Debug, Default)]
struct Live {
    finish: AtomicBool,
    accounted: AtomicU64,
    wrong: Mutex<Option<String>>,
}

impl LiveReader {
    /// Begins to read.
    pub fn start(log: &SharedLog, topic: &str, oracle: &Arc<Oracle>) -> LiveReader {
        let shared = Arc::new(Live::default());
        let (live, log, topic, oracle) = (Arc::clone(&shared), Arc::clone(log), topic.to_owned(), Arc::clone(oracle));
        let thread = std::thread::spawn(move || match live.follow(&log, &topic, oracle) {
            Ok(judge) => Some(judge),
            Err(wrong) => {
                *live.wrong.lock().unwrap_or_else(PoisonError::into_inner) = Some(wrong);
                None
            }
        });
        LiveReader { shared, thread: Some(thread) }
    }

    /// Input records that the output accounts for by now; an error says which record was wrong.
    pub fn accounted(&self) -> Result<u64, String> {
        match &*self.shared.wrong.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(wrong) => Err(wrong.clone()),
            None => Ok(self.shared.accounted.load(Ordering::Relaxed)),
        }
    }

    /// Reads to the end and gives back what was seen; an error says which record was wrong.
    pub fn finish(&mut self) -> Result<Judge, String> {
        self.shared.finish.store(true, Ordering::Relaxed);
        let judge = self.thread.take().and_then(|thread| thread.join().ok()).flatten();
        self.accounted()?;
        judge.ok_or_else(|| "the live reader panicked (above)".to_owned())
    }
}

impl Live {
    fn follow(&self, log: &SharedLog, topic: &str, oracle: Arc<Oracle>) -> Result<Judge, String> {
        let mut judge = Judge::new(oracle);
        let mut reading = Reading::open(log, topic).map_err(|error| error.to_string())?;
        while !self.finish.load(Ordering::Relaxed) {
            reading.step(&mut |partition, record| judge.see(partition, record))?;
            self.accounted.store(judge.accounted(), Ordering::Relaxed);
        }
        reading.read_to_the_end(log, topic, &mut |partition, record| judge.see(partition, record))?;
        Ok(judge)
    }
}

impl Drop for LiveReader {
    fn drop(&mut self) {
        self.shared.finish.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exactly_once::topology::Total;
    use crate::exactly_once::workload::Workload;
    use kappa_core::codec::{Codec, postcard};

    fn judge() -> Judge {
        Judge::new(Arc::new(Oracle::of(&Workload { records: 100, accounts: 2, seed: 1, start_ms: 1_000 })))
    }

    fn see(judge: &mut Judge, account: u32, total: Total, timestamp_ms: i64) -> Result<(), String> {
        let (key, mut value) = (account.to_be_bytes(), Vec::new());
        postcard().encode(&total, &mut value).expect("encoded");
        judge.see(0, &RecordView { offset: 7, timestamp_ms, key: Some(&key), value: Some(&value) })
    }

    #[test]
    fn the_oracles_totals_are_accepted_in_rising_order_and_nothing_else() {
        let mut judge = judge();
        let oracle = Arc::clone(&judge.oracle);
        let after = |count| oracle.after(1, count).expect("enough payments");
        let (second, second_ms) = after(2);
        let (fifth, fifth_ms) = after(5);
        see(&mut judge, 1, second, second_ms).expect("a total may be the first to be seen");
        assert!(see(&mut judge, 1, second, second_ms).expect_err("twice").contains("after a count of 2"));
        see(&mut judge, 1, fifth, fifth_ms).expect("several payments in one transaction");
        assert!(see(&mut judge, 1, second, second_ms).expect_err("back").contains("after a count of 5"));
        // The third payment counted twice: a count that is possible with a sum that is not.
        let (sixth, sixth_ms) = after(6);
        let doubled = Total { count: 6, sum: fifth.sum + (after(3).0.sum - second.sum) + 1 };
        assert_ne!(doubled.sum, sixth.sum);
        assert!(see(&mut judge, 1, doubled, sixth_ms).expect_err("doubled").contains("can only be"));
        assert!(see(&mut judge, 1, sixth, fifth_ms).is_err(), "the time of another payment");
        assert_eq!(judge.accounted(), 5);
        assert!(judge.complete().expect_err("incomplete").contains("account 0 ended at a count of 0"));
        let beyond = Total { count: oracle.payments(1) + 1, sum: 0 };
        assert!(see(&mut judge, 1, beyond, fifth_ms).is_err(), "more payments than there are");
    }

    #[test]
    fn histories_that_differ_in_one_record_have_other_digests() {
        let (mut one, mut other) = (judge(), judge());
        let oracle = Arc::clone(&one.oracle);
        for count in [1, 3] {
            let (total, timestamp_ms) = oracle.after(0, count).expect("enough payments");
            see(&mut one, 0, total, timestamp_ms).expect("right");
        }
        let (total, timestamp_ms) = oracle.after(0, 3).expect("enough payments");
        see(&mut other, 0, total, timestamp_ms).expect("right");
        assert_eq!((one.records(), other.records()), (2, 1));
        assert_ne!(one.digests(), other.digests());
    }
}
