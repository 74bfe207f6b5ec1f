//! The DSL's semantics, operator by operator, through the test driver. Expected values come from Kafka
//! Streams' documented behaviour and published join vectors, or from hand calculation.

mod aborts;
mod aggregates;
mod async_calls;
mod errors;
mod foreign_keys;
mod global_stores;
mod global_tables;
mod laziness;
mod parking;
mod parking_moves;
mod plans;
mod processor_windows;
mod processors;
mod quiet;
mod read_only_stores;
mod schedules;
mod stateless;
mod stream_joins;
mod table_joins;
mod table_operators;
mod tables;
mod tools;
mod versioned;
mod windows;
mod wrappers;

use kappa_core::runtime::BadRecords;

/// What a test gives back.
type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A record as outputs show it.
fn at<V>(key: &str, value: Option<V>, timestamp_ms: i64) -> (String, Option<V>, i64) {
    (key.to_owned(), value, timestamp_ms)
}

/// Every update is passed on at once, as in Kafka Streams' golden tests (cache of 0 bytes).
const AT_ONCE: kappa_core::testing::TestOptions = kappa_core::testing::TestOptions {
    partitions: 1,
    cache_bytes: 0,
    commit_every_record: true,
    wall_clock_ms: 0,
    bad_records: BadRecords::Fail,
    failed_records: BadRecords::Fail,
};

/// Results wait for a commit by the test.
const AT_COMMIT: kappa_core::testing::TestOptions = kappa_core::testing::TestOptions {
    partitions: 1,
    cache_bytes: 1 << 20,
    commit_every_record: false,
    wall_clock_ms: 0,
    bad_records: BadRecords::Fail,
    failed_records: BadRecords::Fail,
};
