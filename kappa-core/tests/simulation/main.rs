//! The simulator: whole applications, several processes of each, on one thread, by one seed.
//!
//! A seed decides what every process does next and what goes wrong: crashes before and after each call of the log, stopped
//! processes that wake up as zombies, refused calls, lost answers, commits of unknown outcome, late commits and markers, lost
//! disks, truncated input, purges. While one call is held up, other threads and processes go on. The oracle ([`oracle`]) knows from the
//! input alone what must be in the log and in the stores.
//!
//! `KAPPA_SIM_SEED=123 cargo test … --test simulation -- one_seed --nocapture` repeats a seed and prints its trace; the numbers of
//! `two_thousand_seeds` begin at `KAPPA_SIM_FROM` and are `KAPPA_SIM_SEEDS` many.

#![cfg(feature = "testing")]

mod instance;
mod job;
mod judge;
mod knobs;
mod moment;
mod oracle;
mod parking;
mod probe;
mod random;
mod regressions;
mod schedule;
mod semantics;
mod stories;
mod tally;
mod trace;
mod world;

use kappa_core::runtime::{Rule, Rules};
use schedule::{run, run_story};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use stories::STORIES;
use tally::Tally;
use trace::Trace;

/// Lines of the trace that are printed when a seed fails.
const LAST_LINES: usize = 300;
/// Seeds of an ordinary test run; fewer where the code is not optimised and a seed takes ten times as long.
const SEEDS: u64 = if cfg!(debug_assertions) { 300 } else { 2_000 };

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs seeds on all cores until there are enough; says what they met, and fails with the smallest seed that failed.
fn run_seeds(from: u64, enough: impl Fn(u64, u64) -> bool + Sync) -> Tally {
    let began = Instant::now();
    let tally: Mutex<Tally> = Mutex::default();
    let (next, steps) = (AtomicU64::new(from), AtomicU64::new(0));
    let failed: Mutex<Vec<(u64, String)>> = Mutex::default();
    let keep_going = variable("KAPPA_SIM_KEEP_GOING").is_some();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while keep_going || failed.lock().expect("not poisoned").is_empty() {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if enough(seed - from, steps.load(Ordering::SeqCst)) {
                        next.fetch_sub(1, Ordering::SeqCst);
                        break;
                    }
                    let found = run(seed, Rules::default(), Trace::off());
                    steps.fetch_add(found.steps, Ordering::SeqCst);
                    *tally.lock().expect("not poisoned") += found.tally;
                    if let Some(violation) = found.violation {
                        failed.lock().expect("not poisoned").push((seed, violation));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("not poisoned");
    failed.sort();
    failed.iter().for_each(|(seed, violation)| println!("seed {seed} fails: {violation}"));
    if let Some((seed, violation)) = failed.first() {
        let trace = run(*seed, Rules::default(), Trace::last(LAST_LINES)).trace;
        panic!(
            "seed {seed}: {violation}\n{}\nrepeat with\n  KAPPA_SIM_SEED={seed} cargo test --release -p kappa-core \
             --no-default-features --features testing --test simulation -- one_seed --nocapture\n",
            trace.join("\n")
        );
    }
    let (seeds, steps, seconds) = (next.into_inner() - from, steps.into_inner(), began.elapsed().as_secs_f64());
    let tally = tally.into_inner().expect("not poisoned");
    println!("{seeds} seeds, {steps} steps in {seconds:.1} s: {tally}");
    tally
}

#[test]
fn two_thousand_seeds() {
    let from = variable("KAPPA_SIM_FROM").unwrap_or(0);
    let wanted = variable("KAPPA_SIM_SEEDS").unwrap_or(SEEDS);
    let tally = run_seeds(from, |seeds, _| seeds >= wanted);
    if wanted >= 2_000 {
        assert_eq!(tally.missing(), [""; 0], "these troubles never came");
    }
}

/// Seeds of each story of an ordinary test run.
const STORY_SEEDS: u64 = if cfg!(debug_assertions) { 20 } else { 160 };

/// Operators with time, state and calls of their own: results are the test driver's, whatever goes wrong. `KAPPA_SIM_SEED` and
/// `KAPPA_SIM_STORY` (its number) repeat one with its trace.
#[test]
fn stories() {
    let (from, wanted) = (variable("KAPPA_SIM_FROM").unwrap_or(0), variable("KAPPA_SIM_SEEDS").unwrap_or(STORY_SEEDS));
    let only = variable("KAPPA_SIM_STORY").map(|number| number as usize);
    if let (Some(seed), Some(number)) = (variable("KAPPA_SIM_SEED"), only) {
        let found = run_story(seed, STORIES[number], Trace::last(1_000_000));
        println!("{}", found.trace.join("\n"));
        assert_eq!(found.violation, None);
        return;
    }
    for (number, story) in STORIES.iter().enumerate().filter(|(number, _)| only.is_none_or(|only| only == *number)) {
        let began = Instant::now();
        let next = AtomicU64::new(from);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let failed: Mutex<Vec<(u64, String)>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while failed.lock().expect("not poisoned").is_empty() {
                        let seed = next.fetch_add(1, Ordering::SeqCst);
                        if seed >= from + wanted {
                            break;
                        }
                        if let Some(violation) = run_story(seed, *story, Trace::off()).violation {
                            failed.lock().expect("not poisoned").push((seed, violation));
                        }
                    }
                });
            }
        });
        let failed = failed.into_inner().expect("not poisoned");
        if let Some((seed, violation)) = failed.iter().min() {
            panic!(
                "seed {seed} of story {number} ({}): {violation}\nrepeat with KAPPA_SIM_SEED={seed} KAPPA_SIM_STORY={number}",
                story.name
            );
        }
        println!("{}: {wanted} seeds in {:.1} s", story.name, began.elapsed().as_secs_f64());
    }
}

