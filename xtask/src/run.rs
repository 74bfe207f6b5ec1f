//! Running other programs: said before, timed after.

use crate::Failure;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    // cargo says where this crate is now; the folder it was built in is the same unless the target folder is shared by clones.
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or(manifest.clone(), Path::to_path_buf)
}

/// `cargo` with these arguments, run in the root.
pub(crate) fn cargo<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    // Set for xtask's own build by the cargo that runs it; the nested one finds its own.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(name);
    }
    command
}

/// Says the command, runs it, says how long it took; an error unless it succeeds.
pub(crate) fn step(command: &mut Command) -> Result<Duration, Failure> {
    let line = describe(command);
    println!("\n$ {line}");
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("`{line}` cannot be run: {error}"))?;
    let took = start.elapsed();
    if status.success() {
        println!("  ({})", seconds(took));
        Ok(took)
    } else {
        Err(format!("`{line}` failed after {} ({status})", seconds(took)).into())
    }
}

/// The command as one would type it.
pub(crate) fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args()).map(|word| {
        let word = word.to_string_lossy();
        if word.contains([' ', '|', '"']) { format!("'{word}'") } else { word.into_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// `7.3 s` or `4 min 12 s`.
pub(crate) fn seconds(took: Duration) -> String {
    if took.as_secs() < 60 {
        return format!("{:.1} s", took.as_secs_f64());
    }
    format!("{} min {:02} s", took.as_secs() / 60, took.as_secs() % 60)
}

/// Whether an environment variable has a value other than nothing.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether this is a run that may skip nothing.
pub(crate) fn is_ci() -> bool {
    variable("CI").as_deref() == Some("true")
}

/// A program of the workspace, built with `--release`.
pub(crate) fn built(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir));
    target.join("release").join(name)
}
