//! Records that can't be used.

use super::{APP, PARTITIONS, PATIENCE, assert_says, error_of_app};
use kappa_core::log::{Headers, Isolation, OffsetSpec, SharedLog, TopicPartition};
use kappa_integration_tests::harness::{self, unique};
use kappa_integration_tests::pausing::{Freezer, Order, Point};
use kappa_integration_tests::process::Process;
use kappa_integration_tests::records::{Found, Writer, create_topic, read_all};
use kappa_integration_tests::totals::{Setup, end_well};
use kappa_integration_tests::wait::wait_until;

/// An input of 200 numbers with a bad record in the middle of partition 1, at offset 25.
fn input_with(put_bad: impl FnOnce(&mut Writer)) -> Option<Setup> {
    let setup = Setup::new(APP, &harness::brokers()?, PARTITIONS);
    setup.feed(0..100, PARTITIONS);
    let mut writer = Writer::open(&setup.log, &setup.input);
    put_bad(&mut writer);
    writer.flush();
    setup.feed(100..200, PARTITIONS);
    Some(setup)
}

fn not_a_number(writer: &mut Writer) {
    writer.put(1, 5_000, Some(b"key"), Some(b"three"));
}

/// With `KAPPA_BAD_RECORDS=skip` the application goes on, from where it had stopped.
fn skipping_gives_exact_results(setup: &Setup) {
    let mut process = Process::start("skips", setup.command("a").env("KAPPA_BAD_RECORDS", "skip"));
    setup.wait_exact(PATIENCE);
    let line = process.wait_line("record skipped", PATIENCE);
    assert_says(&line, &[&setup.input, "partition=1", "offset=25"]);
    end_well(&mut process);
    assert_eq!(process.log().matches("record skipped").count(), 1);
    assert!(setup.differences().is_empty());
}

#[test]
fn an_undecodable_record_stops_the_application_by_default_and_can_be_skipped() {
    let Some(setup) = input_with(not_a_number) else { return };
    let error = error_of_app(&setup, |command| command);
    let place = format!("topic {} partition 1 offset 25: ", setup.input);
    assert_says(&error, &[&place, "value", "KAPPA_BAD_RECORDS=skip", "KAPPA_BAD_RECORDS=dead-letter:TOPIC"]);
    // Again the same: the record was not passed over.
    assert_says(&error_of_app(&setup, |command| command), &[&place]);
    skipping_gives_exact_results(&setup);
}

#[test]
fn a_null_key_stops_an_application_whose_keys_are_never_null() {
    let Some(setup) = input_with(|writer| writer.put(1, 5_000, None, Some(&7_i64.to_be_bytes()))) else { return };
    let error = error_of_app(&setup, |command| command);
    let place = format!("topic {} partition 1 offset 25: ", setup.input);
    assert_says(&error, &[&place, "key", "nullable", "unkeyed"]);
}

#[test]
fn a_record_without_a_timestamp_stops_the_application() {
    let Some(setup) = input_with(|writer| writer.put(1, -1, Some(b"key"), Some(b"12345678"))) else { return };
    let bad =
        read_all(&setup.log, &setup.input).into_iter().find(|record| (record.partition, record.offset) == (1, 25));
    assert_eq!(bad.map(|record| record.timestamp_ms), Some(-1), "the broker takes records without a timestamp");
    let error = error_of_app(&setup, |command| command);
    let place = format!("topic {} partition 1 offset 25: ", setup.input);
    assert_says(&error, &[&place, "timestamp", "-1", "KAPPA_BAD_RECORDS=skip"]);
}

fn latest(log: &SharedLog, partition: &TopicPartition, isolation: Isolation) -> i64 {
    let wanted = [(partition.clone(), OffsetSpec::Latest(isolation))];
    log.topics().and_then(|mut topics| topics.offsets(&wanted)).expect("the end of a partition")[0]
}

fn header(record: &Found, name: &str) -> Option<String> {
    let value = record.headers.last(name)?.value.as_deref()?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[test]
fn a_dead_letter_is_the_record_as_it_came_in_the_same_transaction() {
    let with_header = Headers::empty().with("trace", Some(b"abc"));
    let Some(setup) = input_with(|writer| writer.put_with(1, b"key", b"three", with_header)) else { return };
    let letters = unique("letters");
    create_topic(&setup.log, &letters, PARTITIONS);
    let freezer = Freezer::new(&setup.orders("a"));
    let mut command = setup.command("a");
    command
        .env("KAPPA_BAD_RECORDS", format!("dead-letter:{letters}"))
        .env("KAPPA_TEST_ORDERS", freezer.dir())
        // All of the input in the first transaction, and that one open for as long as this looks at it.
        .env("KAPPA_COMMIT_INTERVAL_MS", "3000")
        .env("KAPPA_TRANSACTION_TIMEOUT_MS", "60000");
    freezer.order(Order { point: Point::BeforeCommit, count: 1, hold: false });
    let mut process = Process::start("frozen", &mut command);
    assert!(wait_until(PATIENCE, || freezer.is_frozen()), "it commits\n{}", process.log());
    // What was appended reaches the log with the commit at the latest; until then no reader sees any of it.
    let partition = TopicPartition::new(letters.as_str(), 1);
    assert_eq!(latest(&setup.log, &partition, Isolation::ReadCommitted), 0, "nothing before the commit");
    process.kill();
    let mut process = Process::start("again", &mut command);
    setup.wait_exact(PATIENCE);
    end_well(&mut process);
    let found = read_all(&setup.log, &letters);
    assert_eq!(found.len(), 1, "{found:?}");
    let letter = &found[0];
    assert_eq!((letter.partition, letter.timestamp_ms), (1, 1_000));
    assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(&b"key"[..]), Some(&b"three"[..])));
    let headers = ["trace", "__streams.errors.topic", "__streams.errors.partition", "__streams.errors.offset"];
    let values: Vec<_> = headers.iter().map(|name| header(letter, name)).collect();
    assert_eq!(values, [Some("abc".into()), Some(setup.input.clone()), Some("1".into()), Some("25".into())]);
    assert!(header(letter, "__streams.errors.message").is_some_and(|text| text.contains("value")), "{letter:?}");
}
