//! Topics that are missing or do not fit.

use super::{APP, PARTITIONS, PATIENCE, assert_says, error_of_app};
use kappa_integration_tests::harness::{self, unique};
use kappa_integration_tests::records::create_topic;
use kappa_integration_tests::totals::{Setup, end_well};

fn nothing_was_created(setup: &Setup) {
    let created = setup.log.topics().and_then(|mut topics| topics.list(&setup.application_id())).expect("listed");
    assert_eq!(created, Vec::<String>::new());
}

#[test]
fn missing_topics_are_named_together_and_creating_them_mends_it() {
    let Some(brokers) = harness::brokers() else { return };
    let setup = Setup::without_topics(APP, &brokers);
    let error = error_of_app(&setup, |command| command);
    for topic in [&setup.input, &setup.output] {
        assert_says(&error, &[&format!("topic {topic} does not exist; create it")]);
    }
    nothing_was_created(&setup);

    create_topic(&setup.log, &setup.input, PARTITIONS);
    let error = error_of_app(&setup, |command| command);
    assert_says(&error, &[&format!("topic {} does not exist; create it", setup.output)]);
    assert!(!error.contains(&setup.input), "{error}");

    create_topic(&setup.log, &setup.output, PARTITIONS);
    setup.feed(0..100, PARTITIONS);
    let mut process = setup.start("a");
    setup.wait_exact(PATIENCE);
    end_well(&mut process);
}

#[test]
fn a_missing_dead_letter_topic_is_found_before_the_first_record() {
    let Some(brokers) = harness::brokers() else { return };
    let setup = Setup::new(APP, &brokers, PARTITIONS);
    let error = error_of_app(&setup, |command| command.env("KAPPA_BAD_RECORDS", "dead-letter:no-such-topic"));
    assert_says(&error, &["topic no-such-topic does not exist; create it"]);
    nothing_was_created(&setup);
}

#[test]
fn joined_topics_must_have_equally_many_partitions() {
    let Some(brokers) = harness::brokers() else { return };
    let setup = Setup::new(APP, &brokers, PARTITIONS);
    let table = unique("factors");
    create_topic(&setup.log, &table, PARTITIONS - 1);
    let error = error_of_app(&setup, |command| command.env("KAPPA_TEST_TABLE", &table));
    assert_says(&error, &[&setup.input, &table, "4", "3", "partitions"]);
    nothing_was_created(&setup);
}
