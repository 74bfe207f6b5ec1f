//! The opponent: found, and built where it is not yet.

use super::child;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// What runs the peer; the heap is as its measurements elsewhere had it.
const JAVA_OPTIONS: &str = "-Xmx1g";
/// Maven may have to fetch everything first.
const BUILD_DEADLINE: Duration = Duration::from_secs(900);

/// The peer, built.
#[derive(Debug)]
pub(super) struct KafkaStreams {
    class_path: String,
    java: String,
}

impl KafkaStreams {
    /// The peer whose sources are in `dir`, or why there is none.
    pub(super) fn find(dir: &Path) -> Result<Self, String> {
        let java = version_of("java", "-version").ok_or("there is no Java; install a JDK 17 or newer")?;
        let jar = dir.join("target/bench.jar");
        if !is_fresh(&jar, dir) {
            build(dir)?;
        }
        let class_path = format!("{}:{}/*", jar.display(), dir.join("target/libs").display());
        Ok(Self { class_path, java })
    }

    /// Java's version, in its own words.
    pub(super) fn java(&self) -> String {
        self.java.clone()
    }

    /// A command of the peer, without arguments yet.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("java");
        command.args([JAVA_OPTIONS, "-cp", &self.class_path, "kappa.bench.Main"]);
        command
    }
}

fn build(dir: &Path) -> Result<(), String> {
    version_of("mvn", "-version").ok_or("there is no Maven to build it with; install maven")?;
    eprintln!("building the Kafka Streams peer");
    let mut maven = Command::new("mvn")
        .args(["-q", "-B", "clean", "package"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .spawn()
        .map_err(|error| format!("run mvn: {error}"))?;
    match child::wait(&mut maven, BUILD_DEADLINE)? {
        Some(status) if status.success() => Ok(()),
        Some(_) => Err(format!("`mvn package` in {} failed", dir.display())),
        None => Err(format!("`mvn package` in {} took longer than {} s", dir.display(), BUILD_DEADLINE.as_secs())),
    }
}

/// The first line that a tool says about its version; `None` when it is not there.
fn version_of(tool: &str, option: &str) -> Option<String> {
    let output = Command::new(tool).arg(option).stdin(Stdio::null()).output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    output.status.success().then(|| String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}

/// Whether the jar is there and newer than all sources.
fn is_fresh(jar: &Path, dir: &Path) -> bool {
    let Some(built) = modified(jar) else { return false };
    let mut waiting: Vec<PathBuf> = vec![dir.join("pom.xml"), dir.join("src")];
    while let Some(path) = waiting.pop() {
        match fs::read_dir(&path) {
            Ok(entries) => waiting.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) if modified(&path).is_some_and(|changed| changed <= built) => {}
            Err(_) => return false,
        }
    }
    true
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}
