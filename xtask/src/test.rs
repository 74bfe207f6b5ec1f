//! `cargo xtask test`: every test, on a real Kafka where it wants one, and a word on what ran.

use crate::cluster::Cluster;
use crate::report::{BrokerTests, Counts};
use crate::{Failure, arguments::Arguments, run, setup};
use kappa_test_broker::harness;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

pub(crate) fn test(mut arguments: Arguments) -> Result<(), Failure> {
    let mut programs = Vec::new();
    while let Some(program) = arguments.value("--test")? {
        programs.extend(["--test".to_owned(), program]);
    }
    let filter = arguments.rest();
    setup::for_build()?;
    // First: the build without the C libraries must not rot, and fails sooner than anything else.
    run::step(&mut run::cargo([
        "check",
        "--quiet",
        "--release",
        "--workspace",
        "--all-targets",
        "--no-default-features",
    ]))?;
    // The build comes before the broker, which need not stand idle during it.
    let mut build = run::cargo(["test", "--quiet", "--release", "--workspace", "--all-features", "--no-run"]);
    run::step(build.args(&programs))?;
    let cluster = find_cluster()?;
    find_java_compiler()?;
    let mut command = run::cargo(["test", "--release", "--workspace", "--all-features", "--no-fail-fast"]);
    command.args(&programs).arg("--").args(&filter);
    run_tests(command, cluster.as_ref(), programs.is_empty() && filter.is_empty())
}

/// The cluster; `None`, said in capitals, where there is none and that may be.
pub(crate) fn find_cluster() -> Result<Option<Cluster>, Failure> {
    match Cluster::find() {
        Ok(cluster) => Ok(Some(cluster)),
        Err(why) if run::is_ci() => {
            Err(format!("no Kafka for the tests, and CI=true allows no skipping: {why}").into())
        }
        Err(why) => {
            eprintln!("\nTHE TESTS AGAINST A REAL KAFKA WILL NOT RUN: {why}\n");
            Ok(None)
        }
    }
}

/// Tests that compare with Kafka Streams skip themselves where it is missing and may be.
fn find_java_compiler() -> Result<(), Failure> {
    match setup::for_comparison() {
        Err(why) if run::is_ci() => {
            Err(format!("no comparison with Kafka Streams, and CI=true allows no skipping: {why}").into())
        }
        Err(why) => {
            eprintln!("\nTHE TESTS THAT COMPARE WITH KAFKA STREAMS WILL NOT RUN: {why}\n");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Runs the tests on the cluster and sums up. With `complete`, a CI run in which no test met a real broker fails.
pub(crate) fn run_tests(mut command: Command, cluster: Option<&Cluster>, complete: bool) -> Result<(), Failure> {
    let report = Report::new();
    command.env(harness::REPORT, &report.0);
    if let Some(cluster) = cluster {
        cluster.tell(&mut command);
    }
    let start = Instant::now();
    let (succeeded, counts) = run_and_count(&mut command)?;
    let met = BrokerTests::read(&report.0);
    println!("\n{}", "=".repeat(60));
    sum_up(&counts, &met, cluster);
    println!("  {} in all", run::seconds(start.elapsed()));
    // In this plain form for tools that count.
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.ignored + met.skipped.len());
    if !succeeded {
        return Err("tests failed (above), or could not be built".into());
    }
    if counts.passed == 0 {
        return Err(
            "no test's name holds what was given; `--test PROGRAM` runs the tests of one file in a `tests` folder"
                .into(),
        );
    }
    if complete && run::is_ci() && met.ran.is_empty() {
        return Err("no test met a real broker, and CI=true demands it".into());
    }
    Ok(())
}

fn run_and_count(command: &mut Command) -> Result<(bool, Counts), Failure> {
    println!("\n$ {}", run::describe(command));
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("the test run has no output")?;
    let mut counts = Counts::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        writeln!(std::io::stdout(), "{line}")?;
        counts.read(&line);
    }
    Ok((child.wait()?.success(), counts))
}

fn sum_up(counts: &Counts, met: &BrokerTests, cluster: Option<&Cluster>) {
    println!(
        "{} tests passed, {} failed, {} ignored, in {} test programs",
        counts.passed, counts.failed, counts.ignored, counts.programs
    );
    for name in &counts.failures {
        println!("  FAILED {name}");
    }
    match cluster {
        Some(cluster) => println!("  {} of them met a real broker: {}", met.ran.len(), cluster.describe()),
        None => println!("  NO CLUSTER WAS THERE FOR THE TESTS AGAINST A REAL KAFKA"),
    }
    if counts.ignored > 0 {
        println!("  ignored tests are the long ones: `cargo xtask soak` runs them");
    }
    for (name, why) in &met.skipped {
        println!("  SKIPPED {}: {why}", name.to_uppercase());
    }
}

/// The file that tests write to; gone at the end.
struct Report(PathBuf);

impl Report {
    fn new() -> Report {
        let path = std::env::temp_dir().join(harness::unique("kappa-test-report"));
        let _ = std::fs::remove_file(&path);
        Report(path)
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
