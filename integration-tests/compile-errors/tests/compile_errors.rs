//! Programs that don't compile, and what the compiler says: each message must name the mend.
//!
//! The expected words are the compiler's of Rust 1.95; with another one they may differ, and the test is left out.
//! `TRYBUILD=overwrite cargo test -p kappa-compile-errors` writes them anew, to be read before they are kept.

use std::process::Command;

#[test]
fn messages_name_the_mend() {
    let version = Command::new("rustc").arg("--version").output().expect("rustc runs");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if !version.starts_with("rustc 1.95.") {
        println!("SKIPPED: the expected messages are those of rustc 1.95, this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