/// `KAPPA_SIM_STEPS` steps (calls of the log by the application), from seed `KAPPA_SIM_FROM` on.
#[test]
#[ignore = "long: cargo xtask soak runs it"]
fn soak_simulation() {
    let from = variable("KAPPA_SIM_FROM").unwrap_or(1_000_000);
    let wanted = variable("KAPPA_SIM_STEPS").unwrap_or(20_000_000);
    run_seeds(from, |_, steps| steps >= wanted);
}

/// Repeats the seed `KAPPA_SIM_SEED` and prints its trace; `KAPPA_SIM_WITHOUT` names a rule to switch off.
#[test]
fn one_seed() {
    let Some(seed) = variable("KAPPA_SIM_SEED") else { return };
    let wanted = std::env::var("KAPPA_SIM_WITHOUT").ok();
    let rule = RULES.into_iter().find(|rule| wanted.as_deref() == Some(format!("{rule:?}").as_str()));
    let rules = rule.map_or_else(Rules::default, Rules::without);
    let lines = variable("KAPPA_SIM_LINES").unwrap_or(1_000_000) as usize;
    let found = run(seed, rules, Trace::last(lines));
    println!("{}", found.trace.join("\n"));
    assert_eq!(found.violation, None, "seed {seed}");
}

#[test]
fn a_seed_repeats_exactly() {
    for seed in 0..20 {
        let first = run(seed, Rules::default(), Trace::last(usize::MAX));
        let second = run(seed, Rules::default(), Trace::last(usize::MAX));
        assert!(first.trace.len() > 100, "seed {seed} has done nothing");
        let differ = first.trace.iter().zip(&second.trace).position(|(first, second)| first != second);
        let line = differ.map(|line| (&first.trace[line], &second.trace[line]));
        assert_eq!(line, None, "seed {seed}, line {differ:?}");
        assert_eq!(first.trace.len(), second.trace.len(), "seed {seed}");
    }
}

const RULES: [Rule; 8] = [
    Rule::FenceByEpoch,
    Rule::EpochBeforeAcknowledge,
    Rule::StoresAfterCommit,
    Rule::RestoreToHighWatermark,
    Rule::BufferUntilCommit,
    Rule::OffsetsInTransaction,
    Rule::WaitForDecidedOffsets,
    Rule::PurgeAfterCommit,
];

/// Without the rule, one of so many seeds fails, which passes with it.
fn is_caught(rule: Rule, seeds: u64) {
    for seed in 0..seeds {
        if let Some(violation) = run(seed, Rules::without(rule), Trace::off()).violation {
            let with_it = run(seed, Rules::default(), Trace::off()).violation;
            assert_eq!(with_it, None, "seed {seed} fails with the rule too");
            println!("{rule:?} is missed in seed {seed}: {violation}");
            return;
        }
    }
    panic!("without {rule:?} no seed of {seeds} fails");
}

#[test]
fn mutation_fence_by_epoch() {
    is_caught(Rule::FenceByEpoch, 2_000);
}

#[test]
fn mutation_epoch_before_acknowledge() {
    is_caught(Rule::EpochBeforeAcknowledge, 2_000);
}

#[test]
fn mutation_stores_after_commit() {
    is_caught(Rule::StoresAfterCommit, 2_000);
}

#[test]
fn mutation_restore_to_high_watermark() {
    is_caught(Rule::RestoreToHighWatermark, 2_000);
}

#[test]
fn mutation_buffer_until_commit() {
    is_caught(Rule::BufferUntilCommit, 2_000);
}

#[test]
fn mutation_offsets_in_transaction() {
    is_caught(Rule::OffsetsInTransaction, 2_000);
}

#[test]
fn mutation_wait_for_decided_offsets() {
    is_caught(Rule::WaitForDecidedOffsets, 2_000);
}

#[test]
fn mutation_purge_after_commit() {
    is_caught(Rule::PurgeAfterCommit, 2_000);
}
