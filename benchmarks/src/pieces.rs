//! What the parts of a query cost by themselves: reading, decoding, encoding, state. Together with the pipe they are
//! the floor below which nothing built of the same parts can come.

use crate::cluster::{Cluster, ClusterError};
use crate::expected::Query;
use crate::nexmark::{Bid, BinCodec, Format};
use crate::pipe::FETCH_SETTINGS;
use crate::reading::{self, ReadError};
use crate::stats::{self, Cost, Mark};
use kappa_core::codec::{Codec, CodecError, i64_be, json};
use kappa_core::partitioner;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

/// How many records the codec is measured with: as many as memory holds with ease.
const CODEC_RECORDS: usize = 500_000;
/// Records between two commits of the state: what 100 ms bring at 500,000 a second.
#[cfg(feature = "rocksdb")]
const COMMIT_RECORDS: usize = 50_000;

/// A part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Piece {
    /// The bare client reads all records and looks at none.
    Consume,
    /// The bids' codec decodes these records, in memory.
    Decode,
    /// The bids' codec encodes them again, in memory.
    Encode,
    /// kappa's buffered store in front of RocksDB counts by these records' keys; no log.
    State,
}

/// A part to measure.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// The part.
    pub piece: Piece,
    /// The topic with the bids.
    pub input: String,
    /// Their encoding.
    pub format: Format,
    /// Whose keys the state has.
    pub query: Query,
    /// Where the state lives.
    pub state_dir: PathBuf,
    /// Cache in front of the stores.
    pub cache_bytes: usize,
}

