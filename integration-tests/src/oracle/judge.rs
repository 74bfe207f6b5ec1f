//! Kafka Streams in a child process: scenarios in, outcomes out, one JVM for all of them.

use super::{Outcome, Scenario};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::{env, fs, io};

/// Where the judge's sources are.
pub const SOURCES: &str = "KAPPA_ORACLE_DIR";

/// What keeps the judge from working, with the mend.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A running judge.
#[derive(Debug)]
pub struct Judge {
    jar: PathBuf,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Judge {
    /// Builds the judge where that is needed, and starts it.
    pub fn start() -> Result<Self, Failure> {
        let jar = built()?;
        let mut command = java(&jar);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| {
            format!("java can't be run ({error}): install a JDK 17 or later and put it on the PATH")
        })?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = BufReader::new(output.ok_or("java has no standard output")?);
        Ok(Self { jar, child, input, output })
    }

    /// What Kafka Streams makes of each.
    pub fn run(&mut self, scenarios: &[Scenario]) -> Result<Vec<Outcome>, Failure> {
        let mut lines = Vec::new();
        for scenario in scenarios {
            serde_json::to_writer(&mut lines, scenario)?;
            lines.push(b'\n');
        }
        let (input, output) = (self.input.as_mut().ok_or("the judge was stopped")?, &mut self.output);
        // Written beside the reading: neither pipe can fill up while the other waits.
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || input.write_all(&lines).and_then(|()| input.flush()));
            let outcomes = read(output, scenarios);
            let written = writer.join().map_err(|_| "the writer to the judge panicked")?;
            let outcomes = outcomes?;
            written?;
            Ok(outcomes)
        })
    }

    /// Scenarios of the judge's own making.
    pub fn generate(&self, seed: u64, count: usize, topology: &str) -> Result<Vec<Scenario>, Failure> {
        let (seed, count) = (seed.to_string(), count.to_string());
        let text = output(java(&self.jar).args(["--generate", &seed, &count, "--topology", topology]))?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// The topologies it knows.
    pub fn topologies(&self) -> Result<Vec<String>, Failure> {
        Ok(output(java(&self.jar).arg("--topologies"))?.lines().map(str::to_owned).collect())
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

fn read(output: &mut BufReader<ChildStdout>, scenarios: &[Scenario]) -> Result<Vec<Outcome>, Failure> {
    let mut outcomes = Vec::with_capacity(scenarios.len());
    for scenario in scenarios {
        let mut line = String::new();
        if output.read_line(&mut line)? == 0 {
            let text = serde_json::to_string(scenario)?;
            return Err(format!("the judge ended at this scenario, see its message above: {text}").into());
        }
        let outcome: Outcome = serde_json::from_str(&line)?;
        if outcome.id != scenario.id {
            return Err(format!("the judge answered {} where {} was asked", outcome.id, scenario.id).into());
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn java(jar: &Path) -> Command {
    let mut command = Command::new("java");
    // The compiler and collector that start fastest; its state directory in memory where there is such a place.
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    if Path::new("/dev/shm").is_dir() {
        command.arg("-Djava.io.tmpdir=/dev/shm");
    }
    command.arg("-jar").arg(jar);
    command
}

fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{command:?} failed ({})", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The judge's jar, built anew where its sources have changed.
fn built() -> Result<PathBuf, Failure> {
    let sources = sources()?;
    let copy = target().join("oracle");
    let changed = copy_tree(&sources, &copy)?;
    let jar = copy.join("target").join("oracle.jar");
    if jar.is_file() && !changed {
        return Ok(jar);
    }
    eprintln!("building the judge in {}", copy.display());
    let status = Command::new("mvn")
        .args(["-q", "package"])
        .current_dir(&copy)
        .status()
        .map_err(|error| format!("mvn can't be run ({error}): install Maven and put it on the PATH"))?;
    match status.success() {
        true => Ok(jar),
        false => Err(format!("`mvn -q package` failed in {} ({status})", copy.display()).into()),
    }
}

fn sources() -> Result<PathBuf, Failure> {
    let beside = root().join("..").join("shared").join("oracle");
    let sources = env::var_os(SOURCES).filter(|dir| !dir.is_empty()).map_or(beside, PathBuf::from);
    match sources.join("pom.xml").is_file() {
        true => Ok(sources),
        false => Err(format!(
            "the judge's sources are not in {}: set {SOURCES} to the directory that holds its pom.xml, or check the \
             recorded vectors instead, which needs no Java: cargo test -p kappa-integration-tests --test vectors",
            sources.display()
        )
        .into()),
    }
}

/// The repository's root.
pub(super) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Copies what differs, and says whether anything did. The sources may be read-only, and Maven writes beside them.
fn copy_tree(from: &Path, to: &Path) -> io::Result<bool> {
    fs::create_dir_all(to)?;
    let mut changed = false;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "target" {
                changed |= copy_tree(&from, &to)?;
            }
            continue;
        }
        let bytes = fs::read(&from)?;
        if fs::read(&to).ok().as_ref() != Some(&bytes) {
            // A copy is writable where the source is not.
            let _ = fs::remove_file(&to);
            fs::write(&to, bytes)?;
            changed = true;
        }
    }
    Ok(changed)
}
