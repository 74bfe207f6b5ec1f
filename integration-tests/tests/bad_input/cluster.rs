//! A cluster that can't be reached, does not let us in, or is asked for what can't be had.

use super::{APP, PARTITIONS, PATIENCE, assert_says, error_of, error_of_app};
use kappa_integration_tests::process::Process;
use kappa_integration_tests::totals::{Setup, end_well};
use kappa_integration_tests::{SASL_PASSWORD, SASL_USER, harness};
use std::process::Command;
use std::time::Duration;

#[test]
fn a_wrong_address_is_an_error_that_names_it() {
    let setup = Setup::without_topics(APP, "127.0.0.1:1");
    let error = error_of(&mut setup.command("a"), Duration::from_secs(60));
    assert_says(&error, &["127.0.0.1:1", "no answer within", "reachable"]);
}

#[test]
fn unknown_and_protected_properties_are_refused_by_name() {
    let setup = Setup::without_topics(APP, "127.0.0.1:1");
    let refuse = |variable: &str, value: &str, parts: &[&str]| {
        let error = error_of(setup.command("a").env(variable, value), Duration::from_secs(20));
        assert_says(&error, parts);
    };
    refuse("KAPPA_KAFKA_FETCH_MAXX_BYTES", "1", &["setting fetch.maxx.bytes: ", "No such configuration property"]);
    refuse("KAPPA_KAFKA_FETCH_MAX_BYTES", "many", &["setting fetch.max.bytes: "]);
    refuse(
        "KAPPA_KAFKA_ENABLE_IDEMPOTENCE",
        "false",
        &["setting enable.idempotence: ", "exactly-once", "kappa sets it"],
    );
    refuse("KAPPA_KAFKA_GROUP_INSTANCE_ID", "x", &["setting group.instance.id: ", "KAPPA_INSTANCE_ID"]);
}

fn sasl<'c>(command: &'c mut Command, password: &str) -> &'c mut Command {
    command
        .env("KAPPA_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
        .env("KAPPA_KAFKA_SASL_MECHANISM", "PLAIN")
        .env("KAPPA_KAFKA_SASL_USERNAME", SASL_USER)
        .env("KAPPA_KAFKA_SASL_PASSWORD", password)
}

#[test]
fn a_wrong_password_is_an_error_and_the_right_one_works() {
    let (Some(plain), Some(brokers)) = (harness::brokers(), harness::sasl_brokers()) else { return };
    let mut setup = Setup::new(APP, &plain, PARTITIONS);
    setup.brokers = brokers;
    setup.feed(0..100, PARTITIONS);
    let error = error_of_app(&setup, |command| sasl(command, "open sesame"));
    assert_says(&error, &["refused", "sasl.*"]);
    assert!(!error.contains("open sesame"), "{error}");
    let mut process = Process::start("let-in", sasl(&mut setup.command("a"), SASL_PASSWORD));
    setup.wait_exact(PATIENCE);
    end_well(&mut process);
}
