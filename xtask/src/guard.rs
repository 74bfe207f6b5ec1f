//! `cargo xtask guard`: instructions of the core step, counted by valgrind.

use crate::{Failure, arguments::Arguments, run, setup};
use std::process::Command;

/// Builds the guard and runs it; what follows goes to it.
pub(crate) fn guard(arguments: Arguments) -> Result<(), Failure> {
    setup::for_build()?;
    // As in the tests: with the whole workspace and all features the C libraries are not built a second time.
    run::step(&mut run::cargo(["build", "--release", "--workspace", "--all-features", "--bin", "kappa-guard"]))?;
    let mut command = Command::new(run::built("kappa-guard"));
    command.args(arguments.rest()).current_dir(run::root());
    run::step(&mut command).map(drop)
}
