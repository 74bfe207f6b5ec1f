//! The cluster that tests, benchmarks and the demo run on: a given one, a started one, a container, or none.

use crate::{Failure, run, setup};
use kappa_test_broker::{Broker, Options, harness};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Which container is to be used; Kafka if it only matters that there is one.
const CONTAINER: &str = "KAPPA_TEST_CONTAINER";

/// A cluster for as long as this value lives.
#[derive(Debug)]
pub(crate) enum Cluster {
    /// Named by the environment; not ours to end.
    Given(String),
    /// Started here.
    Started(Broker, String),
    /// A process that holds a container, and the container's address.
    Container(Child, String),
}

impl Cluster {
    /// The first of these that is to be had; an error says why none is.
    pub(crate) fn find() -> Result<Cluster, Failure> {
        if let Some(brokers) = run::variable(harness::BROKERS) {
            return Ok(Cluster::Given(brokers));
        }
        if run::variable(CONTAINER).is_some() {
            return container();
        }
        match start() {
            Ok(cluster) => Ok(cluster),
            Err(why) if docker_answers() => {
                eprintln!("no broker of our own ({why}); a Docker engine answers, so a container is used");
                container()
            }
            Err(why) => Err(format!("{why}\n(and no Docker engine answers)").into()),
        }
    }

    /// Tells a command, through its environment, where the cluster is.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.env(harness::BROKERS, self.brokers());
        if let Cluster::Started(broker, _) = self
            && let Some(sasl) = broker.sasl_bootstrap()
        {
            command.env(harness::SASL_BROKERS, sasl);
        }
    }

    pub(crate) fn brokers(&self) -> String {
        match self {
            Cluster::Given(brokers) | Cluster::Container(_, brokers) => brokers.clone(),
            Cluster::Started(broker, _) => broker.bootstrap(),
        }
    }

    /// What it is, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Cluster::Given(brokers) => format!("the cluster of {} ({brokers})", harness::BROKERS),
            Cluster::Started(_, version) => format!("Kafka {version} on this machine"),
            Cluster::Container(_, brokers) => format!("a container ({brokers})"),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Cluster::Container(holder, _) = self {
            // The holder removes its container when its input closes.
            drop(holder.stdin.take());
            let _ = holder.wait();
        }
    }
}

/// Starts a broker on this machine, or says why that cannot be.
pub(crate) fn start() -> Result<Cluster, Failure> {
    setup::for_broker()?;
    let options = Options { sasl: true, ..Options::default() };
    let start = std::time::Instant::now();
    let broker = Broker::start(&options)?;
    eprintln!("Kafka {} is ready at {} after {}", options.version, broker.bootstrap(), run::seconds(start.elapsed()));
    Ok(Cluster::Started(broker, options.version))
}

fn docker_answers() -> bool {
    let mut command = Command::new("docker");
    command.args(["version", "--format", "{{.Server.Version}}"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn container() -> Result<Cluster, Failure> {
    setup::for_first_look()?;
    run::step(&mut container_cargo("build"))?;
    let mut holder = container_cargo("run").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let output = holder.stdout.take().ok_or("the container's process has no output")?;
    let prefix = format!("{}=", harness::BROKERS);
    let line = BufReader::new(output).lines().map_while(Result::ok).find(|line| line.starts_with(&prefix));
    match line {
        Some(line) => Ok(Cluster::Container(holder, line[prefix.len()..].to_owned())),
        None => {
            let status = holder.wait()?;
            Err(format!("no container came up ({status}): does the Docker engine answer, and can it pull the image?")
                .into())
        }
    }
}

/// The container's holder is a workspace of its own; its manifest says why.
pub(crate) fn container_cargo(subcommand: &str) -> Command {
    run::cargo([subcommand, "--quiet", "--manifest-path", "integration-tests/containers/Cargo.toml"])
}
