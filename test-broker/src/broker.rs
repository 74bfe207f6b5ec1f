//! A cluster of brokers: start, kill, pause, restart, stop.
//!
//! **Invariants:**
//! - The nodes of a [`Broker`] end when it is dropped and also when this process ends without dropping it (SIGKILL included);
//!   only a detached cluster outlives its starter, and [`Broker::stop_detached`] ends that one.
//! - A node keeps its ports and its data over [`Broker::kill_node`] and [`Broker::restart_node`].
//! - A cluster's folder is emptied when a cluster is started in it, never later: logs can be read after the end.

use crate::cache::{Distribution, cache_dir};
use crate::config::Ports;
use crate::node::{self, Heap, Node};
use crate::signal::Signal;
use crate::wait::wait_until;
use crate::{Error, ports};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Beyond this a start is given up. An idle machine needs three seconds for a node.
const READY: Duration = Duration::from_secs(120);

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The Kafka version, as Maven names it.
    pub version: String,
    /// How many nodes, each broker and controller at once.
    pub nodes: usize,
    /// The first node's port; the others follow one by one. Free ports where `None`.
    pub port: Option<u16>,
    /// A SASL_PLAINTEXT listener beside the plain one, with the mechanism PLAIN and one user
    /// ([`SASL_USER`](crate::SASL_USER), [`SASL_PASSWORD`](crate::SASL_PASSWORD)).
    pub sasl: bool,
    /// More broker properties, `name=value`; they win over those that are always set.
    pub properties: Vec<&'static str>,
}

impl Default for Options {
    fn default() -> Options {
        Options { version: crate::harness::kafka_version(), nodes: 1, port: None, sasl: false, properties: Vec::new() }
    }
}

/// A running cluster. Dropping it ends it.
#[derive(Debug)]
pub struct Broker {
    dir: PathBuf,
    kafka: Distribution,
    nodes: Vec<Node>,
    detached: bool,
}

