//! A run's process: bounded in time, its last line of output is its result.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How much of a failed run's messages is shown.
const SHOWN_LINES: usize = 15;

/// Runs a command to its end and returns the last line it printed; its messages go to `log`.
pub(super) fn last_line(mut command: Command, log: &Path, deadline: Duration) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let messages = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(messages)
        .spawn()
        .map_err(|error| format!("start {name}: {error}"))?;
    let stdout = child.stdout.take();
    // What a run prints is less than a pipe holds, but a run gone wrong may print more.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.map_or(Ok(0), |mut out| out.read_to_string(&mut text));
        read.map(|_| text)
    });
    let status = wait(&mut child, deadline);
    let text = reader.join().map_err(|_| "the reader of a run's output panicked".to_owned())?;
    let text = text.map_err(|error| format!("read the output of {name}: {error}"))?;
    match status? {
        Some(status) if status.success() => {
            text.lines().last().map(str::to_owned).ok_or_else(|| format!("{name} printed nothing"))
        }
        Some(status) => Err(format!("{name} ended with {status}:\n{}", tail(log))),
        None => Err(format!("{name} took longer than {} s and was killed:\n{}", deadline.as_secs(), tail(log))),
    }
}

/// `None` when it took too long.
fn wait(child: &mut Child, deadline: Duration) -> Result<Option<ExitStatus>, String> {
    let until = Instant::now() + deadline;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Some(status)),
            Ok(None) if Instant::now() < until => std::thread::sleep(LOOK_EVERY),
            Ok(None) => {
                child.kill().and_then(|()| child.wait()).map_err(|error| format!("kill a run: {error}"))?;
                return Ok(None);
            }
            Err(error) => return Err(format!("wait for a run: {error}")),
        }
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, deadline: Duration) -> Result<String, String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let name = format!("kappa-bench-child-{}-{}", std::process::id(), script.len());
        let log = std::env::temp_dir().join(name);
        let line = last_line(command, &log, deadline);
        fs::remove_file(log).unwrap();
        line
    }

    #[test]
    fn the_last_line_counts() {
        assert_eq!(shell("echo one; echo two", Duration::from_secs(10)), Ok("two".to_owned()));
    }

    #[test]
    fn a_failure_shows_the_messages() {
        let error = shell("echo why >&2; exit 3", Duration::from_secs(10)).unwrap_err();
        assert!(error.contains("exit status: 3") && error.ends_with("why"), "{error}");
    }

    #[test]
    fn a_run_that_hangs_is_killed() {
        let error = shell("exec sleep 60", Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("was killed"), "{error}");
    }
}
