//! How RocksDB is set up.

use std::fmt;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BlockBasedTablePinningTier, Cache, DBCompactionStyle, DBCompressionType,
    DataBlockIndexType, LogLevel, Options, UniversalCompactOptions, WriteBufferManager,
};

/// Sorted files of a store at which they are merged. More: less is written again and again, and a row that is not in memory is looked for
/// in more files.
const MERGE_FILES: i32 = 8;

/// The memory that all databases of a process share: block cache and write buffers together.
///
/// Clones share. Make one for the process. Blocks in use by a read or a scan, and files being written, are
/// not counted: RocksDB's own bound is soft.
#[derive(Clone)]
pub struct MemoryBudget {
    bytes: usize,
    cache: Cache,
    write_buffers: WriteBufferManager,
}

impl MemoryBudget {
    /// A budget in bytes.
    pub fn new(bytes: usize) -> Self {
        let cache = Cache::new_hyper_clock_cache(bytes, 0);
        // Charged to the cache; no stall, since no memtable is written on the normal path.
        let write_buffers = WriteBufferManager::new_write_buffer_manager_with_cache(bytes / 4, false, cache.clone());
        Self { bytes, cache, write_buffers }
    }

    /// The budget.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What of it is taken now.
    pub fn used_bytes(&self) -> usize {
        self.cache.get_usage()
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget").field("bytes", &self.bytes).field("used_bytes", &self.used_bytes()).finish()
    }
}

/// The options of the database; also those of its column families.
pub(super) fn database(memory: &MemoryBudget) -> Options {
    let mut options = store(memory);
    options.create_if_missing(true);
    options.set_write_buffer_manager(&memory.write_buffers);
    options.set_max_background_jobs(2);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_max_open_files(512);
    options
}

/// The options of one column family.
pub(super) fn store(memory: &MemoryBudget) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&memory.cache);
    table.set_format_version(5);
    // A miss costs a tenth of what it costs without.
    table.set_bloom_filter(10.0, false);
    table.set_whole_key_filtering(true);
    table.set_index_type(BlockBasedIndexType::BinarySearch);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    // Filters and indexes count towards the budget; pinned, they cost no look-up in the cache.
    table.set_cache_index_and_filter_blocks(true);
    table.set_unpartitioned_pinning_tier(BlockBasedTablePinningTier::All);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    // Every layer has the mark, so layers overlap; merging them by size rewrites each the fewest times.
    options.set_compaction_style(DBCompactionStyle::Universal);
    let mut universal = UniversalCompactOptions::default();
    universal.set_min_merge_width(2);
    options.set_universal_compaction_options(&universal);
    options.set_level_zero_file_num_compaction_trigger(MERGE_FILES);
    options.set_write_buffer_size(1024 * 1024);
    options
}

/// The options of the file that a layer is written as.
///
/// Not compressed: a layer is small, is read back from memory, and is compressed when it is first merged with others. Compressing
/// it twice would cost a tenth of what a first-time key does.
pub(super) fn layer(memory: &MemoryBudget) -> Options {
    let mut options = store(memory);
    options.set_compression_type(DBCompressionType::None);
    options
}
