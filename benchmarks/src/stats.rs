//! CPU time, memory and threads of this process.

use rustix::time::{ClockId, clock_gettime};
use std::time::Instant;

/// CPU seconds of all threads, ended ones too, user and system, since the process began.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The most memory this process has had resident; `None` where `/proc` does not say.
pub fn peak_rss_mib() -> Option<f64> {
    Some(status("VmHWM:")? as f64 / 1024.0)
}

/// The threads of this process; `None` where `/proc` does not say.
pub fn threads() -> Option<u64> {
    status("Threads:")
}

fn status(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A moment to measure from.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    at: Instant,
    cpu: f64,
}

impl Mark {
    /// Now.
    pub fn now() -> Self {
        Self { at: Instant::now(), cpu: cpu_seconds() }
    }

    /// Seconds since the mark.
    pub fn wall_seconds(&self) -> f64 {
        self.at.elapsed().as_secs_f64()
    }

    /// CPU seconds of this process since the mark.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds() - self.cpu
    }

    /// CPU seconds of this process up to the mark.
    pub fn cpu_before(&self) -> f64 {
        self.cpu
    }
}

/// What one run cost; the fields are those of the one line of JSON that it prints.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// Records of the input topics.
    pub input_records: u64,
    /// From running to drained.
    pub wall_s: f64,
    /// CPU seconds of the process from running to drained.
    pub cpu_s: f64,
    /// CPU seconds of the process from its start to after it closed.
    pub cpu_total_s: f64,
    /// CPU seconds of the process from its start to running.
    pub start_cpu_s: f64,
    /// Of a restore: seconds from the first task's beginning to restore to the last one's end; else 0.
    #[serde(default)]
    pub restoring_s: f64,
    /// The most memory resident, MiB.
    pub peak_rss_mib: f64,
    /// Threads when drained.
    pub threads: u64,
}

impl Cost {
    /// CPU seconds from running to drained, per million input records.
    pub fn cpu_s_per_m(&self) -> f64 {
        self.cpu_s / self.input_records as f64 * 1e6
    }

    /// CPU seconds from start to end of the process, per million input records.
    pub fn cpu_total_s_per_m(&self) -> f64 {
        self.cpu_total_s / self.input_records as f64 * 1e6
    }
}
