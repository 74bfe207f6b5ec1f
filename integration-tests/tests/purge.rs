//! On a real broker: a repartition topic's log start follows what is committed, and a process that slept while another purged goes on.
#![cfg(all(feature = "kafka", feature = "rocksdb"))]

use kappa_core::log::{OffsetSpec, TopicPartition};
use kappa_integration_tests::harness;
use kappa_integration_tests::process::Process;
use kappa_integration_tests::records::{ends, partitions, wait_committed};
use kappa_integration_tests::totals::{Setup, end_well};
use kappa_integration_tests::wait::wait_until;
use std::time::Duration;

const APP: &str = env!("CARGO_BIN_EXE_totals-app");
const PARTITIONS: i32 = 4;
/// How long anything that will happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

fn start(setup: &Setup, instance: &str) -> Process {
    Process::start(instance, setup.command(instance).env("KAPPA_REPARTITION_PURGE_INTERVAL_MS", "300"))
}

fn starts(setup: &Setup, partitions: &[TopicPartition]) -> Vec<i64> {
    let asked: Vec<_> = partitions.iter().map(|partition| (partition.clone(), OffsetSpec::Earliest)).collect();
    setup.log.topics().and_then(|mut topics| topics.offsets(&asked)).expect("offsets")
}

/// Waits until all that was fed is counted, and no record that is processed is left in the repartition topic.
fn wait_purged(setup: &Setup, process: &Process) -> Vec<i64> {
    setup.wait_exact(PATIENCE);
    let partitions = partitions(&setup.log, &setup.repartition());
    let ends = ends(&setup.log, &partitions);
    assert!(ends.iter().any(|end| *end > 0), "the topic has been written");
    assert!(wait_committed(&setup.log, &setup.application_id(), &partitions, &ends, PATIENCE), "{}", process.log());
    let mut found = Vec::new();
    let purged = wait_until(PATIENCE, || {
        found = starts(setup, &partitions);
        found == ends
    });
    assert!(purged, "log starts {found:?}, ends {ends:?}\n{}", process.log());
    ends
}

#[test]
fn what_is_committed_is_deleted_and_a_sleeper_goes_on_behind_it() {
    let Some(brokers) = harness::brokers() else { return };
    let setup = Setup::new(APP, &brokers, PARTITIONS);
    setup.feed(0..400, PARTITIONS);
    let mut sleeper = start(&setup, "a");
    let known = wait_purged(&setup, &sleeper);
    // It sleeps past its session; another process takes over, goes on and purges.
    sleeper.freeze();
    setup.feed(400..800, PARTITIONS);
    let mut other = start(&setup, "b");
    let purged = wait_purged(&setup, &other);
    assert!(purged.iter().zip(&known).any(|(purged, known)| purged > known), "{purged:?} after {known:?}");
    let heard = sleeper.log().len();
    sleeper.unfreeze();
    let back = wait_until(PATIENCE, || {
        assert!(sleeper.exited().is_none(), "it ended\n{}", sleeper.log());
        sleeper.log()[heard..].contains("tasks assigned")
    });
    assert!(back, "not back in its group\n{}", sleeper.log());
    setup.feed(800..1_200, PARTITIONS);
    wait_purged(&setup, &other);
    // After a crash of one the other goes on from what is committed.
    other.kill();
    setup.feed(1_200..1_600, PARTITIONS);
    wait_purged(&setup, &sleeper);
    end_well(&mut sleeper);
    assert_eq!(setup.differences(), Vec::<String>::new());
}