/// Why a part could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The records could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record could not be decoded or encoded.
    #[error("codec: {0}")]
    Codec(#[from] CodecError),
    /// The store failed.
    #[error("state: {0}")]
    State(#[from] kappa_state::StateError),
    /// There is nothing to measure with.
    #[error("state is measured in RocksDB, and this program was built without it")]
    NoRocksDb,
}

/// Measures.
pub fn run(cluster: &Cluster, measurement: &Measurement) -> Result<Cost, PieceError> {
    match measurement.piece {
        Piece::Consume => consume(cluster, &measurement.input),
        Piece::Decode => decode(&some_values(cluster, measurement)?, measurement.format),
        Piece::Encode => encode(&some_values(cluster, measurement)?, measurement.format),
        Piece::State => state(cluster, measurement),
    }
}

fn consume(cluster: &Cluster, topic: &str) -> Result<Cost, PieceError> {
    let start = Mark::now();
    let mut records = 0;
    reading::read_all(cluster, topic, FETCH_SETTINGS, |record| {
        black_box(record.value);
        records += 1;
    })?;
    Ok(cost(records, &start))
}

fn some_values(cluster: &Cluster, measurement: &Measurement) -> Result<Vec<Vec<u8>>, PieceError> {
    let mut values = Vec::with_capacity(CODEC_RECORDS);
    reading::read_all(cluster, &measurement.input, &[], |record| {
        if values.len() < CODEC_RECORDS {
            values.extend(record.value.map(<[u8]>::to_vec));
        }
    })?;
    Ok(values)
}

fn codec(format: Format) -> Box<dyn Codec<Bid>> {
    match format {
        Format::Json => Box::new(json::<Bid>()),
        Format::Bin => Box::new(BinCodec),
    }
}

fn decode(values: &[Vec<u8>], format: Format) -> Result<Cost, PieceError> {
    let codec = codec(format);
    let start = Mark::now();
    for value in values {
        black_box(codec.decode(value)?);
    }
    Ok(cost(values.len() as u64, &start))
}

fn encode(values: &[Vec<u8>], format: Format) -> Result<Cost, PieceError> {
    let codec = codec(format);
    let bids = values.iter().map(|value| codec.decode(value)).collect::<Result<Vec<_>, _>>()?;
    let mut out = Vec::new();
    let start = Mark::now();
    for bid in &bids {
        out.clear();
        codec.encode(bid, &mut out)?;
        black_box(&out);
    }
    Ok(cost(values.len() as u64, &start))
}

/// The key that each record is counted by, with the partition of its store.
fn keys(cluster: &Cluster, measurement: &Measurement) -> Result<Vec<(u32, i64)>, PieceError> {
    let partitions = cluster.extents(&measurement.input)?.len() as i32;
    let codec = codec(measurement.format);
    let (mut keys, mut failure) = (Vec::new(), None);
    reading::read_all(cluster, &measurement.input, &[], |record| {
        match codec.decode(record.value.unwrap_or_default()) {
            Ok(bid) => {
                let key = measurement.query.group(&bid);
                keys.push((partitioner::partition(&key.to_be_bytes(), partitions) as u32, key));
            }
            Err(error) => failure = Some(error),
        }
    })?;
    failure.map_or(Ok(keys), |error| Err(error.into()))
}

#[cfg(feature = "rocksdb")]
fn state(cluster: &Cluster, measurement: &Measurement) -> Result<Cost, PieceError> {
    use kappa_state::{
        BufferOptions, BufferedStore, ManagedStore, MemoryBudget, RocksBackend, RocksOptions, StateBackend, StateError,
        StoreId, TailBound,
    };
    let keys = keys(cluster, measurement)?;
    let partitions = keys.iter().map(|(partition, _)| partition + 1).max().unwrap_or(1);
    let settings = kappa_core::Settings::default();
    let backend = RocksBackend::open(&RocksOptions {
        path: measurement.state_dir.clone(),
        application_id: "bench-state-alone".to_owned(),
        topology_fingerprint: "none".to_owned(),
        memory: MemoryBudget::new(settings.memory_bytes),
    })?;
    let start = Mark::now();
    let mut stores = (0..partitions)
        .map(|partition| {
            let id = StoreId { task: partition.to_string(), store: "counts".to_owned() };
            let store = backend.open(&id)?;
            let options = BufferOptions {
                tail_bound: TailBound::default(),
                cache_bytes: measurement.cache_bytes / partitions as usize,
                keep_old: false,
            };
            BufferedStore::<i64>::open(id, store, Arc::new(i64_be()), options)
        })
        .collect::<Result<Vec<_>, StateError>>()?;
    let mut offsets = vec![0_i64; stores.len()];
    for (number, records) in keys.chunks(COMMIT_RECORDS).enumerate() {
        let now_ms = number as i64 * settings.commit_interval_ms;
        for (partition, key) in records {
            let count = |row: Option<(i64, i64)>| Some((row.map_or(0, |(count, _)| count) + 1, now_ms));
            stores[*partition as usize].update(&key.to_be_bytes(), count)?;
        }
        for (store, offset) in stores.iter_mut().zip(&mut offsets) {
            store.stage(|change| {
                black_box(change.value_bytes);
                *offset += 1;
                Ok::<_, StateError>(())
            })?;
            store.committed(Some(*offset), &[], now_ms)?;
            store.flush(now_ms, false)?;
        }
    }
    Ok(cost(keys.len() as u64, &start))
}

#[cfg(not(feature = "rocksdb"))]
fn state(cluster: &Cluster, measurement: &Measurement) -> Result<Cost, PieceError> {
    let _ = (keys(cluster, measurement)?, Arc::new(i64_be()));
    Err(PieceError::NoRocksDb)
}

fn cost(input_records: u64, start: &Mark) -> Cost {
    Cost {
        input_records,
        wall_s: start.wall_seconds(),
        cpu_s: start.cpu_seconds(),
        cpu_total_s: stats::cpu_seconds(),
        start_cpu_s: start.cpu_before(),
        restoring_s: 0.0,
        peak_rss_mib: stats::peak_rss_mib().unwrap_or_default(),
        threads: stats::threads().unwrap_or_default(),
    }
}
