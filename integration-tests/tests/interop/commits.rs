//! A Java `read_committed` consumer while an application dies in mid-commit.

use super::PATIENCE;
use super::java::Java;
use kappa_integration_tests::pausing::{Freezer, Order, Point};
use kappa_integration_tests::process::Process;
use kappa_integration_tests::records::Found;
use kappa_integration_tests::totals::{Setup, differences, end_well, expected, histories_of};
use kappa_integration_tests::wait::wait_until;

const APP: &str = env!("CARGO_BIN_EXE_totals-app");
const PARTITIONS: i32 = 2;

/// All records of the output, whatever became of their transactions.
fn uncommitted(java: &Java, setup: &Setup) -> Vec<Found> {
    java.consume_all(std::slice::from_ref(&setup.output), "read_uncommitted").into_values().flatten().collect()
}

#[test]
fn a_java_consumer_sees_what_is_committed_and_nothing_else() {
    let Some(java) = Java::ready() else { return };
    let setup = Setup::new(APP, &java.brokers, PARTITIONS);
    let freezer = Freezer::new(&setup.orders("a"));
    let start = || Process::start("a", setup.command("a").env("KAPPA_TEST_ORDERS", freezer.dir()));
    let mut process = start();
    setup.feed(0..200, PARTITIONS);
    setup.wait_exact(PATIENCE);
    let before = java.consume(&setup.output);

    // Results are in the log, and the process dies before it asks for the end of their transaction.
    freezer.order(Order { point: Point::BeforeCommit, count: 2, hold: false });
    setup.feed(200..400, PARTITIONS);
    assert!(wait_until(PATIENCE, || freezer.is_frozen()), "it did not come to a commit\n{}", process.log());
    process.kill();
    let (committed, all) = (java.consume(&setup.output), uncommitted(&java, &setup));
    assert!(all.len() > committed.len(), "nothing was open: the test shows nothing");
    assert!(before.iter().all(|record| committed.contains(record)), "what was committed is gone");

    let mut process = start();
    setup.wait_exact(PATIENCE);
    end_well(&mut process);
    let at_its_death = committed;
    let committed = java.consume(&setup.output);
    assert!(at_its_death.iter().all(|record| committed.contains(record)), "what was committed is gone");
    let uncommitted = uncommitted(&java, &setup);
    assert!(uncommitted.len() > committed.len(), "{} records, none of them aborted", committed.len());
    let wrong = differences(&histories_of(committed), &expected(&setup.log, &setup.input));
    assert_eq!(wrong, Vec::<String>::new());
    let wrong = differences(&histories_of(uncommitted), &expected(&setup.log, &setup.input));
    assert!(!wrong.is_empty(), "the aborted records would have changed nothing: the test shows nothing");
}
