//! A join with an input that comes through a repartition topic: when all is read from the beginning, neither side runs ahead of the
//! other, and nothing is late that was not late when it was written.

#![cfg(feature = "testing")]

mod embedded_support;

use embedded_support::{append, read, turns};
use kappa_core::codec::{i64_be, utf8};
use kappa_core::dsl::JoinWindows;
use kappa_core::log::embedded::{EmbeddedLog, ManualClock};
use kappa_core::log::{CleanupPolicy, Log, SharedLog, TopicSpec};
use kappa_core::runtime::Settings;
use kappa_core::runtime::machines::start;
use kappa_core::task::Program;
use kappa_core::topology::Topology;
use kappa_state::MemoryBackend;
use std::sync::Arc;

const PAYMENTS: i64 = 3_000;
/// One payment in so many is for an order: read at the same pace, orders are soon far ahead.
const ORDER_EACH: i64 = 10;
const STEP_MS: i64 = 100;
/// Some hundreds of records: more than a transaction has here, and far less than all.
const GRACE_MS: i64 = 500 * STEP_MS;

/// Payments, which come under another key, with the orders of the same time.
fn topology() -> Topology {
    let mut app = Topology::builder();
    let orders = app.stream("orders", utf8(), i64_be());
    let payments = app.stream("payments", utf8(), i64_be()).select_key(utf8(), |_, order| format!("o{order}"));
    orders
        .join_within("paid", &payments, JoinWindows::within_ms(STEP_MS, GRACE_MS), |order, _| Some(*order))
        .flat_map_values(|_, order| *order)
        .with_value_codec(i64_be())
        .to("out");
    app.build().expect("a topology")
}

#[test]
fn a_replay_joins_what_was_written_at_one_time_through_a_repartition_topic() {
    let clock = ManualClock::new(1_000);
    let embedded = EmbeddedLog::with_clock(&clock);
    for name in ["orders", "payments", "out"] {
        let (name, cleanup) = (name.to_owned(), CleanupPolicy::Delete);
        let spec = TopicSpec { name, partitions: 1, replication_factor: None, cleanup, settings: vec![] };
        embedded.topics().and_then(|mut topics| topics.create(&spec)).expect("created");
    }
    let log: SharedLog = embedded.shared();
    let record = |key: String, order: i64| (Some(key), order.to_be_bytes().to_vec(), order * STEP_MS);
    let orders = (0..PAYMENTS).filter(|order| order % ORDER_EACH == 0);
    append(&log, "orders", orders.clone().map(|order| record(format!("o{order}"), order)));
    append(&log, "payments", (0..PAYMENTS).map(|order| record(format!("p{order}"), order)));

    let program: Arc<dyn Program> = Arc::new(topology());
    let settings = Settings { commit_interval_ms: 50, poll_records: 100, buffered_records: 200, ..Settings::default() };
    let state = Arc::new(MemoryBackend::new());
    let mut started = start(&log, "paid-v1", &program, settings, "A", state, clock.now_ms()).expect("started");
    turns(&mut started, &clock, 600);

    let joined: Vec<i64> = read(&log, "out").iter().map(|found| found.number()).collect();
    assert!(joined.iter().copied().eq(orders), "payments were late, for they are found of {} orders", joined.len());
}
