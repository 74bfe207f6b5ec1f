//! A stamp that the broker accepts, got after rejoining, for work done before: only the tasks' epochs refuse it.

use super::{APP, PARTITIONS, PATIENCE, alone};
use kappa_integration_tests::harness;
use kappa_integration_tests::pausing::{Freezer, Order, Point};
use kappa_integration_tests::process::Process;
use kappa_integration_tests::records::{ends, partitions, wait_committed};
use kappa_integration_tests::totals::Setup;
use kappa_integration_tests::wait::wait_until;
use std::time::Duration;

/// A process frozen in the middle of a commit, before it has its stamp, and held after it woke until it is a member again: the
/// one schedule in which a fresh stamp meets old work. Returns how the output differs, and what the process said.
fn woken_with_a_fresh_stamp(brokers: &str, rule_off: Option<&str>) -> (Vec<String>, String) {
    let setup = Setup::new(APP, brokers, PARTITIONS);
    let freezer = Freezer::new(&setup.orders("a"));
    let mut command = setup.command("a");
    // Its transaction must outlive its sleep: the broker's time-out would hide what this is about.
    command.env("KAPPA_TEST_ORDERS", freezer.dir()).env("KAPPA_TRANSACTION_TIMEOUT_MS", "60000");
    if let Some(rule) = rule_off {
        command.env("KAPPA_TEST_RULE_OFF", rule);
    }
    setup.feed(0..1_000, PARTITIONS);
    let mut first = Process::start("a", &mut command);
    setup.wait_exact(PATIENCE);
    freezer.order(Order { point: Point::BeforeStamp, count: 1, hold: true });
    setup.feed(1_000..2_000, PARTITIONS);
    assert!(wait_until(PATIENCE, || freezer.is_frozen()), "it commits\n{}", first.log());
    let second = setup.start("b");
    let input = partitions(&setup.log, &setup.input);
    let input_ends = ends(&setup.log, &input);
    let taken = wait_committed(&setup.log, &setup.application_id(), &input, &input_ends, PATIENCE);
    assert!(taken, "the input was not taken over\n{}", second.log());
    freezer.release(&first);
    first.wait_line("held until the process was a member again", PATIENCE);
    // The repartition topic can be read to its end only when the old transaction is decided, either way.
    let repartition = partitions(&setup.log, &setup.repartition());
    let settled = wait_until(PATIENCE, || {
        let all = ends(&setup.log, &repartition);
        wait_committed(&setup.log, &setup.application_id(), &repartition, &all, Duration::from_secs(5))
    });
    assert!(settled, "the old transaction was not decided\n{}", first.log());
    let differences = setup.differences();
    let said = first.log();
    drop((first, second));
    (differences, said)
}

#[test]
fn a_fresh_stamp_does_not_save_old_work() {
    let Some(brokers) = harness::brokers() else { return };
    let _alone = alone();
    let (differences, said) = woken_with_a_fresh_stamp(&brokers, None);
    assert!(differences.is_empty(), "{differences:?}\n{said}");
    assert!(said.contains("transaction refused"), "{said}");
}

#[test]
fn without_the_epochs_a_fresh_stamp_saves_old_work() {
    let Some(brokers) = harness::brokers() else { return };
    let _alone = alone();
    let (differences, said) = woken_with_a_fresh_stamp(&brokers, Some("fence-by-epoch"));
    assert!(!differences.is_empty(), "the broker refused it by itself: is the rule still needed?\n{said}");
    eprintln!("without the rule: {} groups counted twice, for example {}", differences.len(), differences[0]);
}
