//! Licences, sources, duplicate versions and advisories of all dependencies, by cargo-deny in a pinned version.

use crate::{Failure, run};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const VERSION: &str = "0.20.2";

pub(crate) fn deny() -> Result<(), Failure> {
    let program = installed()?;
    // Needs nothing but the crates themselves, so it runs wherever the build runs.
    run::step(&mut command(&program, &["check", "licenses", "bans", "sources"]))?;
    let container = ["--manifest-path", "integration-tests/containers/Cargo.toml", "--config", "deny.toml"];
    run::step(
        Command::new(&program).current_dir(run::root()).args(container).args(["check", "licenses", "bans", "sources"]),
    )?;
    if fetch_advisories(&program) {
        return run::step(&mut command(&program, &["check", "--disable-fetch", "advisories"])).map(drop);
    }
    println!(
        "\nADVISORIES WERE NOT CHECKED: the RustSec database (github.com/rustsec/advisory-db) cannot be reached from here"
    );
    Ok(())
}

/// The program in the cache folder, built there if it is not: about two minutes on two cores without optimisation, which a check
/// of some hundred crates does not miss.
fn installed() -> Result<PathBuf, Failure> {
    let dir = kappa_test_broker::cache_dir()?.join("tools").join(format!("cargo-deny-{VERSION}"));
    let program = dir.join("bin/cargo-deny");
    if !program.is_file() {
        let target = dir.join("target");
        println!("\ncargo-deny {VERSION} is built once (two or three minutes)");
        let mut install =
            run::cargo(["install", "cargo-deny", "--quiet", "--version", VERSION, "--locked", "--debug", "--root"]);
        run::step(install.arg(&dir).arg("--target-dir").arg(&target))?;
        let _ = std::fs::remove_dir_all(&target);
    }
    Ok(program)
}

fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["--all-features", "--workspace"]).args(arguments).current_dir(run::root());
    command
}

fn fetch_advisories(program: &Path) -> bool {
    let mut fetch = command(program, &["fetch", "db"]);
    fetch.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
