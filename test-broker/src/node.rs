//! One node of a cluster: its folder and its process.
//!
//! ```text
//! <cluster>/node-1/node.properties   written once; a restart uses it again, so ports stay
//! <cluster>/node-1/data/             the log directory
//! <cluster>/node-1/pid               process id of the Java process
//! <cluster>/node-1/server.log        the broker's log
//! <cluster>/node-1/console.log       what Java itself prints
//! ```
//!
//! **Invariants:** the process id in `pid` counts only while that process has this node's `node.properties` in its command line.

use crate::cache::Distribution;
use crate::config::{self, Ports};
use crate::signal::{self, Signal};
use crate::wait::wait_until;
use crate::{Error, probe};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Starts the Java process and ends it with SIGKILL when its own standard input closes, which it does when the process that
/// started it goes away, in whatever manner.
const GUARD: &str = r#"pid_file=$1; shift; "$@" </dev/null & echo $! >"$pid_file"; read -r _; kill -KILL $!"#;

/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Node {
    dir: PathBuf,
    ports: Ports,
    /// The shell that guards the Java process; `None` for a node that outlives us.
    guard: Option<Child>,
}

impl Node {
    /// A new node with a formatted, empty log directory. Not started yet.
    pub(crate) fn create(
        dir: PathBuf,
        id: usize,
        cluster: &[Ports],
        properties: &[&str],
        kafka: &Distribution,
    ) -> Result<Node, Error> {
        let data = dir.join("data");
        let make = || {
            fs::create_dir_all(&data)?;
            fs::write(data.join("meta.properties"), config::meta_properties(id))?;
            fs::copy(kafka.checkpoint(), data.join("bootstrap.checkpoint"))?;
            fs::write(dir.join("node.properties"), config::node_properties(id, cluster, &data, properties))
        };
        make().map_err(|error| Error::io(format!("preparing {}", dir.display()), &error))?;
        Ok(Node { dir, ports: cluster[id - 1], guard: None })
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.client)
    }

    pub(crate) fn sasl_address(&self) -> Option<String> {
        self.ports.sasl.map(|port| format!("127.0.0.1:{port}"))
    }

    /// Starts the process; it is not ready yet. A detached one outlives this process.
    pub(crate) fn spawn(&mut self, kafka: &Distribution, heap: &Heap, detached: bool) -> Result<(), Error> {
        let java = self.java_arguments(kafka, heap);
        let _ = fs::remove_file(self.pid_path());
        let mut command = if detached {
            let mut command = Command::new("java");
            command.args(&java).stdin(Stdio::null());
            command
        } else {
            let mut command = Command::new("sh");
            command
                .args(["-c", GUARD, "kappa-test-broker"])
                .arg(self.pid_path())
                .arg("java")
                .args(&java)
                .stdin(Stdio::piped());
            command
        };
        let doing = |error: &std::io::Error| Error::io(format!("starting the broker in {}", self.dir.display()), error);
        let console =
            File::options().create(true).append(true).open(self.dir.join("console.log")).map_err(|e| doing(&e))?;
        let console_too = console.try_clone().map_err(|e| doing(&e))?;
        // A process group of its own: ctrl-C at the terminal is for whoever started us, and it decides when brokers end.
        let child = command.stdout(console).stderr(console_too).process_group(0).spawn().map_err(|e| doing(&e))?;
        if detached {
            fs::write(self.pid_path(), format!("{}\n", child.id())).map_err(|e| doing(&e))?;
        } else {
            self.guard = Some(child);
        }
        Ok(())
    }

    fn java_arguments(&self, kafka: &Distribution, heap: &Heap) -> Vec<String> {
        let log = |key: &str, value: &str| format!("-Dorg.slf4j.simpleLogger.{key}={value}");
        vec![
            format!("-Xms{}", heap.initial),
            format!("-Xmx{}", heap.max),
            // One collector thread: the broker shares the machine with what is tested.
            "-XX:+UseSerialGC".to_owned(),
            "-Djava.awt.headless=true".to_owned(),
            log("logFile", &self.log_path().display().to_string()),
            log("showDateTime", "true"),
            log("dateTimeFormat", "HH:mm:ss.SSS"),
            log("showShortLogName", "true"),
            "-cp".to_owned(),
            kafka.class_path(),
            "kafka.Kafka".to_owned(),
            self.properties_path().display().to_string(),
        ]
    }

    /// Whether the node itself answers with the metadata of `nodes` nodes or more.
    pub(crate) fn is_ready(&self, nodes: usize) -> bool {
        probe::metadata(&self.address(), Duration::from_secs(2)).is_ok_and(|found| found.len() >= nodes)
    }

    /// The process, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        running_pid(&self.dir)
    }

    pub(crate) fn signal(&self, signal: Signal) -> bool {
        self.pid().is_some_and(|pid| signal::send(pid, signal))
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        kill_in(&self.dir)?;
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
        Ok(())
    }

    /// Everything the broker has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The last lines of its logs, for an error message.
    pub(crate) fn last_words(&self) -> String {
        let tail = |path: PathBuf| {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("--- {} ---\n{}\n", path.display(), lines[lines.len().saturating_sub(15)..].join("\n"))
        };
        tail(self.dir.join("console.log")) + &tail(self.log_path())
    }

    fn pid_path(&self) -> PathBuf {
        self.dir.join("pid")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    fn properties_path(&self) -> PathBuf {
        self.dir.join("node.properties")
    }
}

/// The process of the node in this folder, if it runs.
pub(crate) fn running_pid(dir: &Path) -> Option<u32> {
    let pid = fs::read_to_string(dir.join("pid")).ok()?.trim().parse().ok()?;
    signal::is_running(pid, &dir.join("node.properties").display().to_string()).then_some(pid)
}

/// Kills the process of the node in this folder, if it runs, and waits until it is gone.
pub(crate) fn kill_in(dir: &Path) -> Result<(), Error> {
    if let Some(pid) = running_pid(dir) {
        signal::send(pid, Signal::Kill);
        if !wait_until(GONE, || running_pid(dir).is_none()) {
            return Err(Error::new(format!("the broker with process id {pid} does not end, not even by SIGKILL")));
        }
    }
    Ok(())
}

/// The Java heap of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heap {
    initial: &'static str,
    max: &'static str,
}

impl Heap {
    pub(crate) fn for_cluster_of(nodes: usize) -> Heap {
        if nodes == 1 { Heap { initial: "256m", max: "1g" } } else { Heap { initial: "128m", max: "512m" } }
    }
}
