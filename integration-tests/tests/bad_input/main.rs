//! Bad input, a wrong set-up, a full disk: each is a clear error within its deadline and an exit code that is not 0, or goes where
//! the user sent it; and nothing is lost.
#![cfg(all(feature = "kafka", feature = "rocksdb"))]

mod cluster;
mod history;
mod records;
mod state;
mod topics;

use kappa_integration_tests::process::Process;
use kappa_integration_tests::totals::Setup;
use std::process::Command;
use std::time::Duration;

const APP: &str = env!("CARGO_BIN_EXE_totals-app");
const PARTITIONS: i32 = 4;
/// How long anything that will happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs a command that must fail by itself within `deadline`; returns its last words, the error.
fn error_of(command: &mut Command, deadline: Duration) -> String {
    let mut process = Process::start("refused", command);
    let status = process.wait_exit(deadline);
    let log = process.log();
    assert_eq!(status.code(), Some(1), "{status}\n{log}");
    last_words(&log).to_owned()
}

/// What a process says at its very end; the error may have several lines.
fn last_words(log: &str) -> &str {
    let at = log.rfind("\nerror: ").map(|at| at + 1).or(log.starts_with("error: ").then_some(0));
    log[at.unwrap_or_else(|| panic!("no error is named\n{log}"))..].trim_end()
}

/// The error of a process of this application.
fn error_of_app(setup: &Setup, change: impl FnOnce(&mut Command) -> &mut Command) -> String {
    error_of(change(&mut setup.command("a")), PATIENCE)
}

/// Every part must be in the text.
#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}
