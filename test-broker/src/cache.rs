//! The cache folder: jars of each Kafka version, and what a formatted log directory begins with.

use crate::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where everything that may be thrown away is kept: `$XDG_CACHE_HOME/kappa`, else `~/.cache/kappa`.
pub fn cache_dir() -> Result<PathBuf, Error> {
    let base = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if Path::new(&cache).is_absolute() => PathBuf::from(cache),
        (_, Some(home)) => PathBuf::from(home).join(".cache"),
        _ => {
            return Err(Error::new(
                "neither XDG_CACHE_HOME nor HOME is set: set one, so that brokers have a cache folder",
            ));
        }
    };
    Ok(base.join("kappa"))
}

/// The major version of the `java` on the path, if there is one.
pub fn java_major() -> Option<u32> {
    let output = Command::new("java").arg("-version").output().ok()?;
    parse_java_major(&String::from_utf8_lossy(&output.stderr))
}

/// `openjdk version "17.0.15" 2025-04-15` is 17, `java version "1.8.0_392"` is 8.
fn parse_java_major(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    let mut parts = quoted.split(|c: char| !c.is_ascii_digit());
    match parts.next()?.parse().ok()? {
        1 => parts.next()?.parse().ok(),
        major => Some(major),
    }
}

/// Whether Maven is on the path.
pub fn maven_present() -> bool {
    Command::new("mvn").arg("-v").output().is_ok_and(|output| output.status.success())
}

/// One Kafka version in the cache folder.
///
/// ```text
/// <cache>/kappa/kafka/4.3.0/libs/*.jar            the broker, as Maven resolves it
/// <cache>/kappa/kafka/4.3.0/bootstrap.checkpoint  the first metadata records of a new cluster
/// ```
#[derive(Debug, Clone)]
pub(crate) struct Distribution {
    version: String,
    dir: PathBuf,
}

impl Distribution {
    /// The version, fetched and ready to start. Several processes may ask at once: one fetches, the others wait.
    pub(crate) fn fetch(version: &str) -> Result<Distribution, Error> {
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
            return Err(Error::new(format!(
                "`{version}` is no Kafka version: name one such as {}",
                crate::DEFAULT_VERSION
            )));
        }
        let dir = cache_dir()?.join("kafka").join(version);
        let lock = lock_folder(&dir)?;
        let distribution = Distribution { version: version.to_owned(), dir };
        check_java()?;
        if !distribution.libs().is_dir() {
            distribution.fetch_jars()?;
        }
        if !distribution.checkpoint().is_file() {
            distribution.format_once()?;
        }
        drop(lock);
        Ok(distribution)
    }

    /// The class path: all jars of the folder.
    pub(crate) fn class_path(&self) -> String {
        format!("{}/*", self.libs().display())
    }

    /// What a new log directory holds besides its `meta.properties`.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.dir.join("bootstrap.checkpoint")
    }

    fn libs(&self) -> PathBuf {
        self.dir.join("libs")
    }

    fn fetch_jars(&self) -> Result<(), Error> {
        eprintln!("fetching Kafka {} with Maven (about 45 MB, once) ...", self.version);
        let what = format!("Kafka {}", self.version);
        // Both generations log through slf4j 1.7; its simple binding needs no configuration file.
        let artifacts =
            [("org.apache.kafka", "kafka_2.13", self.version.as_str()), ("org.slf4j", "slf4j-simple", "1.7.36")];
        fetch_with_maven(&self.dir, &what, &artifacts, &self.libs())
    }

    /// Runs Kafka's own format tool once a version. Its only lasting result is `bootstrap.checkpoint`, which is the same for every
    /// cluster of that version; copying it saves each new cluster the two seconds of a Java start.
    fn format_once(&self) -> Result<(), Error> {
        let staged = self.dir.join("format.part");
        let _ = fs::remove_dir_all(&staged);
        fs::create_dir_all(&staged).map_err(|error| Error::io(format!("creating {}", staged.display()), &error))?;
        let properties = staged.join("node.properties");
        let data = staged.join("data");
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:19093\n\
             listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nlog.dirs={}\n",
            data.display()
        );
        fs::write(&properties, text).map_err(|error| Error::io("writing the format tool's properties", &error))?;
        let output = Command::new("java")
            .args(["-XX:TieredStopAtLevel=1", "-cp", &self.class_path(), "kafka.tools.StorageTool", "format"])
            .args(["-t", crate::config::CLUSTER_ID, "-c"])
            .arg(&properties)
            .output()
            .map_err(|error| Error::io("running Kafka's format tool", &error))?;
        let made = data.join("bootstrap.checkpoint");
        if !output.status.success() || !made.is_file() {
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            return Err(Error::new(format!("Kafka {}'s format tool failed:\n{said}", self.version)));
        }
        fs::rename(&made, self.checkpoint()).map_err(|error| Error::io("keeping the formatted metadata", &error))?;
        let _ = fs::remove_dir_all(&staged);
        Ok(())
    }
}

