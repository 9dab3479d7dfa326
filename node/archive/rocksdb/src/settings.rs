//! How RocksDB is tuned, each setting with its reason.
//!
//! The yardstick is a mailserver of one vCPU and 1 GB that idles at 20 MB and takes tens of thousands of envelopes a
//! second when it must. Everything that grows has a bound here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rocksdb::compaction_filter::Decision;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BlockBasedTablePinningTier, Cache, DBCompressionType,
    DBRecoveryMode, InfoLogger, LogLevel, Options,
};

use crate::keys;

const MB: usize = 1 << 20;

/// When an append counts as durable.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Durability {
    /// When the operating system has it: survives the death of the process, not of the machine.
    #[default]
    Process,
    /// When the disk has it: one fsync per group.
    Disk,
}

/// What an operator may choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// When an append counts as durable.
    pub durability: Durability,
    /// Bytes of blocks, indexes and filters kept in memory. Filled by reading only.
    pub cache_bytes: usize,
    /// Bytes of rows that wait in memory for their file. Filled by writing only.
    pub write_buffer_bytes: usize,
    /// Turns (reads) that run at the same time.
    pub readers: usize,
}

impl Default for Settings {
    /// For 1 vCPU and 1 GB.
    fn default() -> Self {
        Self { durability: Durability::Process, cache_bytes: 16 * MB, write_buffer_bytes: 8 * MB, readers: 2 }
    }
}

/// Options of the whole database.
pub(crate) fn database(settings: &Settings) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // One flush and one compaction at a time: on one vCPU more would only take time from relaying.
    options.set_max_background_jobs(2);
    options.set_max_subcompactions(1);
    // All families' memtables together; the families' own sizes only decide which is flushed first.
    options.set_db_write_buffer_size(settings.write_buffer_bytes);
    // The log is what a restart has to replay: a bound on it is a bound on the start (some 100 ms).
    options.set_max_total_wal_size(4 * settings.write_buffer_bytes as u64);
    // After a crash everything up to the first torn record is taken; what was acknowledged lies before it.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // Files are opened on demand; with indexes and filters in the cache an open file costs some kilobytes.
    options.set_max_open_files(256);
    // Write back steadily, not in bursts that stall the disk for readers.
    options.set_bytes_per_sync(MB as u64);
    options.set_wal_bytes_per_sync(MB as u64);
    // One writer: the machinery for many would only burn CPU.
    options.set_allow_concurrent_memtable_write(false);
    options.set_enable_write_thread_adaptive_yield(false);
    // Nothing periodic on an idle node, and a start that does not read every file.
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    // The manifest is rewritten at a megabyte, not a gigabyte.
    options.set_max_manifest_file_size(MB);
    // What RocksDB has to say goes to our log: no LOG files beside the data, none in a directory we refuse.
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Warn, |level, message| match level {
        // Whoever opens gets this as the error.
        _ if message.contains("DB::Open() failed") => {
            tracing::debug!(target: "rocksdb", "{}", message.trim_end())
        }
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "rocksdb", "{}", message.trim_end()),
        LogLevel::Warn => tracing::warn!(target: "rocksdb", "{}", message.trim_end()),
        // Every option, at every start, whatever level is asked for.
        _ => tracing::trace!(target: "rocksdb", "{}", message.trim_end()),
    }));
    options
}

/// Options of the whole database when it is only looked at, perhaps beside the process that writes it.
pub(crate) fn view(settings: &Settings) -> Options {
    let mut options = database(settings);
    options.create_if_missing(false);
    options.create_missing_column_families(false);
    // Every file is held open, so that what the other process removes can still be read.
    options.set_max_open_files(-1);
    options
}

/// Options of a column family. `below` says whether a key lies below a floor.
fn family(
    settings: &Settings,
    cache: &Cache,
    block_size: usize,
    below: Option<Filter>,
) -> (Options, BlockBasedOptions) {
    let mut options = Options::default();
    // Envelopes are ciphertext: compression is CPU for nothing.
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(settings.write_buffer_bytes / 2);
    options.set_max_write_buffer_number(2);
    // Files small enough that the floor frees space in steps of a fraction of a day on a small node, large enough that
    // 12 GB (30 million envelopes) are 400 files.
    options.set_target_file_size_base(32 * MB as u64);
    options.set_max_bytes_for_level_base(64 * MB as u64);
    options.set_level_compaction_dynamic_level_bytes(true);
    if let Some((floor, is_below)) = below {
        options.set_compaction_filter("below-floor", move |_level, key: &[u8], _value: &[u8]| {
            if is_below(key, floor.load(Ordering::Acquire)) { Decision::Remove } else { Decision::Keep }
        });
        // A filter would make RocksDB rewrite every file once a month. There is no need: once the floor has passed a
        // file's last key the whole file is dropped.
        options.set_periodic_compaction_seconds(0);
    }
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(block_size);
    table.set_format_version(6);
    // Indexes and filters live in the cache, in partitions, so that their sum is bounded by it and not by the archive.
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_metadata_block_size(4096);
    table.set_top_level_index_pinning_tier(BlockBasedTablePinningTier::All);
    (options, table)
}

type Filter = (Arc<AtomicU32>, fn(&[u8], u32) -> bool);

/// `rows`: read by seek and in sequence, so blocks of 8 KB (some 20 envelopes) and no filter: a point read here is
/// always of a key that exists.
pub(crate) fn rows(settings: &Settings, cache: &Cache, floor: Arc<AtomicU32>) -> Options {
    let (mut options, table) = family(settings, cache, 8192, Some((floor, keys::row_is_below)));
    options.set_block_based_table_factory(&table);
    options
}

/// `time`: where existence is checked. Almost all checks are of new envelopes, which a filter answers; and being in
/// order of time, the checks of one hour touch one partition of it.
pub(crate) fn time(settings: &Settings, cache: &Cache, floor: Arc<AtomicU32>) -> Options {
    let (mut options, mut table) = family(settings, cache, 4096, Some((floor, keys::time_is_below)));
    table.set_bloom_filter(10.0, false);
    table.set_partition_filters(true);
    table.set_optimize_filters_for_memory(true);
    options.set_block_based_table_factory(&table);
    options
}

/// `default`: counts and directory; small.
pub(crate) fn default(settings: &Settings, cache: &Cache) -> Options {
    let (mut options, table) = family(settings, cache, 4096, None);
    options.set_block_based_table_factory(&table);
    options
}
