//! Kafka Streams and Kafka's Java clients for tests that compare with them: jars from Maven, small programs compiled with `javac`.
//!
//! ```text
//! <cache>/kappa/kafka-streams/4.3.0/libs/*.jar          Kafka Streams and what it needs
//! <cache>/kappa/kafka-streams/4.3.0/classes/<hash>/     a program, compiled; the hash is that of its sources
//! ```

use crate::cache::{cache_dir, fetch_with_maven, lock_folder};
use crate::{DEFAULT_VERSION, Error};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A compiled Java program with Kafka Streams beside it.
#[derive(Debug, Clone)]
pub struct Program {
    class_path: String,
}

/// The major version of the `javac` on the path, if there is one.
pub fn javac_major() -> Option<u32> {
    let output = Command::new("javac").arg("-version").output().ok()?;
    // Java 8 answers on standard error.
    let text = [output.stdout, output.stderr].concat();
    parse_javac_major(&String::from_utf8_lossy(&text))
}

/// `javac 17.0.15` is 17, `javac 1.8.0_392` is 8.
fn parse_javac_major(text: &str) -> Option<u32> {
    let version = text.trim().strip_prefix("javac ")?;
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    match parts.next()?.parse().ok()? {
        1 => parts.next()?.parse().ok(),
        major => Some(major),
    }
}

impl Program {
    /// Compiles all `.java` files of a folder, unless the same sources were compiled before. Several processes may ask at once:
    /// one fetches and compiles, the others wait.
    ///
    /// # Errors
    /// Java 17's compiler is missing, Maven is and the jars were not fetched before, or the sources do not compile.
    pub fn compile(sources: &Path) -> Result<Program, Error> {
        if javac_major().is_none_or(|major| major < 17) {
            return Err(Error::new("it needs `javac` 17 or newer: apt-get install -y openjdk-17-jdk-headless"));
        }
        let dir = cache_dir()?.join("kafka-streams").join(DEFAULT_VERSION);
        let lock = lock_folder(&dir)?;
        let libs = dir.join("libs");
        if !libs.is_dir() {
            eprintln!("fetching Kafka Streams {DEFAULT_VERSION} with Maven (about 90 MB, once) ...");
            let what = format!("Kafka Streams {DEFAULT_VERSION}");
            let artifacts =
                [("org.apache.kafka", "kafka-streams", DEFAULT_VERSION), ("org.slf4j", "slf4j-simple", "1.7.36")];
            fetch_with_maven(&dir, &what, &artifacts, &libs)?;
        }
        let files = java_files(sources)?;
        let classes = dir.join("classes").join(hash_of(&files)?);
        let libs = format!("{}/*", libs.display());
        if !classes.is_dir() {
            compile(&files, &libs, &classes)?;
        }
        drop(lock);
        Ok(Program { class_path: format!("{}:{libs}", classes.display()) })
    }

    /// A command that runs `class` in a JVM that starts quickly; arguments come behind.
    pub fn command(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx256m"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .args(["-cp", &self.class_path, class]);
        command
    }
}

fn java_files(sources: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(sources).map_err(|error| Error::io(format!("reading {}", sources.display()), &error))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "java"));
    files.sort();
    Ok(files)
}

fn hash_of(files: &[PathBuf]) -> Result<String, Error> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        let text = fs::read(file).map_err(|error| Error::io(format!("reading {}", file.display()), &error))?;
        (file.file_name(), text).hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn compile(files: &[PathBuf], libs: &str, classes: &Path) -> Result<(), Error> {
    let staged = classes.with_extension("part");
    let _ = fs::remove_dir_all(&staged);
    fs::create_dir_all(&staged).map_err(|error| Error::io(format!("creating {}", staged.display()), &error))?;
    let mut javac = Command::new("javac");
    javac.args(["-Xlint:all", "-Werror", "--release", "17", "-cp", libs, "-d"]).arg(&staged).args(files);
    let output = javac.output().map_err(|error| Error::io("running javac", &error))?;
    if !output.status.success() {
        return Err(Error::new(format!("javac failed:\n{}", String::from_utf8_lossy(&output.stderr))));
    }
    fs::rename(&staged, classes).map_err(|error| Error::io("keeping the compiled classes", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javac_versions_are_read() {
        assert_eq!(parse_javac_major("javac 17.0.15\n"), Some(17));
        assert_eq!(parse_javac_major("javac 1.8.0_392"), Some(8));
        assert_eq!(parse_javac_major("bash: javac: command not found"), None);
    }
}
