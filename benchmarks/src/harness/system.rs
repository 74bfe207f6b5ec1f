//! The systems compared, and one run of one of them.

use super::child;
use super::kafka_streams::KafkaStreams;
use super::{Bench, Cell};
use crate::cluster::{Cluster, ClusterError};
use crate::stats::Cost;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What is measured. The order is that of the turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// Ours.
    Kappa,
    /// The opponent.
    KafkaStreams,
    /// The floor: the bare client passes the cell's bids on.
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

/// One run.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) bench: &'a Bench,
    pub(super) cell: Cell,
    pub(super) system: System,
    /// The application's; all that the run leaves behind begins with it.
    pub(super) id: &'a str,
    pub(super) peer: Option<&'a KafkaStreams>,
}

impl Run<'_> {
    /// The topic the run writes to.
    pub(super) fn output(&self) -> String {
        format!("{}-out", self.id)
    }

    /// Runs the process and takes what it says it cost.
    pub(super) fn execute(&self) -> Result<Cost, String> {
        let directory = self.directory();
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let line = child::last_line(self.command()?, &directory.join("messages.log"), self.bench.deadline)?;
        serde_json::from_str(&line).map_err(|error| format!("the run's result `{line}`: {error}"))
    }

    fn command(&self) -> Result<Command, String> {
        let ours = || std::env::current_exe().map(Command::new).map_err(|error| format!("find this program: {error}"));
        let mut command = match (self.system, self.peer) {
            (System::Kappa, _) => ours()?,
            (System::Pipe, _) => ours()?,
            (System::KafkaStreams, Some(peer)) => peer.command(),
            (System::KafkaStreams, None) => return Err("there is no Kafka Streams here".to_owned()),
        };
        command.arg(if self.system == System::Pipe { "pipe" } else { "run" });
        command.args(["--brokers", &self.bench.brokers, "--app-id", self.id, "--output", &self.output()]);
        command.args(["--format", &self.cell.format.to_string()]);
        command.args(["--commit-ms", &self.bench.commit_ms.to_string()]);
        if self.system != System::Pipe {
            command.args(["--query", &self.cell.query.to_string(), "--stop-at-end"]);
            command.args(["--cache-mb", &self.bench.cache_mb.to_string()]);
            command.arg("--state-dir").arg(self.directory().join("state"));
        }
        Ok(command)
    }

    /// Removes topics, groups and state of the run.
    pub(super) fn clean(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        let directory = self.directory();
        if let Err(error) = fs::remove_dir_all(&directory) {
            eprintln!("{}: {error}", directory.display());
        }
        let topics = cluster.topics(|topic| topic.starts_with(self.id))?;
        cluster.delete(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
        // kappa's group carries the application's version.
        [self.id.to_owned(), format!("{}-v1", self.id)].iter().try_for_each(|group| cluster.delete_group(group))
    }

    fn directory(&self) -> PathBuf {
        self.bench.scratch.join(self.id)
    }
}
