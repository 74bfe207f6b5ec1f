//! The counts that are held to be right, in a file under version control.

use super::{GuardError, TOLERANCE};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "\
# Instructions a record of the core step: see src/guard. Written by `cargo xtask guard --bless`, with the compiler, C library and
# optimisation of the machine that did it: bless anew when one of them changes, and in a commit that says why when the code does.
";

/// Instructions a record, by workload.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Baseline(BTreeMap<String, f64>);

/// How a count compares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Within the tolerance.
    Same,
    /// More than the baseline allows.
    Worse,
    /// So much fewer that the baseline should follow.
    Better,
    /// The baseline does not know the workload.
    New,
}

impl Baseline {
    /// Reads the file; one that is not there is empty.
    pub fn read(path: &Path) -> Result<Self, GuardError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|reason| wrong(path, reason)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(wrong(path, error.to_string())),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entry = |line: &str| {
            let (name, count) = line.split_once(' ')?;
            Some((name.to_owned(), count.trim().parse().ok()?))
        };
        lines
            .map(|line| entry(line).ok_or_else(|| format!("`{line}` is not a workload and its count")))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> Result<(), GuardError> {
        let mut text = HEAD.to_owned();
        for (name, count) in &self.0 {
            let _ = writeln!(text, "{name} {count:.1}");
        }
        std::fs::write(path, text).map_err(|error| wrong(path, error.to_string()))
    }

    /// What the baseline has of a workload.
    pub fn of(&self, workload: &str) -> Option<f64> {
        self.0.get(workload).copied()
    }

    /// Sets a workload's count.
    pub fn set(&mut self, workload: &str, count: f64) {
        self.0.insert(workload.to_owned(), count);
    }

    /// How a count compares.
    pub fn judge(&self, workload: &str, count: f64) -> Verdict {
        match self.of(workload) {
            None => Verdict::New,
            Some(base) if count > base * (1.0 + TOLERANCE) => Verdict::Worse,
            Some(base) if count < base * (1.0 - TOLERANCE) => Verdict::Better,
            Some(_) => Verdict::Same,
        }
    }
}

fn wrong(path: &Path, reason: String) -> GuardError {
    GuardError::Baseline { path: path.display().to_string(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_percent_more_are_too_many_and_fewer_are_told() {
        let baseline = Baseline::parse("# a comment\n\ncount 1000.0\n").unwrap();
        assert_eq!(baseline.judge("count", 1029.0), Verdict::Same);
        assert_eq!(baseline.judge("count", 1031.0), Verdict::Worse);
        assert_eq!(baseline.judge("count", 969.0), Verdict::Better);
        assert_eq!(baseline.judge("other", 1.0), Verdict::New);
        assert!(Baseline::parse("count many").is_err());
    }

    #[test]
    fn what_is_written_is_read() {
        let path = std::env::temp_dir().join(format!("kappa-guard-{}", std::process::id()));
        let mut baseline = Baseline::default();
        baseline.set("restore", 812.5);
        baseline.write(&path).unwrap();
        let read = Baseline::read(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read.unwrap(), baseline);
    }
}
