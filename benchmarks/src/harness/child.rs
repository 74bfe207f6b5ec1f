//! A run's process: bounded in time, its last line of output is its result.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// An application that runs until it is told to end. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Application {
    child: Child,
    running: Arc<AtomicBool>,
    log: PathBuf,
}

impl Application {
    /// Starts the process; its messages are added to `log`.
    pub(super) fn start(mut command: Command, log: &Path) -> Result<Self, String> {
        let failed = |error| format!("start {}: {error}", log.display());
        let messages = File::options().create(true).append(true).open(log).map_err(failed)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(messages);
        let mut child = command.spawn().map_err(failed)?;
        let running = Arc::new(AtomicBool::new(false));
        let (said, stdout) = (Arc::clone(&running), child.stdout.take());
        // Ends with the process, whose output closes.
        std::thread::spawn(move || {
            let lines = stdout.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok);
            lines.filter(|line| line == "running").for_each(|_| said.store(true, Ordering::Relaxed));
        });
        Ok(Self { child, running, log: log.to_owned() })
    }

    /// Waits until it says that all its tasks run.
    pub(super) fn await_running(&mut self, deadline: Duration) -> Result<(), String> {
        let until = Instant::now() + deadline;
        while !self.running.load(Ordering::Relaxed) {
            self.check()?;
            if Instant::now() > until {
                return Err(format!("it did not run within {} s:\n{}", deadline.as_secs(), tail(&self.log)));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// An error if it has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("it ended by itself with {status}:\n{}", tail(&self.log))),
            Err(error) => Err(format!("wait for it: {error}")),
        }
    }

    /// SIGKILL.
    pub(super) fn kill(mut self) -> Result<(), String> {
        self.child.kill().and_then(|()| self.child.wait()).map_err(|error| format!("kill it: {error}"))?;
        Ok(())
    }

    /// SIGTERM, and waits until it has ended.
    pub(super) fn terminate(mut self, deadline: Duration) -> Result<(), String> {
        let process = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &process]).status();
        if !sent.map_err(|error| format!("run kill: {error}"))?.success() {
            return Err(format!("no signal could be sent to process {process}"));
        }
        match wait(&mut self.child, deadline)? {
            Some(_) => Ok(()),
            None => Err(format!("it did not end within {} s of SIGTERM:\n{}", deadline.as_secs(), tail(&self.log))),
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits for a process, and kills it when it takes too long: then `None`.
pub(super) fn wait(child: &mut Child, deadline: Duration) -> Result<Option<ExitStatus>, String> {
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
    fn an_application_ends_when_told() {
        let log = std::env::temp_dir().join(format!("kappa-bench-application-{}", std::process::id()));
        let start = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Application::start(command, &log).unwrap()
        };
        let mut good = start("trap 'exit 0' TERM; echo running; while :; do sleep 0.01; done");
        good.await_running(Duration::from_secs(10)).unwrap();
        good.check().unwrap();
        good.terminate(Duration::from_secs(10)).unwrap();
        let mut bad = start("echo no >&2; exit 3");
        let error = bad.await_running(Duration::from_secs(10)).unwrap_err();
        assert!(error.contains("exit status: 3") && error.ends_with("no"), "{error}");
        let mut stubborn = start("trap '' TERM; echo running; while :; do sleep 0.01; done");
        stubborn.await_running(Duration::from_secs(10)).unwrap();
        let error = stubborn.terminate(Duration::from_millis(100));
        assert!(error.is_err_and(|error| error.contains("did not end")));
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_run_that_hangs_is_killed() {
        let error = shell("exec sleep 60", Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("was killed"), "{error}");
    }
}
