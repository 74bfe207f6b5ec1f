//! `cargo xtask bench` and `cargo xtask soak`.

use crate::cluster::Cluster;
use crate::test::{find_cluster, run_tests};
use crate::{Failure, arguments::Arguments, run, setup};
use kappa_test_broker::Broker;
use std::process::Command;

/// Where the benchmarks find the cluster.
const BROKERS: &str = "KAPPA_BROKERS";
/// What it is, where that is known.
const KAFKA_VERSION: &str = "KAPPA_KAFKA_VERSION";

/// The benchmarks on one broker. `--brokers HOST:PORT` (or `KAPPA_BROKERS`) names one; else one that
/// `cargo xtask kafka up` has started is used, which keeps the records for the next sitting; else one is started.
pub(crate) fn bench(mut arguments: Arguments) -> Result<(), Failure> {
    setup::for_build()?;
    let given = arguments.value("--brokers")?.or_else(|| run::variable(BROKERS));
    // As in the tests: with the whole workspace and all features the C libraries are not built a second time.
    step(&mut run::cargo(["build", "--release", "--workspace", "--all-features", "--bin", "kappa-benchmarks"]))?;
    let cluster = match given.or(Broker::detached_bootstrap()?) {
        Some(brokers) => Cluster::Given(brokers),
        None => Cluster::find()?,
    };
    eprintln!("on {}", cluster.describe());
    let mut command = Command::new(run::built("kappa-benchmarks"));
    command.arg("bench").args(arguments.rest()).env(BROKERS, cluster.brokers()).current_dir(run::root());
    if let Cluster::Started(_, version) = &cluster {
        command.env(KAFKA_VERSION, version);
    }
    step(&mut command)
}

/// As [`run::step`], but what is said goes to standard error: standard output is for the results.
fn step(command: &mut Command) -> Result<(), Failure> {
    let line = run::describe(command);
    eprintln!("$ {line}");
    let status = command.status().map_err(|error| format!("`{line}` cannot be run: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})").into()) }
}

/// The long tests: ignored ones whose name has `soak_` in it.
pub(crate) fn soak(arguments: Arguments) -> Result<(), Failure> {
    setup::for_build()?;
    let filter = arguments.rest();
    run::step(&mut run::cargo(["test", "--quiet", "--release", "--workspace", "--all-features", "--no-run"]))?;
    let cluster = find_cluster()?;
    let mut command = run::cargo([
        "test",
        "--release",
        "--workspace",
        "--all-features",
        "--lib",
        "--bins",
        "--tests",
        "--no-fail-fast",
    ]);
    // One at a time and talking: a soak is watched.
    command.args(["--", "--ignored", "--nocapture", "--test-threads=1"]);
    match filter.is_empty() {
        true => command.arg("soak_"),
        false => command.args(&filter),
    };
    run_tests(command, cluster.as_ref(), false)
}
