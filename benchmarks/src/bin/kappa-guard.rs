//! Counts the instructions of the core step and compares them with the baseline: see [`kappa_benchmarks::guard`].

use clap::{Parser, Subcommand};
use kappa_benchmarks::guard::{self, Baseline, Verdict, WORKLOADS};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(about = "Instructions of the core step, against the baseline")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Take what is counted as the new baseline.
    #[arg(long)]
    bless: bool,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one workload, as valgrind is asked to.
    Run {
        /// Its name.
        workload: String,
    },
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Command::Run { workload }) => run(workload).map(|()| ExitCode::SUCCESS),
        None => check(&arguments),
    }
}

fn run(name: &str) -> Result<(), Box<dyn Error>> {
    let workload = WORKLOADS.iter().find(|workload| workload.name == name);
    let workload = workload.ok_or_else(|| format!("there is no workload `{name}`"))?;
    let scratch = std::env::temp_dir().join(format!("kappa-guard-{}-{name}", std::process::id()));
    let outcome = workload.run(&scratch);
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    outcome
}

fn check(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let path = baseline_path();
    let mut baseline = Baseline::read(&path)?;
    let mut worse = false;
    println!("{:<12} {:>10} {:>10} {:>8}  instructions a record", "workload", "baseline", "now", "");
    for workload in WORKLOADS {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|name| name == workload.name) {
            continue;
        }
        let count = guard::count(workload)?;
        let verdict = baseline.judge(workload.name, count);
        let base = baseline.of(workload.name);
        let (shown, change) = match base {
            Some(base) => (format!("{base:.1}"), format!("{:+.1} %", (count / base - 1.0) * 100.0)),
            None => ("-".to_owned(), String::new()),
        };
        let remark = match verdict {
            Verdict::Same => "",
            Verdict::Worse => "  WORSE",
            Verdict::Better => "  better: bless it",
            Verdict::New => "  new: bless it",
        };
        println!("{:<12} {shown:>10} {count:>10.1} {change:>8}  {}{remark}", workload.name, workload.about);
        worse |= verdict == Verdict::Worse;
        if arguments.bless {
            baseline.set(workload.name, count);
        }
    }
    if arguments.bless {
        baseline.write(&path)?;
        println!("written to {}", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(if worse { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// In this crate's directory, as it was when built.
fn baseline_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("guard.baseline")
}
