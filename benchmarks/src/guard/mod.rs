//! The regression guard that noise can't fool: instructions of the core step, counted by valgrind.
//!
//! Five fixed workloads run without a broker through what a stream thread calls for every record: the task's chain, its
//! stores, their commits, layers and restore. Each is run under callgrind, which counts only within [`measured`], so
//! neither preparing the input nor RocksDB's background threads are in the figure. The counts are compared with
//! `guard.baseline`.
//!
//! **Invariants:** a workload is the same in every run: fixed seed, fixed sizes, no clock.

mod baseline;
mod workloads;

pub use baseline::{Baseline, Verdict};
pub use workloads::{WORKLOADS, Workload};

use std::process::Command;

/// How far a count may be from the baseline, in parts of it.
pub const TOLERANCE: f64 = 0.03;

/// Why the guard can't say anything.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// There is no valgrind.
    #[error(
        "the guard counts instructions with valgrind, which can't be run ({0}); on Debian: apt-get install valgrind"
    )]
    NoValgrind(std::io::Error),
    /// A workload under valgrind did not end well.
    #[error("workload {workload} under valgrind failed:\n{output}")]
    Failed {
        /// Which.
        workload: &'static str,
        /// What it said.
        output: String,
    },
    /// The baseline can't be read or written.
    #[error("{path}: {reason}")]
    Baseline {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

/// The function within which instructions are counted; and those that a restore's steps take on their threads.
#[inline(never)]
pub fn measured(work: &mut dyn FnMut()) {
    work();
}

/// Runs a workload of this very program under callgrind; instructions a record.
pub fn count(workload: &Workload) -> Result<f64, GuardError> {
    let program = std::env::current_exe().map_err(GuardError::NoValgrind)?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*guard*measured*"])
        // Begun by a measured call, on a thread of its own.
        .arg("--toggle-collect=*restoring*write_beside*")
        .arg(program)
        .args(["run", workload.name])
        .output()
        .map_err(GuardError::NoValgrind)?;
    let text = String::from_utf8_lossy(&output.stderr);
    match collected(&text).filter(|_| output.status.success()) {
        Some(instructions) => Ok(instructions as f64 / workload.records as f64),
        None => Err(GuardError::Failed { workload: workload.name, output: text.into_owned() }),
    }
}

/// The number behind `Collected :` in what callgrind says at its end.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_callgrinds_last_words() {
        assert_eq!(collected("==1== Events    : Ir\n==1== Collected : 27315703\n"), Some(27_315_703));
        assert_eq!(collected("==1== Collected : 0\n"), None, "the measured function was not found");
        assert_eq!(collected("==1== no such thing"), None);
    }
}