impl Broker {
    /// Starts a cluster and waits until every node knows every other.
    pub fn start(options: &Options) -> Result<Broker, Error> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        let dir = cache_dir()?.join("kafka/run").join(name);
        Broker::start_in(dir, options, false)
    }

    /// Starts the one cluster that goes on after this process has ended. Refused while one runs.
    pub fn start_detached(options: &Options) -> Result<Broker, Error> {
        let dir = Broker::detached_dir()?;
        if let Some(bootstrap) = Broker::detached_bootstrap()? {
            return Err(Error::new(format!(
                "a cluster is up already at {bootstrap}: use it, or end it with `cargo xtask kafka down`"
            )));
        }
        Broker::start_in(dir, options, true)
    }

    /// The address of the detached cluster, if any node of it runs.
    pub fn detached_bootstrap() -> Result<Option<String>, Error> {
        let dir = Broker::detached_dir()?;
        if detached_pids(&dir).is_empty() {
            return Ok(None);
        }
        let path = dir.join("bootstrap");
        let text =
            fs::read_to_string(&path).map_err(|error| Error::io(format!("reading {}", path.display()), &error))?;
        Ok(Some(text.trim().to_owned()))
    }

    /// Process ids of the detached cluster's running nodes, with each node's folder.
    pub fn detached_nodes() -> Result<Vec<(PathBuf, u32)>, Error> {
        Ok(detached_pids(&Broker::detached_dir()?))
    }

    /// Ends the detached cluster and removes its data; its logs stay. Returns how many nodes were running.
    pub fn stop_detached() -> Result<usize, Error> {
        let dir = Broker::detached_dir()?;
        let running = detached_pids(&dir);
        for (node, _) in &running {
            node::kill_in(node)?;
        }
        for node in node_dirs(&dir) {
            let _ = fs::remove_dir_all(node.join("data"));
        }
        Ok(running.len())
    }

    fn detached_dir() -> Result<PathBuf, Error> {
        Ok(cache_dir()?.join("kafka/run/detached"))
    }

    fn start_in(dir: PathBuf, options: &Options, detached: bool) -> Result<Broker, Error> {
        if !(1..=9).contains(&options.nodes) {
            return Err(Error::new(format!("a cluster has 1 to 9 nodes, not {}", options.nodes)));
        }
        let kafka = Distribution::fetch(&options.version)?;
        let cluster = choose_ports(options)?;
        let _ = fs::remove_dir_all(&dir);
        let create = |id| Node::create(dir.join(format!("node-{id}")), id, &cluster, &options.properties, &kafka);
        let nodes: Result<Vec<Node>, Error> = (1..=options.nodes).map(create).collect();
        // From here on a failure drops the broker, which ends what was started.
        let mut broker = Broker { dir, kafka, nodes: nodes?, detached };
        let bootstrap = broker.dir.join("bootstrap");
        fs::write(&bootstrap, broker.bootstrap())
            .map_err(|error| Error::io(format!("writing {}", bootstrap.display()), &error))?;
        if let Err(error) = broker.spawn_all() {
            broker.kill_all();
            return Err(error);
        }
        Ok(broker)
    }

    fn spawn_all(&mut self) -> Result<(), Error> {
        for index in 0..self.nodes.len() {
            self.spawn(index)?;
        }
        let all = self.nodes.len();
        (0..all).try_for_each(|index| self.wait_ready(index, all))
    }

    fn spawn(&mut self, index: usize) -> Result<(), Error> {
        let heap = Heap::for_cluster_of(self.nodes.len());
        self.nodes[index].spawn(&self.kafka, &heap, self.detached)
    }

    fn wait_ready(&self, index: usize, nodes: usize) -> Result<(), Error> {
        let node = &self.nodes[index];
        let mut seen_running = false;
        let mut died = false;
        let ready = wait_until(READY, || {
            let runs = node.pid().is_some();
            died = seen_running && !runs;
            seen_running |= runs;
            died || node.is_ready(nodes)
        });
        if ready && !died {
            return Ok(());
        }
        let what = if died { "ended while it started" } else { "did not become ready" };
        Err(Error::new(format!("the Kafka node at {} {what}\n{}", node.address(), node.last_words())))
    }

    /// The addresses clients begin with, comma-separated.
    pub fn bootstrap(&self) -> String {
        self.nodes.iter().map(Node::address).collect::<Vec<_>>().join(",")
    }

    /// The addresses of the SASL listeners, if the cluster was started with them.
    pub fn sasl_bootstrap(&self) -> Option<String> {
        let addresses: Option<Vec<String>> = self.nodes.iter().map(Node::sasl_address).collect();
        addresses.map(|addresses| addresses.join(","))
    }

    /// How many nodes the cluster has, dead ones included.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The folder with the nodes' logs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lines of the nodes' logs that contain `text`, the nodes one after the other.
    pub fn log_lines(&self, text: &str) -> Vec<String> {
        let logs = self.nodes.iter().map(Node::log);
        logs.flat_map(|log| log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// `kill -9` for node `index` (from 0); returns when the process is gone. No harm if it is gone already.
    pub fn kill_node(&mut self, index: usize) -> Result<(), Error> {
        self.node(index)?.kill()
    }

    /// Freezes node `index`: it keeps its connections and answers nothing.
    pub fn pause_node(&mut self, index: usize) -> Result<(), Error> {
        self.signal(index, Signal::Stop)
    }

    /// Lets a frozen node go on.
    pub fn resume_node(&mut self, index: usize) -> Result<(), Error> {
        self.signal(index, Signal::Continue)
    }

    /// Starts a killed node on its old ports and data; returns when it answers and knows all nodes that run.
    pub fn restart_node(&mut self, index: usize) -> Result<(), Error> {
        self.node(index)?.kill()?;
        self.spawn(index)?;
        let running = self.nodes.iter().filter(|node| node.pid().is_some()).count();
        self.wait_ready(index, running.max(1))
    }

    fn node(&mut self, index: usize) -> Result<&mut Node, Error> {
        let nodes = self.nodes.len();
        self.nodes.get_mut(index).ok_or_else(|| Error::new(format!("there is no node {index} in a cluster of {nodes}")))
    }

    fn signal(&mut self, index: usize, signal: Signal) -> Result<(), Error> {
        if self.node(index)?.signal(signal) {
            return Ok(());
        }
        Err(Error::new(format!("node {index} does not run: start it again with restart_node")))
    }

    fn kill_all(&mut self) {
        for node in &mut self.nodes {
            if let Err(error) = node.kill() {
                eprintln!("{error}");
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.detached {
            return;
        }
        self.kill_all();
        // A test that fails leaves the logs behind to be read; the data never.
        let keep = std::thread::panicking();
        for node in node_dirs(&self.dir) {
            let _ = fs::remove_dir_all(node.join("data"));
        }
        if keep {
            eprintln!("the brokers' logs are in {}", self.dir.display());
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn choose_ports(options: &Options) -> Result<Vec<Ports>, Error> {
    let free = || ports::free().ok_or_else(|| Error::new("there is no free port between 20000 and 32000"));
    (0..options.nodes)
        .map(|index| {
            let client = match options.port {
                Some(first) => fixed_port(first, index)?,
                None => free()?,
            };
            Ok(Ports { client, controller: free()?, sasl: options.sasl.then(free).transpose()? })
        })
        .collect()
}

fn fixed_port(first: u16, index: usize) -> Result<u16, Error> {
    let port = u16::try_from(usize::from(first) + index).map_err(|_| Error::new("the ports would go beyond 65535"))?;
    if !ports::is_free(port) {
        return Err(Error::new(format!("port {port} is taken: choose another with --port, or end what listens there")));
    }
    Ok(port)
}

fn node_dirs(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut dirs: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.join("node.properties").is_file()).collect();
    dirs.sort();
    dirs
}

fn detached_pids(dir: &Path) -> Vec<(PathBuf, u32)> {
    node_dirs(dir).into_iter().filter_map(|node| node::running_pid(&node).map(|pid| (node, pid))).collect()
}
