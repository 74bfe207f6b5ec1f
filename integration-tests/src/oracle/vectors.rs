//! Recorded pairs of scenario and outcome: Kafka Streams' results for machines without Java.

use super::Pair;
use super::compare::{Verdict, verdict};
use super::families;
use super::judge::{Failure, root};
use super::run::run;
use std::fs;
use std::path::PathBuf;

/// Where they lie: one file a family, one pair a line.
pub fn directory() -> PathBuf {
    root().join("integration-tests").join("vectors")
}

/// The pairs of all files, with the files' names.
pub fn all() -> Result<Vec<(String, Vec<Pair>)>, Failure> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory())?.map(|entry| Ok(entry?.path())).collect::<Result<_, Failure>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path)?;
        let pairs = text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<_, Failure>>();
        Ok((name, pairs.map_err(|error| format!("{}: {error}", path.display()))?))
    };
    files.into_iter().map(read).collect()
}

/// Checks one pair; an error says the difference.
pub fn check(pair: &Pair) -> Result<(), String> {
    let Pair { scenario, result } = pair;
    let family = families::find(&scenario.topology)
        .ok_or_else(|| format!("{}: kappa has no family for {}", scenario.id, scenario.topology))?;
    let ours = run(family, scenario).map_err(|error| format!("{}: {error}", scenario.id))?;
    match verdict(scenario, result, &ours) {
        Verdict::Same | Verdict::Deviates(_) | Verdict::Unjudged(_) => Ok(()),
        Verdict::Differs(difference) => {
            Err(format!("{}: {difference}{}", scenario.id, serde_json::to_string(scenario).unwrap_or_default()))
        }
    }
}
