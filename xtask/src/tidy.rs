//! What no other tool looks at: files that have grown too long, and words that stand for work left undone.

use crate::{Failure, run};
use std::process::Command;

/// The rule is 400; a file may be somewhat over it before it stops anybody.
const LINES_MAX: usize = 600;

/// Written in two halves, so that this file does not stop itself.
const FORBIDDEN: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HACK", ":")];

/// Kinds of files that people write here.
const KINDS: [&str; 5] = ["rs", "md", "toml", "sh", "java"];

pub(crate) fn tidy() -> Result<(), Failure> {
    println!("\n$ tidy");
    let mut faults = Vec::new();
    let files = files()?;
    for path in &files {
        // A file that is listed but deleted in the work tree is no fault.
        if let Ok(text) = std::fs::read_to_string(run::root().join(path)) {
            faults.extend(faults_of(path, &text));
        }
    }
    if faults.is_empty() {
        println!("  ({} files)", files.len());
        return Ok(());
    }
    Err(faults.join("\n").into())
}

fn files() -> Result<Vec<String>, Failure> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(run::root()).output()?;
    if !output.status.success() {
        return Err(format!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let names = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>();
    Ok(names.into_iter().filter(|name| name.rsplit_once('.').is_some_and(|(_, kind)| KINDS.contains(&kind))).collect())
}

fn faults_of(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if path.ends_with(".rs") && lines > LINES_MAX {
        faults.push(format!("{path}: {lines} lines, more than {LINES_MAX}: one idea a file, so split it"));
    }
    for (number, line) in text.lines().enumerate() {
        let at = || format!("{path}:{}", number + 1);
        if let Some(word) = FORBIDDEN.iter().find(|word| line.contains(*word)) {
            faults.push(format!("{}: `{word}`: do it, or make what is missing an error that says so", at()));
        }
        if line.ends_with([' ', '\t']) && !path.ends_with(".md") {
            faults.push(format!("{}: white space at the end of the line", at()));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named_with_their_line() {
        let text = format!("fine\n// {} later\ntail \n", FORBIDDEN[0]);
        let faults = faults_of("a.rs", &text);
        assert_eq!(faults.len(), 2);
        assert!(faults[0].starts_with("a.rs:2: "));
        assert!(faults[1].starts_with("a.rs:3: "));
    }

    #[test]
    fn only_code_may_be_too_long() {
        let text = "x\n".repeat(LINES_MAX + 1);
        assert_eq!(faults_of("a.rs", &text).len(), 1);
        assert!(faults_of("a.md", &text).is_empty());
        assert!(faults_of("a.rs", &text[2..]).is_empty());
    }
}
