//! One store: a column family.

use std::fmt;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use rocksdb::{IngestExternalFileOptions, ReadOptions, SstFileWriter};

use super::backend::Shared;
use super::cursor::Cursor;
use super::handle::Family;
use super::{DATA, MARK_KEY, rocks_error};
use crate::fault::{self, Point};
use crate::range::is_empty_range;
use crate::{Direction, Entries, KeyValueStore, Mark, PrepareLayer, PreparedLayer, StateError, StoreCursor, StoreId};

/// Keys up to this length are looked up without an allocation.
const SHORT_KEY: usize = 120;

pub(super) struct RocksStore {
    id: StoreId,
    // Before `shared`, which has the database and the lock of its directory.
    family: Family,
    shared: Arc<Shared>,
    read: ReadOptions,
    mark: Option<Mark>,
}

impl RocksStore {
    pub(super) fn new(id: StoreId, family: Family, shared: Arc<Shared>) -> Result<Self, StateError> {
        let mark = match family.db().get_pinned_cf(family.handle(), MARK_KEY) {
            Ok(None) => None,
            Ok(Some(bytes)) => Some(decode_mark(&id, &bytes)?),
            Err(error) => return Err(rocks_error(&id, "reading the mark", &error)),
        };
        Ok(Self { id, family, shared, read: ReadOptions::default(), mark })
    }

    fn writer(&self) -> Writer {
        Writer { id: self.id.clone(), shared: Arc::clone(&self.shared) }
    }

    fn get_data(&self, data_key: &[u8], into: &mut Vec<u8>) -> Result<bool, StateError> {
        match self.family.db().get_pinned_cf_opt(self.family.handle(), data_key, &self.read) {
            Ok(None) => Ok(false),
            Ok(Some(value)) => {
                into.extend_from_slice(&value);
                Ok(true)
            }
            Err(error) => Err(rocks_error(&self.id, "reading", &error)),
        }
    }

    fn ingest(&self, file: &Path) -> Result<(), rocksdb::Error> {
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        // Nobody reads from a snapshot, so a file may take the place it finds.
        options.set_snapshot_consistency(false);
        self.family.db().ingest_external_file_cf_opts(self.family.handle(), &options, vec![file])
    }
}

/// Writes layers as files, beside the store.
#[derive(Debug)]
struct Writer {
    id: StoreId,
    shared: Arc<Shared>,
}

impl Writer {
    fn write_file(&self, file: &Path, entries: &mut Entries<'_, '_>, mark: &Mark) -> Result<(), rocksdb::Error> {
        let mut writer = SstFileWriter::create(&self.shared.layer_options);
        let mut data_key = vec![DATA];
        writer.open(file)?;
        writer.put(MARK_KEY, encode_mark(mark))?;
        for (key, value) in entries {
            data_key.truncate(1);
            data_key.extend_from_slice(key);
            match value {
                Some(value) => writer.put(&data_key, value)?,
                None => writer.delete(&data_key)?,
            }
        }
        fault::point(Point::FileWritten);
        // Syncs it too.
        writer.finish()
    }

    /// A file that has nothing but the deletion of a range: it goes the way of a layer, past RocksDB's memtable.
    fn write_drop(&self, file: &Path, from: &[u8], to: &[u8]) -> Result<(), rocksdb::Error> {
        let mut writer = SstFileWriter::create(&self.shared.layer_options);
        writer.open(file)?;
        writer.delete_range([&[DATA], from].concat(), [&[DATA], to].concat())?;
        writer.finish()
    }
}

impl PrepareLayer for Writer {
    fn prepare(&self, entries: &mut Entries<'_, '_>, mark: &Mark) -> Result<PreparedLayer, StateError> {
        fault::point(Point::BeforeFile);
        // Where it can't be written it goes again: the room is given back.
        let layer = PreparedLayer { file: self.shared.new_file(), mark: mark.clone() };
        let written = self.write_file(&layer.file, entries, mark);
        written.map_err(|error| rocks_error(&self.id, "writing a layer", &error))?;
        Ok(layer)
    }
}

impl Drop for RocksStore {
    fn drop(&mut self) {
        self.shared.closed(&self.id);
    }
}

impl fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksStore").field("id", &self.id).field("mark", &self.mark).finish_non_exhaustive()
    }
}

impl KeyValueStore for RocksStore {
    fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Result<bool, StateError> {
        let mut short = [DATA; SHORT_KEY + 1];
        if let Some(place) = short.get_mut(1..=key.len()) {
            place.copy_from_slice(key);
            return self.get_data(&short[..=key.len()], into);
        }
        self.get_data(&[&[DATA], key].concat(), into)
    }

    fn scan<'s>(
        &'s self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<Box<dyn StoreCursor + 's>, StateError> {
        if is_empty_range(from, to) {
            return Ok(Box::new(Nothing));
        }
        Ok(Box::new(Cursor::new(&self.id, &self.family, from, to, direction)))
    }

    fn apply_sorted(&mut self, entries: &mut Entries<'_, '_>, mark: &Mark) -> Result<(), StateError> {
        let layer = self.writer().prepare(entries, mark)?;
        self.take_in(layer)
    }

    fn preparer(&self) -> Option<Box<dyn PrepareLayer>> {
        Some(Box::new(self.writer()))
    }

    fn take_in(&mut self, layer: PreparedLayer) -> Result<(), StateError> {
        fault::point(Point::BeforeIngest);
        self.ingest(&layer.file).map_err(|error| rocks_error(&self.id, "taking in a layer", &error))?;
        fault::point(Point::Ingested);
        self.mark = Some(layer.mark.clone());
        Ok(())
    }

    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError> {
        if from >= to {
            return Ok(());
        }
        // Where it can't be taken in it goes again.
        let drop = PreparedLayer { file: self.shared.new_file(), mark: Mark::default() };
        let written = self.writer().write_drop(&drop.file, from, to);
        written.map_err(|error| rocks_error(&self.id, "writing a layer", &error))?;
        self.ingest(&drop.file).map_err(|error| rocks_error(&self.id, "taking in a layer", &error))
    }

    fn mark(&self) -> Option<&Mark> {
        self.mark.as_ref()
    }

    fn size_bytes(&self) -> u64 {
        let size =
            self.family.db().property_int_value_cf(self.family.handle(), rocksdb::properties::LIVE_SST_FILES_SIZE);
        size.ok().flatten().unwrap_or(0)
    }
}

/// A scan over a range that can hold nothing.
struct Nothing;

impl StoreCursor for Nothing {
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>, StateError> {
        Ok(None)
    }
}

fn encode_mark(mark: &Mark) -> Vec<u8> {
    let mut out = mark.changelog_offset.to_be_bytes().to_vec();
    out.extend_from_slice(&mark.operator_time);
    out
}

fn decode_mark(id: &StoreId, bytes: &[u8]) -> Result<Mark, StateError> {
    match bytes.split_first_chunk::<8>() {
        Some((offset, operator_time)) => {
            Ok(Mark { changelog_offset: i64::from_be_bytes(*offset), operator_time: operator_time.to_vec() })
        }
        None => Err(StateError::Io {
            store: id.to_string(),
            operation: "reading the mark",
            reason: format!("it has {} bytes, fewer than an offset; remove the state directory", bytes.len()),
        }),
    }
}
