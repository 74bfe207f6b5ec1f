//! Where the versions and the reader run: as threads of this process, or as processes of their own.

use crate::app::topology;
use crate::data::DataError;
use crate::names::Names;
use crate::reader;
use crate::screen::Screen;
use kappa_core::app::{App, Version};
use kappa_core::log::SharedLog;
use kappa_core::runtime::{RunningApp, Runtime, Settings};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// What runs beside the demo itself.
pub trait Stage {
    /// Starts a version of the application.
    fn start_app(&mut self, version: Version) -> Result<(), DataError>;

    /// Starts the reader.
    fn start_reader(&mut self, screen: &Screen) -> Result<(), DataError>;

    /// Fails when something that was started has ended by itself.
    fn check(&mut self) -> Result<(), DataError>;

    /// Stops everything, each having committed what it has done.
    fn stop(self: Box<Self>) -> Result<(), DataError>;
}

/// Everything in this process.
pub struct Threads {
    log: SharedLog,
    names: Names,
    apps: Vec<RunningApp>,
    reader: Option<JoinHandle<Result<(), DataError>>>,
    stopped: Arc<AtomicBool>,
}

impl Threads {
    /// On that log, with state in memory.
    pub fn new(log: SharedLog, names: Names) -> Self {
        Self { log, names, apps: Vec::new(), reader: None, stopped: Arc::default() }
    }
}

impl Stage for Threads {
    fn start_app(&mut self, version: Version) -> Result<(), DataError> {
        let app = App::new(&self.names.app, version, topology(version, &self.names)?)?;
        let settings = Settings { registry_topic: self.names.registry.clone(), ..Settings::default() };
        self.apps.push(Runtime::new(self.log.clone(), settings).start(&app)?);
        Ok(())
    }

    fn start_reader(&mut self, screen: &Screen) -> Result<(), DataError> {
        let (log, names, screen) = (self.log.clone(), self.names.clone(), screen.clone());
        let stopped = Arc::clone(&self.stopped);
        let body = move || reader::follow(&log, &names, || stopped.load(Ordering::Relaxed), |line| screen.line(line));
        self.reader = Some(std::thread::Builder::new().name("reader".into()).spawn(body)?);
        Ok(())
    }

    fn check(&mut self) -> Result<(), DataError> {
        if let Some(index) = self.apps.iter().position(|app| app.status().failed) {
            self.apps.remove(index).stop(STOP_DEADLINE)?;
        }
        match self.reader.take_if(|reader| reader.is_finished()) {
            Some(reader) => joined(reader),
            None => Ok(()),
        }
    }

    fn stop(self: Box<Self>) -> Result<(), DataError> {
        self.stopped.store(true, Ordering::Relaxed);
        self.reader.map_or(Ok(()), joined)?;
        self.apps.into_iter().try_for_each(|app| Ok(app.stop(STOP_DEADLINE)?))
    }
}

fn joined(thread: JoinHandle<Result<(), DataError>>) -> Result<(), DataError> {
    thread.join().map_err(|_| "the reader panicked")?
}

/// A process of its own for each version and for the reader.
pub struct Processes {
    brokers: String,
    run: String,
    /// State directories and logs.
    directory: PathBuf,
    apps: Vec<Process>,
    reader: Option<Process>,
}

struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Processes {
    /// On that Kafka, with state below `directory`.
    pub fn new(brokers: &str, run: &str, directory: &Path) -> Self {
        let (brokers, run, directory) = (brokers.to_owned(), run.to_owned(), directory.to_owned());
        Self { brokers, run, directory, apps: Vec::new(), reader: None }
    }

    fn spawn(&self, name: &str, arguments: &[&str], out: Stdio) -> Result<Process, DataError> {
        let log = self.directory.join(format!("{name}.log"));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).args(["--brokers", &self.brokers, "--run", &self.run]);
        #[cfg(feature = "rocksdb")]
        command.env("KAPPA_STATE_DIR", self.directory.join(format!("state-{name}")));
        let child = command.stdin(Stdio::null()).stdout(out).stderr(File::create(&log)?).spawn()?;
        Ok(Process { name: name.to_owned(), child, log })
    }
}

impl Stage for Processes {
    fn start_app(&mut self, version: Version) -> Result<(), DataError> {
        let app = self.spawn(&version.to_string(), &["app", "--version", &version.to_string()], Stdio::null())?;
        self.apps.push(app);
        Ok(())
    }

    fn start_reader(&mut self, screen: &Screen) -> Result<(), DataError> {
        let mut reader = self.spawn("reader", &["reader"], Stdio::piped())?;
        let lines = reader.child.stdout.take().ok_or("the reader has no output")?;
        let screen = screen.clone();
        // Ends when the reader does.
        std::thread::Builder::new().name("reader".into()).spawn(move || {
            BufReader::new(lines).lines().map_while(Result::ok).for_each(|line| screen.line(line));
        })?;
        self.reader = Some(reader);
        Ok(())
    }

    fn check(&mut self) -> Result<(), DataError> {
        self.apps.iter_mut().chain(&mut self.reader).try_for_each(|process| match process.child.try_wait()? {
            Some(status) => Err(process.ended(&status.to_string())),
            None => Ok(()),
        })
    }

    fn stop(mut self: Box<Self>) -> Result<(), DataError> {
        if let Some(mut reader) = self.reader.take() {
            reader.child.kill()?;
            reader.child.wait()?;
        }
        for process in &self.apps {
            let status = Command::new("kill").args(["-TERM", &process.child.id().to_string()]).status()?;
            if !status.success() {
                return Err(format!("{}: SIGTERM could not be sent", process.name).into());
            }
        }
        let mut apps = std::mem::take(&mut self.apps);
        apps.iter_mut().try_for_each(Process::wait)
    }
}

/// What is left when the demo fails half way: nothing may go on running.
impl Drop for Processes {
    fn drop(&mut self) {
        for process in self.apps.iter_mut().chain(&mut self.reader) {
            let _ = process.child.kill().and_then(|()| process.child.wait());
        }
    }
}

impl Process {
    fn wait(&mut self) -> Result<(), DataError> {
        let until = Instant::now() + STOP_DEADLINE;
        while Instant::now() < until {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.ended(&status.to_string())),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        self.child.kill()?;
        Err(self.ended("killed: it did not stop in time"))
    }

    fn ended(&self, how: &str) -> DataError {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(8).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!("{} ended ({how}); the end of its log {}:\n{}", self.name, self.log.display(), last.join("\n")).into()
    }
}
