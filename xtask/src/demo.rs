//! `cargo xtask demo`: the flights example, built as small as what it is to show allows.

use crate::{Failure, arguments::Arguments, cluster, run, setup};
use std::process::Command;
use std::time::Instant;

/// The example's package.
const PACKAGE: &str = "flights";

pub(crate) fn demo(mut arguments: Arguments) -> Result<(), Failure> {
    let brokers = arguments.value("--brokers")?;
    let own = arguments.flag("--kafka");
    arguments.done()?;
    match (brokers, own) {
        (Some(_), true) => Err("say --brokers HOST:PORT or --kafka, not both".into()),
        (Some(brokers), false) => on_kafka(&brokers),
        (None, true) => {
            // Started first: what is missing shows before minutes of building.
            let cluster = cluster::start()?;
            on_kafka(&cluster.brokers())
        }
        (None, false) => embedded(),
    }
}

fn embedded() -> Result<(), Failure> {
    setup::for_first_look()?;
    println!(
        "A first look: log and state in memory, so neither librdkafka nor RocksDB is built (about a minute, once)."
    );
    let command = run::cargo(["run", "--quiet", "--package", PACKAGE, "--no-default-features", "--", "demo"]);
    build_and_run(&["--no-default-features"], command)?;
    println!("\nThe same on a real Kafka, with RocksDB state and separate processes for v1, v2 and the reader:");
    println!(
        "  cargo xtask demo --kafka               (starts a Kafka; the first build takes 10 to 15 minutes on 2 cores)"
    );
    println!("  cargo xtask demo --brokers HOST:PORT   (on yours)");
    Ok(())
}

fn on_kafka(brokers: &str) -> Result<(), Failure> {
    setup::for_build()?;
    println!(
        "On the Kafka at {brokers}, with RocksDB state. The first build of the two C libraries takes 10 to 15 minutes on 2 cores."
    );
    let command = run::cargo(["run", "--quiet", "--package", PACKAGE, "--release", "--", "demo", "--brokers", brokers]);
    build_and_run(&["--release"], command)
}

/// Building is a step of its own, so that its time is seen and the demo's clock begins after it.
fn build_and_run(profile: &[&str], mut command: Command) -> Result<(), Failure> {
    run::step(run::cargo(["build", "--package", PACKAGE]).args(profile))?;
    let start = Instant::now();
    println!("\n$ {}", run::describe(&command));
    let status = command.status()?;
    if !status.success() {
        return Err(format!("the demo ended with {status}").into());
    }
    println!("\nthe demo took {}", run::seconds(start.elapsed()));
    Ok(())
}
