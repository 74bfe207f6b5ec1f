//! kappa's side of the judge's topologies, one a file.

mod aggregate;
mod cogroup;
mod errors;
mod join_foreign_key;
mod join_stream_global;
mod join_stream_self;
mod join_stream_stream;
mod join_stream_table;
mod join_table_table;
mod join_to_table;
mod process_values;
mod processor;
mod routing;
mod session_store;
mod session_window;
mod sliding_window;
mod stateless;
mod suppress_table;
mod suppress_window;
mod table_group;
mod table_ops;
mod time_window;
mod timestamps;
mod to_table;
mod versioned_store;
mod window_store;
mod windows;

use super::Family;

/// All of them, by the judge's names.
pub const ALL: &[(&str, &dyn Family)] = &[
    ("aggregate", &aggregate::Aggregate),
    ("cogroup", &cogroup::Cogroup),
    ("errors", &errors::Errors),
    ("join_foreign_key", &join_foreign_key::JoinForeignKey),
    ("join_stream_global", &join_stream_global::JoinStreamGlobal),
    ("join_stream_self", &join_stream_self::JoinStreamSelf),
    ("join_stream_stream", &join_stream_stream::JoinStreamStream),
    ("join_stream_table", &join_stream_table::JoinStreamTable),
    ("join_table_table", &join_table_table::JoinTableTable),
    ("join_to_table", &join_to_table::JoinToTable),
    ("process_values", &process_values::ProcessValues),
    ("processor", &processor::Script),
    ("routing", &routing::Routing),
    ("session_store", &session_store::SessionStore),
    ("session_window", &session_window::SessionWindow),
    ("sliding_window", &sliding_window::SlidingWindow),
    ("stateless", &stateless::Stateless),
    ("suppress_table", &suppress_table::SuppressTable),
    ("suppress_window", &suppress_window::SuppressWindow),
    ("table_group", &table_group::TableGroup),
    ("table_ops", &table_ops::TableOps),
    ("time_window", &time_window::TimeWindow),
    ("timestamps", &timestamps::TimestampRules),
    ("to_table", &to_table::ToTable),
    ("versioned_store", &versioned_store::VersionedStore),
    ("window_store", &window_store::WindowStore),
];

/// The family of a topology.
pub fn find(topology: &str) -> Option<&'static dyn Family> {
    ALL.iter().find(|(name, _)| *name == topology).map(|(_, family)| *family)
}
