//! Signals to other processes, without `unsafe` and without a package that ships `kill` or `ps`.

use std::path::Path;
use std::process::{Command, Stdio};

/// The signals that tests use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ends the process at once; nothing of it runs again.
    Kill,
    /// Asks the process to end.
    Terminate,
    /// As ctrl-C.
    Interrupt,
    /// Freezes the process.
    Stop,
    /// Lets a frozen process go on.
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Signal::Kill => "KILL",
            Signal::Terminate => "TERM",
            Signal::Interrupt => "INT",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        }
    }
}

/// Sends a signal; false where there is no such process (or it is not ours).
pub fn send(pid: u32, signal: Signal) -> bool {
    // The shell's own `kill`: a minimal Debian has no program of that name.
    let script = format!("kill -{} {pid}", signal.name());
    let status = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Whether a process of this id runs (or is frozen) and has `argument` in its command line. A process that ended and was not
/// yet waited for does not count, nor does a stranger that was given the same id later.
pub fn is_running(pid: u32, argument: &str) -> bool {
    let proc = format!("/proc/{pid}");
    if Path::new("/proc/self").exists() {
        // A zombie's command line is empty.
        return std::fs::read(format!("{proc}/cmdline")).is_ok_and(|line| contains(&line, argument.as_bytes()));
    }
    let output = Command::new("ps").args(["-p", &pid.to_string(), "-o", "command="]).output();
    output.is_ok_and(|output| contains(&output.stdout, argument.as_bytes()))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::wait_until;
    use std::time::Duration;

    #[test]
    fn a_killed_process_is_not_running_even_before_it_is_waited_for() {
        let mut child = Command::new("sleep").arg("61.25").spawn().expect("sleep starts");
        assert!(wait_until(Duration::from_secs(5), || is_running(child.id(), "61.25")));
        assert!(!is_running(child.id(), "something else"));
        assert!(send(child.id(), Signal::Kill));
        assert!(wait_until(Duration::from_secs(5), || !is_running(child.id(), "61.25")));
        child.wait().expect("waited for");
        assert!(!send(child.id(), Signal::Kill), "no such process any more");
    }
}
