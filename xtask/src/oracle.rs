//! `cargo xtask oracle`: kappa against Kafka Streams, scenario by scenario.

use crate::{Failure, arguments::Arguments, run};
use std::process::Command;

/// Builds the comparison and runs it; what follows goes to it. It needs neither broker nor C libraries.
pub(crate) fn oracle(arguments: Arguments) -> Result<(), Failure> {
    let package = ["build", "--release", "-p", "kappa-integration-tests", "--no-default-features", "--bin", "oracle"];
    run::step(&mut run::cargo(package))?;
    let mut command = Command::new(run::built("oracle"));
    command.args(arguments.rest()).current_dir(run::root());
    run::step(&mut command).map(drop)
}
