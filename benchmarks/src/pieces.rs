//! What the parts of a query cost by themselves: reading, decoding, encoding, state. Together with the pipe they are
//! the floor below which nothing built of the same parts can come.

use crate::cluster::{Cluster, ClusterError};
use crate::expected::Query;
use crate::nexmark::{BinCodec, Event, Format, Kind};
use crate::pipe::FETCH_SETTINGS;
use crate::reading::{self, ReadError};
use crate::state_keys;
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
    /// The events' codec decodes these records, in memory.
    Decode,
    /// The events' codec encodes them again, in memory.
    Encode,
    /// kappa's buffered store in front of RocksDB counts by the keys of the rows that these records touch; no log.
    State,
}

/// A part to measure.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// The part.
    pub piece: Piece,
    /// The topics with the query's events, in the order of its kinds.
    pub inputs: Vec<String>,
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
        Piece::Consume => consume(cluster, &measurement.inputs),
        Piece::Decode => decode(&some_values(cluster, measurement)?, measurement.format),
        Piece::Encode => encode(&some_values(cluster, measurement)?, measurement.format),
        Piece::State => state(cluster, measurement),
    }
}

fn consume(cluster: &Cluster, topics: &[String]) -> Result<Cost, PieceError> {
    let start = Mark::now();
    let mut records = 0;
    for topic in topics {
        reading::read_all(cluster, topic, FETCH_SETTINGS, |record| {
            black_box(record.value);
            records += 1;
        })?;
    }
    Ok(cost(records, &start))
}

/// As many of each kind as there are of it in the whole input, in parts of it.
fn some_values(cluster: &Cluster, measurement: &Measurement) -> Result<Vec<(Kind, Vec<u8>)>, PieceError> {
    let topics = measurement.query.inputs().iter().zip(&measurement.inputs);
    let mut held = Vec::new();
    for (kind, topic) in topics {
        let records: i64 = cluster.extents(topic)?.iter().map(|extent| extent.end - extent.start).sum();
        held.push((*kind, topic, records as usize));
    }
    let all = held.iter().map(|(_, _, records)| records).sum::<usize>().max(1);
    let mut values = Vec::with_capacity(CODEC_RECORDS);
    for (kind, topic, records) in held {
        let until = values.len() + (CODEC_RECORDS.min(all) * records).div_ceil(all);
        reading::read_all(cluster, topic, &[], |record| {
            if values.len() < until {
                values.extend(record.value.map(|value| (kind, value.to_vec())));
            }
        })?;
    }
    Ok(values)
}

fn decoded(format: Format, kind: Kind, bytes: &[u8]) -> Result<Event, CodecError> {
    match (format, kind) {
        (Format::Json, Kind::Person) => json().decode(bytes).map(Event::Person),
        (Format::Json, Kind::Auction) => json().decode(bytes).map(Event::Auction),
        (Format::Json, Kind::Bid) => json().decode(bytes).map(Event::Bid),
        (Format::Bin, Kind::Person) => BinCodec.decode(bytes).map(Event::Person),
        (Format::Bin, Kind::Auction) => BinCodec.decode(bytes).map(Event::Auction),
        (Format::Bin, Kind::Bid) => BinCodec.decode(bytes).map(Event::Bid),
    }
}

fn decode(values: &[(Kind, Vec<u8>)], format: Format) -> Result<Cost, PieceError> {
    let start = Mark::now();
    for (kind, value) in values {
        black_box(decoded(format, *kind, value)?);
    }
    Ok(cost(values.len() as u64, &start))
}

fn encode(values: &[(Kind, Vec<u8>)], format: Format) -> Result<Cost, PieceError> {
    let decoded = |(kind, value): &(Kind, Vec<u8>)| decoded(format, *kind, value);
    let events = values.iter().map(decoded).collect::<Result<Vec<_>, _>>()?;
    let mut out = Vec::new();
    let start = Mark::now();
    for event in &events {
        out.clear();
        format.encode(event, &mut out)?;
        black_box(&out);
    }
    Ok(cost(values.len() as u64, &start))
}

/// A row that an event touches, with the time of the event and the partition of the row's store.
struct Touched {
    time_ms: i64,
    partition: u32,
    key: Vec<u8>,
}

/// The rows that the events touch in the order of their times, and how many events there are.
fn rows(cluster: &Cluster, measurement: &Measurement) -> Result<(Vec<Touched>, u64), PieceError> {
    let (mut rows, mut failure, mut events) = (Vec::new(), None, 0);
    for (kind, topic) in measurement.query.inputs().iter().zip(&measurement.inputs) {
        let partitions = cluster.extents(topic)?.len() as i32;
        reading::read_all(cluster, topic, &[], |record| {
            events += 1;
            match decoded(measurement.format, *kind, record.value.unwrap_or_default()) {
                Ok(event) => state_keys::touched(measurement.query, &event, |number, key| {
                    let partition = partitioner::partition(&number.to_be_bytes(), partitions) as u32;
                    let key = key.iter().flat_map(|part| part.to_be_bytes()).collect();
                    rows.push(Touched { time_ms: event.time_ms(), partition, key });
                }),
                Err(error) => failure = Some(error),
            }
        })?;
    }
    // Within a kind records came as they lie in the log, which is what a count by them has always been measured with.
    if measurement.inputs.len() > 1 {
        rows.sort_by_key(|row| row.time_ms);
    }
    failure.map_or(Ok((rows, events)), |error| Err(error.into()))
}

#[cfg(feature = "rocksdb")]
fn state(cluster: &Cluster, measurement: &Measurement) -> Result<Cost, PieceError> {
    use kappa_state::{
        BufferOptions, BufferedStore, ManagedStore, MemoryBudget, RocksBackend, RocksOptions, StateBackend, StateError,
        StoreId, TailBound,
    };
    let (rows, events) = rows(cluster, measurement)?;
    let partitions = rows.iter().map(|row| row.partition + 1).max().unwrap_or(1);
    // As many rows as that many events touch.
    let commit_rows = (COMMIT_RECORDS * rows.len()).div_ceil((events as usize).max(1)).max(1);
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
    for (number, records) in rows.chunks(commit_rows).enumerate() {
        let now_ms = number as i64 * settings.commit_interval_ms;
        for Touched { partition, key, .. } in records {
            let count = |row: Option<(i64, i64)>| Some((row.map_or(0, |(count, _)| count) + 1, now_ms));
            stores[*partition as usize].update(key, count)?;
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
    Ok(cost(events, &start))
}

#[cfg(not(feature = "rocksdb"))]
fn state(cluster: &Cluster, measurement: &Measurement) -> Result<Cost, PieceError> {
    let (rows, _) = rows(cluster, measurement)?;
    black_box(rows.iter().map(|row| (row.partition, row.key.len())).max());
    let _ = Arc::new(i64_be());
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
