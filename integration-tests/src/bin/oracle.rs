//! kappa against Kafka Streams, scenario by scenario; see `cargo xtask oracle`.

use kappa_integration_tests::oracle::command::{Wanted, compare, record};
use kappa_integration_tests::oracle::judge::Failure;
use std::process::ExitCode;

const USAGE: &str = "\
oracle [--seed S] [--scenarios N] [--topology NAME] [--show N]
oracle --record NAME N [--seed S]
";

fn main() -> ExitCode {
    let done = wanted(std::env::args().skip(1)).and_then(|wanted| match wanted.record {
        Some(count) => record(&wanted, count).map(|()| true),
        None => compare(&wanted),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn wanted(mut words: impl Iterator<Item = String>) -> Result<Wanted, Failure> {
    let mut wanted = Wanted { seed: 1, scenarios: 1000, topology: None, show: 3, record: None };
    while let Some(word) = words.next() {
        let mut next = || words.next().ok_or_else(|| format!("{word} needs a value\n\n{USAGE}"));
        match word.as_str() {
            "--seed" => wanted.seed = next()?.parse()?,
            "--scenarios" => wanted.scenarios = next()?.parse()?,
            "--topology" => wanted.topology = Some(next()?),
            "--show" => wanted.show = next()?.parse()?,
            "--record" => {
                wanted.topology = Some(next()?);
                wanted.record = Some(next()?.parse()?);
            }
            other => return Err(format!("there is no argument {other}\n\n{USAGE}").into()),
        }
    }
    Ok(wanted)
}
