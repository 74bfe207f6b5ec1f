//! `cargo xtask check`: everything that is judged without running the program. What fails soonest comes first.

use crate::{Failure, arguments::Arguments, cluster, deny, run, setup, tidy};
use std::time::Instant;

/// Release throughout: the C libraries are built once a profile, and the tests need them in this one.
const WORKSPACE: [&str; 2] = ["--release", "--workspace"];

pub(crate) fn check(arguments: Arguments) -> Result<(), Failure> {
    arguments.done()?;
    let start = Instant::now();
    setup::for_build()?;
    run::step(&mut run::cargo(["fmt", "--all", "--check"]))?;
    tidy::tidy()?;
    deny::deny()?;
    for features in ["--no-default-features", "--all-features"] {
        let mut clippy = run::cargo(["clippy", "--quiet", "--all-targets", features]);
        run::step(clippy.args(WORKSPACE).args(["--", "--deny", "warnings"]))?;
    }
    let mut container = cluster::container_cargo("clippy");
    run::step(container.args(["--all-targets", "--", "--deny", "warnings"]))?;
    let mut doc = run::cargo(["doc", "--quiet", "--no-deps", "--all-features", "--document-private-items"]);
    run::step(doc.args(WORKSPACE).env("RUSTDOCFLAGS", "-D warnings"))?;
    println!("\nall checks passed in {}", run::seconds(start.elapsed()));
    Ok(())
}
