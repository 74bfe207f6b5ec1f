//! A log or a group that has forgotten what the application relies on.

use super::{APP, PARTITIONS, PATIENCE, assert_says, error_of_app};
use kappa_core::log::TopicPartition;
use kappa_integration_tests::harness;
use kappa_integration_tests::totals::{Setup, end_well};

/// An application that has counted 400 numbers and was ended.
fn counted() -> Option<Setup> {
    let setup = Setup::new(APP, &harness::brokers()?, PARTITIONS);
    setup.feed(0..400, PARTITIONS);
    let mut process = setup.start("a");
    setup.wait_exact(PATIENCE);
    end_well(&mut process);
    Some(setup)
}

#[test]
fn an_input_truncated_below_the_committed_offset_is_an_error_that_says_where_it_begins() {
    let Some(setup) = counted() else { return };
    setup.feed(400..800, PARTITIONS);
    let partition = TopicPartition::new(setup.input.as_str(), 2);
    setup.log.topics().and_then(|mut topics| topics.delete_records(&[(partition, 150)])).expect("deleted");
    let error = error_of_app(&setup, |command| command);
    let place = format!("topic {} partition 2: offset 100 is gone, the log starts at 150", setup.input);
    assert_says(&error, &[&place, "lost"]);
}

#[test]
fn lost_offsets_are_an_error_as_long_as_the_state_is_there() {
    let Some(setup) = counted() else { return };
    let group = setup.application_id();
    setup.log.topics().and_then(|mut topics| topics.delete_group(&group)).expect("deleted");
    let error = error_of_app(&setup, |command| command);
    assert_says(&error, &["no committed offsets", &group, &setup.repartition(), "changelog offset", "new version"]);
    // A new process, without local state, finds the changelog and says the same.
    let error = error_of_app(&setup, |command| command.env("KAPPA_STATE_DIR", setup.state_dir("b")));
    assert_says(&error, &["no committed offsets", &setup.repartition(), "changelog offset"]);
}
