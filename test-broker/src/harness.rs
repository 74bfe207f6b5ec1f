//! What a test against a real broker begins with: the cluster that `cargo xtask test` brought up, a name of its own, and a loud
//! word where there is no cluster.
//!
//! ```no_run
//! # fn main() {
//! let Some(brokers) = kappa_test_broker::harness::brokers() else { return };
//! let topic = kappa_test_broker::harness::unique("orders");
//! # }
//! ```
//!
//! **Invariants:** under `CI=true` no test is ever skipped: it fails instead. Every test that asks is written to the file that
//! `KAPPA_TEST_REPORT` names, one line each, so that the summary can tell what ran and what did not.

use crate::jvm::Program;
use crate::{Broker, Options, cache};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// The shared cluster's addresses.
pub const BROKERS: &str = "KAPPA_TEST_BROKERS";
/// The addresses of the shared cluster's SASL listeners.
pub const SASL_BROKERS: &str = "KAPPA_TEST_SASL_BROKERS";
/// The Kafka version that tests start.
pub const KAFKA_VERSION: &str = "KAPPA_TEST_KAFKA_VERSION";
/// The file that the summary of `cargo xtask test` is made from.
pub const REPORT: &str = "KAPPA_TEST_REPORT";

/// The addresses of the shared cluster, or `None` after saying in capitals that this test is skipped.
///
/// # Panics
/// Under `CI=true` where there is no cluster.
pub fn brokers() -> Option<String> {
    from_environment(BROKERS, "it needs a Kafka: run `cargo xtask test`, or set KAPPA_TEST_BROKERS=HOST:PORT")
}

/// The addresses of the shared cluster's SASL listeners (mechanism PLAIN, user [`SASL_USER`](crate::SASL_USER)), or `None` after
/// saying in capitals that this test is skipped.
///
/// # Panics
/// Under `CI=true` where there are none.
pub fn sasl_brokers() -> Option<String> {
    from_environment(
        SASL_BROKERS,
        "it needs a Kafka with a SASL listener: run `cargo xtask test` on a machine with Java and Maven",
    )
}

/// A cluster of this test's own, to kill and restart, or `None` after saying in capitals that this test is skipped because the
/// machine cannot run one.
///
/// # Panics
/// Where a cluster could run but does not start; under `CI=true` also where it cannot.
pub fn own_broker(options: &Options) -> Option<Broker> {
    if cache::java_major().is_none_or(|major| major < 17) {
        skip("it starts brokers of its own and needs Java 17 or newer, and Maven");
        return None;
    }
    report("ran", "");
    match Broker::start(options) {
        Ok(broker) => Some(broker),
        Err(error) => panic!("{error}"),
    }
}

/// The Java program of that folder, compiled and with Kafka Streams and Kafka's clients beside it, or `None` after saying in capitals
/// that this test is skipped.
///
/// # Panics
/// Where its sources do not compile; under `CI=true` also where Java's compiler or the jars can't be had.
pub fn java_program(sources: &Path) -> Option<Program> {
    match Program::compile(sources) {
        Ok(program) => Some(program),
        Err(error) => {
            let error = error.to_string();
            assert!(!error.starts_with("javac failed"), "{error}");
            skip(&format!("it compares with Kafka Streams itself: {error}"));
            None
        }
    }
}

/// The Kafka version that tests start: `KAPPA_TEST_KAFKA_VERSION`, else the newer generation.
pub fn kafka_version() -> String {
    variable(KAFKA_VERSION).unwrap_or_else(|| crate::DEFAULT_VERSION.to_owned())
}

/// A name nobody else uses, now or in an earlier run on the same cluster: `orders-<process>-<time>-<number>`.
pub fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{name}-{}-{:x}-{number}", std::process::id(), since.as_millis())
}

/// Says loudly that the running test is skipped and why, past libtest's capturing of output.
///
/// # Panics
/// Under `CI=true`: what did not run has not passed.
pub fn skip(why: &str) {
    let test = test_name();
    assert!(variable("CI").as_deref() != Some("true"), "{test} cannot run, and CI=true allows no skipping: {why}");
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED {}: {why}", test.to_uppercase());
    report("skipped", why);
}

fn from_environment(name: &str, why: &str) -> Option<String> {
    match variable(name) {
        Some(addresses) => {
            report("ran", "");
            Some(addresses)
        }
        None => {
            skip(why);
            None
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// libtest names each test's thread after the test.
fn test_name() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

fn report(what: &str, why: &str) {
    let Some(path) = variable(REPORT) else { return };
    let line = format!("{what}\t{}\t{why}\n", test_name());
    // One write of a short line in append mode: lines of several processes do not mix.
    let written = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        eprintln!("the line `{}` could not be written to {path}: {error}", line.trim_end());
    }
}
