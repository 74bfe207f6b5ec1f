//! Every stateful operator through the whole runtime: three partitions, two instances, restarts and moves of tasks.
//!
//! 500 scenarios of each operator in an ordinary run, 5,000 in `soak_partitions` (`cargo xtask soak`), or `KAPPA_PARTS_SCENARIOS`, of seed
//! `KAPPA_PARTS_SEED`; `KAPPA_PARTS_OPERATOR` and `KAPPA_PARTS_NUMBER` repeat one.
//!
//! Seen red, with 40 scenarios of each: where tasks do not get back what they knew of time, 12 operators differ (windows, sessions, a self
//! join, grace on versioned tables, schedules); where the partition of an output is not its key's, 28 do.

use kappa_integration_tests::partitions::operators::{OPERATORS, Operator};
use kappa_integration_tests::partitions::{Tally, check};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const SCENARIOS: u64 = if cfg!(debug_assertions) { 20 } else { 500 };
const SOAK_SCENARIOS: u64 = 5_000;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs an operator's scenarios on all cores.
fn run(operator: &Operator, seed: u64, scenarios: u64) -> Result<Tally, String> {
    let (next, tally, failed) = (AtomicU64::new(0), Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while failed.lock().expect("not poisoned").is_empty() {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= scenarios {
                        break;
                    }
                    match check(operator, seed, number) {
                        Ok(found) => *tally.lock().expect("not poisoned") += found,
                        Err(what) => failed.lock().expect("not poisoned").push((number, what)),
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("not poisoned");
    failed.sort();
    match failed.into_iter().next() {
        None => Ok(tally.into_inner().expect("not poisoned")),
        Some((number, what)) => Err(format!(
            "{}, scenario {number} of seed {seed}: {what}\nrepeat with\n  KAPPA_PARTS_OPERATOR={} KAPPA_PARTS_SEED={seed} \
             KAPPA_PARTS_NUMBER={number} cargo test --release -p kappa-integration-tests --all-features --test partitions -- --nocapture",
            operator.name, operator.name
        )),
    }
}

#[test]
fn tables_are_those_of_single_partition_runs() {
    run_all(SCENARIOS);
}

#[test]
#[ignore = "long: cargo xtask soak runs it"]
fn soak_partitions() {
    run_all(SOAK_SCENARIOS);
}

fn run_all(usual: u64) {
    let (seed, scenarios) = (variable("KAPPA_PARTS_SEED").unwrap_or(1), variable("KAPPA_PARTS_SCENARIOS"));
    let only = std::env::var("KAPPA_PARTS_OPERATOR").ok();
    let began = Instant::now();
    let (mut all, mut wrong) = (Tally::default(), Vec::new());
    for operator in OPERATORS.iter().filter(|operator| only.as_deref().is_none_or(|only| only == operator.name)) {
        if let Some(number) = variable("KAPPA_PARTS_NUMBER") {
            wrong.extend(check(operator, seed, number).err());
            continue;
        }
        let began = Instant::now();
        match run(operator, seed, scenarios.unwrap_or(usual)) {
            Ok(tally) => {
                println!("{}: {:.1} s, {tally:?}", operator.name, began.elapsed().as_secs_f64());
                assert!(tally.outputs > 0, "{}: nothing was compared", operator.name);
                all += tally;
            }
            Err(what) => wrong.push(what),
        }
    }
    println!("{:.1} s in all: {all:?}", began.elapsed().as_secs_f64());
    assert!(wrong.is_empty(), "{} operators differ:\n{}", wrong.len(), wrong.join("\n\n"));
    if only.is_none() && all.records > 10_000 {
        assert!(all.crashes > 0 && all.lost_disks > 0 && all.stops > 0, "these must come: {all:?}");
    }
}
