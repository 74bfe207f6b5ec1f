//! A program under test as a process of its own.
//!
//! **Invariants:**
//! - The process ends with its [`Process`], frozen or not: no test leaves one behind.
//! - Both of its outputs go to one file, which a failing test names and a passing one removes.

use kappa_test_broker::signal::{self, Signal};
use kappa_test_broker::{harness, wait};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(10);

/// A running (or ended) program and its log.
///
/// # Panics
/// All methods panic where the operating system refuses what a test takes for granted, such as reading the log.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the command; `name` is for messages and for the name of the log. A program of the test's own crate is named by
    /// `env!("CARGO_BIN_EXE_<name>")`.
    pub fn start(name: &str, command: &mut Command) -> Process {
        let log = std::env::temp_dir().join(format!("{}.log", harness::unique(name)));
        let output = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let errors = output.try_clone().unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let spawned = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = spawned.unwrap_or_else(|error| panic!("{name} ({command:?}) does not start: {error}"));
        Process { name: name.to_owned(), child, log }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`; returns when the process is gone. No harm if it ended before.
    pub fn kill(&mut self) -> ExitStatus {
        let _ = self.child.kill();
        self.wait_exit(GONE)
    }

    /// Freezes it (SIGSTOP).
    pub fn freeze(&self) {
        self.signal(Signal::Stop);
    }

    /// Lets it go on (SIGCONT).
    pub fn unfreeze(&self) {
        self.signal(Signal::Continue);
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal(Signal::Terminate);
    }

    fn signal(&self, signal: Signal) {
        assert!(
            signal::send(self.id(), signal),
            "{} is gone, {signal:?} cannot reach it\n{}",
            self.name,
            self.last_lines()
        );
    }

    /// Its exit status, if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap_or_else(|error| panic!("waiting for {}: {error}", self.name))
    }

    /// Waits until it ends by itself.
    pub fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        match wait::wait_for(deadline, || self.exited()) {
            Some(status) => status,
            None => panic!("{} did not end within {deadline:?}\n{}", self.name, self.last_lines()),
        }
    }

    /// Waits until its log has a line with this text, and returns that line; panics at once when the process ends without.
    pub fn wait_line(&mut self, text: &str, deadline: Duration) -> String {
        let mut ended = false;
        let found = wait::wait_for(deadline, || {
            // Looked at before the log: what it wrote before it ended counts.
            ended = self.exited().is_some();
            let line = self.log().lines().find(|line| line.contains(text)).map(str::to_owned);
            (line.is_some() || ended).then_some(line)
        });
        match found.flatten() {
            Some(line) => line,
            None if ended => panic!("{} ended without saying `{text}`\n{}", self.name, self.last_lines()),
            None => panic!("{} did not say `{text}` within {deadline:?}\n{}", self.name, self.last_lines()),
        }
    }

    /// All it has written so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_else(|error| panic!("{}: {error}", self.log.display()));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The file it writes to.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        format!("--- the end of {} ---\n{}", self.log.display(), lines[lines.len().saturating_sub(20)..].join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL reaches a frozen process too.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of {} is {}", self.name, self.log.display());
        } else {
            let _ = fs::remove_file(&self.log);
        }
    }
}
