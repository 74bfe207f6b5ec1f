//! On a real broker: keys are parked, processes are killed, another one without the state goes on, and commands release what waits;
//! nothing is lost or doubled.
#![cfg(all(feature = "kafka", feature = "rocksdb"))]

use kappa_core::parking::{ParkedKey, ParkingCommand, read_parked, send_commands};
use kappa_integration_tests::harness;
use kappa_integration_tests::process::Process;
use kappa_integration_tests::records::Writer;
use kappa_integration_tests::totals::{Setup, end_well};
use kappa_integration_tests::wait::wait_until;
use std::time::Duration;

const APP: &str = env!("CARGO_BIN_EXE_totals-app");
const PARTITIONS: i32 = 4;
/// Keys of their own partitions: a multiple of the partitions.
const KEYS: i64 = 20;
/// How long anything that will happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

fn start(setup: &Setup, instance: &str) -> Process {
    Process::start(instance, setup.command(instance).env("KAPPA_TEST_PARKS", "1"))
}

fn feed(setup: &Setup, numbers: std::ops::Range<i64>) {
    let mut writer = Writer::open(&setup.log, &setup.input);
    for number in numbers {
        let (key, partition) = (format!("key-{}", number % KEYS), (number % i64::from(PARTITIONS)) as i32);
        writer.put(partition, 1_000 + number, Some(key.as_bytes()), Some(&number.to_be_bytes()));
    }
    writer.flush();
}

/// What is no number, for two keys.
fn feed_bad(setup: &Setup) {
    let mut writer = Writer::open(&setup.log, &setup.input);
    writer.put(1, 5_000, Some(b"key-1"), Some(b"three"));
    writer.put(2, 5_000, Some(b"key-2"), Some(b"four"));
    writer.flush();
}

/// Key and number of records.
fn parked(setup: &Setup) -> Vec<(String, u64)> {
    let topic = format!("{}-{}-source-parked-changelog", setup.application_id(), setup.input);
    let of = |parked: ParkedKey| (parked.key.to_string(), parked.records);
    // Before the first process has come up there is no such topic.
    let keys = read_parked(&setup.log, &topic, PARTITIONS, PATIENCE).unwrap_or_default();
    keys.into_iter().map(of).collect()
}

fn wait_parked(setup: &Setup, wanted: &[(&str, u64)], process: &Process) {
    let wanted: Vec<(String, u64)> = wanted.iter().map(|(key, records)| ((*key).to_owned(), *records)).collect();
    let mut found = Vec::new();
    let reached = wait_until(PATIENCE, || {
        found = parked(setup);
        found == wanted
    });
    assert!(reached, "parked are {found:?}, not {wanted:?}\n{}", process.log());
}

fn command(setup: &Setup, commands: &[(i32, ParkingCommand)]) {
    let topic = format!("{}-{}-source-control", setup.application_id(), setup.input);
    send_commands(&setup.log, &topic, commands, PATIENCE).expect("sent");
}

#[test]
fn what_is_parked_survives_kills_and_is_released_exactly_once() {
    let Some(brokers) = harness::brokers() else { return };
    let setup = Setup::new(APP, &brokers, PARTITIONS);
    feed(&setup, 0..200);
    feed_bad(&setup);
    feed(&setup, 200..400);
    let mut first = start(&setup, "a");
    // Of 200 numbers each of 20 keys has 10.
    wait_parked(&setup, &[("key-1", 11), ("key-2", 11)], &first);
    first.kill();

    // Another one, without the state.
    feed(&setup, 400..600);
    let mut second = start(&setup, "b");
    wait_parked(&setup, &[("key-1", 21), ("key-2", 21)], &second);
    command(&setup, &[(1, ParkingCommand::release(&*setup.input, "key-1"))]);
    let again = second.wait_line("released record failed again", PATIENCE);
    assert!(again.contains("partition=1") && again.contains("offset=50"), "{again}");

    // Thrown away and released, by a process that is killed somewhere in it.
    let discard = |key: &str| ParkingCommand::discard_first(&*setup.input, key);
    command(&setup, &[(1, discard("key-1")), (2, discard("key-2")), (1, ParkingCommand::release_all())]);
    second.kill();
    feed(&setup, 600..800);
    let mut first = start(&setup, "a");
    wait_parked(&setup, &[("key-2", 30)], &first);
    command(&setup, &[(2, ParkingCommand::release(&*setup.input, "key-2"))]);
    setup.wait_exact(PATIENCE);
    wait_parked(&setup, &[], &first);
    end_well(&mut first);
    assert_eq!(setup.differences(), Vec::<String>::new());
}
