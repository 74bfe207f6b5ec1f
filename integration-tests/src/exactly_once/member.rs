//! One process of the application: started, killed, started again on its state, its logs kept.
//!
//! **Invariants:** a process that ends without having been told to fails the test at the next look.

use crate::process::Process;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// What a member is started with.
#[derive(Debug, Clone)]
pub struct MemberOptions {
    /// The program, `env!("CARGO_BIN_EXE_exactly-once-app")` in a test.
    pub program: PathBuf,
    /// The cluster.
    pub brokers: String,
    /// The application's name.
    pub app: String,
    /// The input topic.
    pub input: String,
    /// The output topic.
    pub output: String,
    /// Whether it keeps its seat in the group over a restart.
    pub static_seat: bool,
    /// More `KAPPA_*` settings.
    pub settings: Vec<(&'static str, String)>,
}

/// A member of the group, running or not.
#[derive(Debug)]
pub struct Member {
    name: String,
    dir: PathBuf,
    options: MemberOptions,
    process: Option<Process>,
    /// Logs of ended incarnations.
    logs: Vec<String>,
}

impl Member {
    /// A member that keeps state and logs in `dir`; not started yet.
    pub fn new(index: usize, dir: &Path, options: MemberOptions) -> Member {
        let name = format!("member-{index}");
        Member { dir: dir.join(&name), name, options, process: None, logs: Vec::new() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Starts it, on the state it has.
    pub fn start(&mut self) {
        let options = &self.options;
        let mut command = Command::new(&options.program);
        command
            .args([&options.brokers, &options.app, &options.input, &options.output])
            .env("KAPPA_STATE_DIR", self.dir.join("state"))
            .envs(options.settings.iter().map(|(name, value)| (name, value)));
        if options.static_seat {
            command.env("KAPPA_INSTANCE_ID", &self.name);
        }
        self.process = Some(Process::start(&self.name, &mut command));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            self.check_alive(&mut process);
            process.kill();
            self.keep_log(&process);
        }
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        if let Some(process) = &self.process {
            process.terminate();
        }
    }

    /// Waits for the end that was asked for.
    pub fn wait_exit(&mut self, deadline: Duration) -> Option<ExitStatus> {
        let mut process = self.process.take()?;
        let status = process.wait_exit(deadline);
        self.keep_log(&process);
        Some(status)
    }

    /// Panics with its last words if it has ended by itself.
    pub fn check(&mut self) {
        if let Some(mut process) = self.process.take() {
            self.check_alive(&mut process);
            self.process = Some(process);
        }
    }

    /// Everything its incarnations have written, the oldest first.
    pub fn logs(&self) -> Vec<String> {
        let running = self.process.iter().map(Process::log);
        self.logs.iter().cloned().chain(running).collect()
    }

    fn check_alive(&mut self, process: &mut Process) {
        if let Some(status) = process.exited() {
            self.keep_log(process);
            let log = process.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(30)..].join("\n");
            panic!("{} ended by itself ({status}); its last words:\n{last}", self.name);
        }
    }

    fn keep_log(&mut self, process: &Process) {
        let log = process.log();
        let path = self.dir.join(format!("incarnation-{}.log", self.logs.len()));
        let written = std::fs::create_dir_all(&self.dir).and_then(|()| std::fs::write(&path, &log));
        if let Err(error) = written {
            eprintln!("{}: {error}", path.display());
        }
        self.logs.push(log);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            self.keep_log(&process);
        }
    }
}