/// Creates a folder of the cache and takes its lock, which goes with the file that is returned.
pub(crate) fn lock_folder(dir: &Path) -> Result<File, Error> {
    fs::create_dir_all(dir).map_err(|error| Error::io(format!("creating {}", dir.display()), &error))?;
    let path = dir.join("lock");
    File::create(&path)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| Error::io(format!("locking {}", path.display()), &error))
}

fn check_java() -> Result<(), Error> {
    match java_major() {
        Some(17..) => Ok(()),
        Some(older) => Err(Error::new(format!(
            "Kafka needs Java 17 or newer, `java` is version {older}: apt-get install -y openjdk-17-jre-headless"
        ))),
        None => Err(Error::new(
            "Kafka needs Java 17 or newer and `java` is not on the path: apt-get install -y openjdk-17-jre-headless",
        )),
    }
}

/// Fetches artifacts (group, name, version) and all that they need into a folder inside `dir`.
pub(crate) fn fetch_with_maven(
    dir: &Path,
    what: &str,
    artifacts: &[(&str, &str, &str)],
    into: &Path,
) -> Result<(), Error> {
    if !maven_present() {
        return Err(Error::new(
            "Maven is needed to fetch Kafka and `mvn` is not on the path: apt-get install -y maven (or your system's package)",
        ));
    }
    let staged = dir.join("libs.part");
    let _ = fs::remove_dir_all(&staged);
    let pom = dir.join("pom.xml");
    fs::write(&pom, pom_xml(artifacts)).map_err(|error| Error::io(format!("writing {}", pom.display()), &error))?;
    let output = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs.part"])
        .current_dir(dir)
        .output()
        .map_err(|error| Error::io("running mvn", &error))?;
    if !output.status.success() || !staged.is_dir() {
        let said = String::from_utf8_lossy(&output.stdout);
        return Err(Error::new(format!("Maven could not fetch {what}: is the version right?\n{said}")));
    }
    // The rename is last: a folder named `libs` is complete.
    fs::rename(&staged, into).map_err(|error| Error::io("keeping the fetched jars", &error))
}

fn pom_xml(artifacts: &[(&str, &str, &str)]) -> String {
    let dependency = |(group, name, version): &(&str, &str, &str)| {
        format!(
            "    <dependency>\n      <groupId>{group}</groupId>\n      <artifactId>{name}</artifactId>\n      \
             <version>{version}</version>\n    </dependency>\n"
        )
    };
    let dependencies: String = artifacts.iter().map(dependency).collect();
    format!(
        "<project>\n  <modelVersion>4.0.0</modelVersion>\n  <groupId>kappa</groupId>\n  <artifactId>test-broker</artifactId>\n  \
         <version>1</version>\n  <dependencies>\n{dependencies}  </dependencies>\n</project>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_versions_are_read() {
        assert_eq!(parse_java_major("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK ..."), Some(17));
        assert_eq!(parse_java_major("openjdk version \"21\" 2023-09-19"), Some(21));
        assert_eq!(parse_java_major("java version \"1.8.0_392\""), Some(8));
        assert_eq!(parse_java_major("bash: java: command not found"), None);
    }

    #[test]
    fn a_version_that_is_a_path_is_refused() {
        assert!(Distribution::fetch("../4.3.0").is_err());
        assert!(Distribution::fetch("").is_err());
    }
}
