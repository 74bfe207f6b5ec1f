//! The systems compared, and one run of one of them.

use super::child::{self, Application};
use super::row::Outcome;
use super::{Context, machine};
use crate::cluster::ClusterError;
use crate::digest::Digest;
use crate::expected::Query;
use crate::nexmark::Format;
use crate::reading;
use crate::stats::Cost;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is measured. The order is that of the turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// Ours.
    Kappa,
    /// The opponent.
    KafkaStreams,
    /// The bare client passes the cell's bids on.
    Pipe,
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kappa => "kappa",
            Self::KafkaStreams => "kafka-streams",
            Self::Pipe => "pipe",
        })
    }
}

/// One application: what it runs, on what, and all that it leaves behind.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) system: System,
    pub(super) query: Query,
    pub(super) format: Format,
    /// The topic with the bids.
    pub(super) input: String,
    /// Arguments that not every run has.
    pub(super) further: Vec<String>,
    pub(super) commit_ms: u64,
    /// The application's; all that the run leaves behind begins with it.
    id: String,
}

impl<'a> Run<'a> {
    /// A run that has left nothing behind yet.
    pub(super) fn new(context: &'a Context<'a>, system: System, query: Query, format: Format, input: &str) -> Self {
        let id = format!("bench-{system}-{query}-{format}-{}", unique());
        let commit_ms = context.bench.commit_ms;
        Self { context, system, query, format, input: input.to_owned(), further: Vec::new(), commit_ms, id }
    }

    /// With these arguments as well.
    pub(super) fn with(mut self, arguments: &[&str]) -> Self {
        self.further.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// A topic of the run's own for live bids.
    pub(super) fn live_input(&self) -> String {
        format!("{}-in", self.id)
    }

    /// Starts a process of the application that runs until told to end, with its state in a directory of this name.
    pub(super) fn start(&self, state: &str, arguments: &[&str]) -> Result<Application, String> {
        let directory = self.directory()?;
        let mut command = self.command("run")?;
        command.args(arguments).arg("--state-dir").arg(directory.join(state));
        Application::start(command, &directory.join(format!("messages-{state}.log")))
    }

    /// The topic the run writes to.
    pub(super) fn output(&self) -> String {
        format!("{}-out", self.id)
    }

    /// Runs over all input: the output topic is made, the process run, its output digested and compared with
    /// `expected`, and everything removed.
    pub(super) fn measure(&self, partitions: i32, expected: &Digest) -> Outcome {
        let outcome = self.to_the_end(partitions, expected);
        self.cleaned(outcome)
    }

    /// As [`measure`](Self::measure), but what the run leaves behind stays.
    pub(super) fn to_the_end(&self, partitions: i32, expected: &Digest) -> Outcome {
        let load_average = machine::load_average();
        let result = (|| {
            self.create_output(partitions)?;
            let cost = self.execute(if self.system == System::Pipe { "pipe" } else { "run" }, &["--stop-at-end"])?;
            Ok::<_, String>((cost, self.digest()?))
        })();
        match result {
            Ok((cost, digest)) => {
                let failure = (*expected != digest).then(|| {
                    format!("wrong output: digest {digest} of {} records, expected {expected}", digest.count())
                });
                Outcome { cost: Some(cost), digest: Some(digest.to_string()), failure, load_average }
            }
            Err(why) => Outcome::failed(why, load_average),
        }
    }

    /// Removes what the run left behind; where that fails, the run failed.
    pub(super) fn cleaned(&self, mut outcome: Outcome) -> Outcome {
        if let Err(error) = self.clean() {
            eprintln!("{} left something behind: {error}", self.id);
            outcome.failure.get_or_insert(format!("could not clean up: {error}"));
        }
        outcome
    }

    /// Makes the output topic.
    pub(super) fn create_output(&self, partitions: i32) -> Result<(), String> {
        self.context.cluster.create(&self.output(), partitions).map_err(|error| error.to_string())
    }

    /// The digest of what a read_committed reader sees of the output.
    pub(super) fn digest(&self) -> Result<Digest, String> {
        let mode = if self.system == System::Pipe { Query::Q0.mode() } else { self.query.mode() };
        let read = reading::digest(self.context.cluster, &self.output(), mode);
        read.map(|digester| digester.finish()).map_err(|error| error.to_string())
    }

    /// Runs a process of the application to its end and takes what it says it cost.
    pub(super) fn execute(&self, what: &str, arguments: &[&str]) -> Result<Cost, String> {
        let directory = self.directory()?;
        let mut command = self.command(what)?;
        if self.system != System::Pipe {
            command.args(arguments).arg("--state-dir").arg(self.state_dir());
        }
        let line = child::last_line(command, &directory.join("messages.log"), self.context.bench.deadline)?;
        serde_json::from_str(&line).map_err(|error| format!("the run's result `{line}`: {error}"))
    }

    /// A command of the system, with all arguments but the state directory.
    pub(super) fn command(&self, what: &str) -> Result<Command, String> {
        let bench = self.context.bench;
        let mut command = match (self.system, &self.context.peer) {
            (System::Kappa | System::Pipe, _) => ours()?,
            (System::KafkaStreams, Some(peer)) => peer.command(),
            (System::KafkaStreams, None) => return Err("there is no Kafka Streams here".to_owned()),
        };
        command.arg(what);
        command.args(["--brokers", &bench.brokers, "--app-id", &self.id, "--output", &self.output()]);
        command.args(["--format", &self.format.to_string(), "--input", &self.input]);
        command.args(["--commit-ms", &self.commit_ms.to_string()]);
        if self.system != System::Pipe {
            command.args(["--query", &self.query.to_string(), "--cache-mb", &bench.cache_mb.to_string()]);
        }
        command.args(&self.further);
        Ok(command)
    }

    /// The process's messages and state go below this; it is there.
    pub(super) fn directory(&self) -> Result<PathBuf, String> {
        let directory = self.context.bench.scratch.join(&self.id);
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(directory)
    }

    /// Where the state of the application's first process is.
    pub(super) fn state_dir(&self) -> PathBuf {
        self.context.bench.scratch.join(&self.id).join("state")
    }

    /// The consumer group; kappa's carries the application's version.
    pub(super) fn group(&self) -> String {
        if self.system == System::Kappa { format!("{}-v1", self.id) } else { self.id.clone() }
    }

    /// Removes topics, groups and state of the run.
    pub(super) fn clean(&self) -> Result<(), ClusterError> {
        let directory = self.context.bench.scratch.join(&self.id);
        if let Err(error) = fs::remove_dir_all(&directory)
            && directory.exists()
        {
            eprintln!("{}: {error}", directory.display());
        }
        let cluster = self.context.cluster;
        let topics = cluster.topics(|topic| topic.starts_with(&self.id))?;
        cluster.delete(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
        cluster.delete_group(&self.group())
    }
}

/// This program, without arguments yet.
pub(super) fn ours() -> Result<Command, String> {
    std::env::current_exe().map(Command::new).map_err(|error| format!("find this program: {error}"))
}

/// Different for each run, also of benches one after the other.
fn unique() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis()
}
