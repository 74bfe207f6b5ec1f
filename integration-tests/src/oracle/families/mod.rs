//! kappa's side of the judge's topologies, one a file.

mod aggregate;
mod cogroup;
mod join_stream_table;
mod join_table_table;
mod join_to_table;
mod process_values;
mod processor;
mod routing;
mod session_window;
mod sliding_window;
mod stateless;
mod suppress_table;
mod suppress_window;
mod table_group;
mod table_ops;
mod time_window;
mod to_table;
mod windows;

use super::Family;

/// All of them, by the judge's names.
pub const ALL: &[(&str, &dyn Family)] = &[
    ("aggregate", &aggregate::Aggregate),
    ("cogroup", &cogroup::Cogroup),
    ("join_stream_table", &join_stream_table::JoinStreamTable),
    ("join_table_table", &join_table_table::JoinTableTable),
    ("join_to_table", &join_to_table::JoinToTable),
    ("session_window", &session_window::SessionWindow),
    ("sliding_window", &sliding_window::SlidingWindow),
    ("time_window", &time_window::TimeWindow),
    ("suppress_table", &suppress_table::SuppressTable),
    ("suppress_window", &suppress_window::SuppressWindow),
    ("stateless", &stateless::Stateless),
    ("table_group", &table_group::TableGroup),
    ("table_ops", &table_ops::TableOps),
    ("to_table", &to_table::ToTable),
    ("process_values", &process_values::ProcessValues),
    ("processor", &processor::Script),
    ("routing", &routing::Routing),
    ("stateless", &stateless::Stateless),
];

/// The family of a topology.
pub fn find(topology: &str) -> Option<&'static dyn Family> {
    ALL.iter().find(|(name, _)| *name == topology).map(|(_, family)| *family)
}
