//! The typed operators: streams, tables, and what can be done with them, one operator a file.
//!
//! The semantics are Kafka Streams', operator by operator. What is told to a handle is checked when the
//! topology is built.

mod aggregate;
mod async_options;
mod cogroup;
mod count;
mod filter;
mod filter_keys;
mod flat_map;
mod flatten_values;
mod global;
mod global_store;
mod group;
mod join;
mod known;
mod lazy_values;
mod map;
mod map_async;
mod map_values;
mod merge;
mod misuse;
mod peek;
mod print;
mod process;
mod process_values;
mod read_only_store;
mod reduce;
mod repartition;
mod select_key;
mod split;
mod stream;
mod table;
mod timestamps;
mod to;
mod to_partitions;
mod to_routed;
mod to_table;
mod versioned;
mod window;

pub use async_options::{AsyncOptions, CallError};
pub use cogroup::CogroupedKStream;
pub use global::GlobalKTable;
pub(crate) use global_store::global_store;
pub use group::KGroupedStream;
pub use join::JoinWindows;
pub(crate) use known::Known;
#[doc(hidden)]
pub use misuse::Grouped;
pub use misuse::SameKeyAs;
pub(crate) use process::processor_store;
pub use repartition::Repartition;
pub use split::SplitStream;
pub use stream::KStream;
pub(crate) use stream::source;
pub use table::{KGroupedTable, KTable, Suppressed};
pub(crate) use table::{made_of, store, table};
pub(crate) use timestamps::Rule as TimestampRule;
pub use timestamps::Timestamps;
pub(crate) use to::{add_sink, sink, sink_of};
pub use to_partitions::Partitions;
pub use to_routed::RecordContext;
pub(crate) use versioned::versioned_processor_store;
pub use window::{
    SessionWindowedCogroupedKStream, SessionWindowedKStream, TimeWindowedCogroupedKStream, TimeWindowedKStream, Windows,
};
pub(crate) use window::{session_processor_store, window_processor_store};
