//! Reads whole topics, as a read_committed reader sees them.

use crate::cluster::{Cluster, ClusterError};
use crate::digest::{Digester, Mode};
use crate::raw::{Batch, Consumer, RawError, Record};
use std::time::{Duration, Instant};

const BATCH_RECORDS: usize = 10_000;
const POLL: Duration = Duration::from_millis(200);
/// No reader of the bench waits longer for the next record.
const STALL_DEADLINE: Duration = Duration::from_secs(60);

/// Why a topic could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The client failed.
    #[error("read {topic}: {source}")]
    Client {
        /// The topic.
        topic: String,
        /// The client's error.
        source: RawError,
    },
    /// Nothing comes any more, and the end was not reached.
    #[error("read {topic}: nothing came for 60 s before its end; is a transaction still open on it?")]
    Stalled {
        /// The topic.
        topic: String,
    },
}

/// Reads a topic from its start to its present end and digests it.
pub fn digest(cluster: &Cluster, topic: &str, mode: Mode) -> Result<Digester, ReadError> {
    let mut digester = Digester::new(mode);
    read_all(cluster, topic, &[], |record| digester.add(record.key, record.value))?;
    Ok(digester)
}

/// Reads a topic from its start to its present end; `settings` go over the reader's own.
pub fn read_all(
    cluster: &Cluster,
    topic: &str,
    settings: &[(&str, &str)],
    mut each: impl FnMut(Record<'_>),
) -> Result<(), ReadError> {
    let failed = |source| ReadError::Client { topic: topic.to_owned(), source };
    let extents = cluster.extents(topic)?;
    let mut open = extents.iter().filter(|extent| extent.end > extent.start).count();
    let starts: Vec<i64> = extents.iter().map(|extent| extent.start).collect();
    let consumer = Consumer::connect(cluster.brokers(), "kappa-bench-reader", settings).map_err(failed)?;
    consumer.assign(topic, &starts).map_err(failed)?;
    let mut batch = Batch::with_capacity(BATCH_RECORDS);
    let mut last_came = Instant::now();
    let mut done = vec![false; extents.len()];
    while open > 0 {
        consumer.poll(&mut batch, POLL).map_err(failed)?;
        if !batch.is_empty() {
            last_came = Instant::now();
        } else if last_came.elapsed() > STALL_DEADLINE {
            return Err(ReadError::Stalled { topic: topic.to_owned() });
        }
        for record in batch.records() {
            each(record);
        }
        // Ends are positions behind control records, so they are what tells that all has come.
        for end in batch.ends() {
            let partition = end.partition as usize;
            if extents[partition].end > extents[partition].start && end.offset >= extents[partition].end {
                open -= usize::from(!std::mem::replace(&mut done[partition], true));
            }
        }
    }
    Ok(())
}
