//! `cargo xtask oracle`: runs scenarios through both and says what it found.

use super::compare::{Verdict, difference, verdict};
use super::judge::{Failure, Judge};
use super::{Family, Outcome, Pair, Scenario, families, generate, run, shrink, vectors};
use crate::random::Random;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

/// So many scenarios are on their way to the judge at once.
const BATCH: usize = 500;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The seed of both generators.
    pub seed: u64,
    /// Scenarios of each topology, half of them of the judge's making.
    pub scenarios: usize,
    /// Only this topology.
    pub topology: Option<String>,
    /// At most so many differences of a topology are shrunk and printed.
    pub show: usize,
    /// Instead of comparing: record so many pairs of the topology.
    pub record: Option<usize>,
}

/// What was found for one topology.
#[derive(Debug, Default)]
struct Found {
    compared: usize,
    differ: usize,
    /// Compared with a run that has restarts and moves in it, and how many of those differ.
    restarted: usize,
    restarts_differ: usize,
    failing: usize,
    deviate: BTreeMap<String, usize>,
    unjudged: BTreeMap<&'static str, usize>,
    missing: BTreeMap<String, usize>,
}

/// Compares, prints, and says whether all was the same.
pub fn compare(wanted: &Wanted) -> Result<bool, Failure> {
    let mut judge = Judge::start()?;
    let known = judge.topologies()?;
    if let Some(name) = wanted.topology.as_ref().filter(|name| !known.contains(name)) {
        return Err(format!("the judge has no topology {name}; it has {}", known.join(", ")).into());
    }
    let start = Instant::now();
    let mut found = BTreeMap::new();
    let mut without = Vec::new();
    for name in known.iter().filter(|name| wanted.topology.as_ref().is_none_or(|only| only == *name)) {
        match families::find(name) {
            Some(_) => drop(found.insert(name.clone(), compare_topology(&mut judge, name, wanted)?)),
            None => without.push(name.as_str()),
        }
    }
    println!("{}", table(&found, start.elapsed().as_secs_f64()));
    if !without.is_empty() {
        println!("KAPPA HAS NO FAMILY YET FOR {} TOPOLOGIES: {}", without.len(), without.join(", "));
    }
    Ok(found.values().all(|found| found.differ + found.restarts_differ == 0 && found.missing.is_empty())
        && without.is_empty())
}

fn scenarios(judge: &Judge, name: &str, seed: u64, count: usize) -> Result<Vec<Scenario>, Failure> {
    let Some(family) = families::find(name) else { return Ok(Vec::new()) };
    let mut all = judge.generate(seed, count / 2, name)?;
    let ours = count - all.len();
    all.extend((0..ours as u64).map(|number| generate::scenario(name, family, seed, number)));
    Ok(all)
}

fn compare_topology(judge: &mut Judge, name: &str, wanted: &Wanted) -> Result<Found, Failure> {
    let mut found = Found::default();
    let mut shown = 0;
    for batch in scenarios(judge, name, wanted.seed, wanted.scenarios)?.chunks(BATCH) {
        let theirs = judge.run(batch)?;
        for (scenario, theirs) in batch.iter().zip(theirs) {
            let Some(family) = families::find(name) else { continue };
            let ours = match run::run(family, scenario) {
                Ok(ours) => ours,
                Err(missing) => {
                    *found.missing.entry(missing).or_default() += 1;
                    continue;
                }
            };
            let verdict = verdict(scenario, &theirs, &ours);
            if let Verdict::Unjudged(unjudged) = verdict {
                *found.unjudged.entry(unjudged.reason).or_default() += 1;
                continue;
            }
            found.restarted += usize::from(restarted(&mut found, family, scenario, &ours, wanted));
            found.compared += 1;
            found.failing += usize::from(theirs.error.is_some());
            match verdict {
                Verdict::Same | Verdict::Unjudged(_) => {}
                Verdict::Deviates(deviations) => {
                    let names: Vec<&str> = deviations.iter().map(|deviation| deviation.name).collect();
                    *found.deviate.entry(names.join(", ")).or_default() += 1;
                }
                Verdict::Differs(_) => {
                    found.differ += 1;
                    if shown < wanted.show {
                        shown += 1;
                        explain(judge, scenario.clone())?;
                    }
                }
            }
        }
    }
    let Found { compared, differ, restarts_differ, .. } = found;
    eprintln!("{name}: {compared} compared, {differ} differ, {restarts_differ} with restarts");
    Ok(found)
}

/// Runs a scenario again with restarts and moves of tasks in it, which must change nothing. False where it is no case for it.
fn restarted(found: &mut Found, family: &dyn Family, scenario: &Scenario, plain: &Outcome, wanted: &Wanted) -> bool {
    let mut random = Random::seeded(wanted.seed ^ found.compared as u64);
    let Some(outcome) = run::run_with_restarts(family, scenario, &mut random) else { return false };
    let difference = match outcome {
        Ok(outcome) => difference(scenario, plain, &outcome),
        Err(error) => Some(error),
    };
    if let Some(difference) = difference {
        found.restarts_differ += 1;
        if found.restarts_differ <= wanted.show {
            let json = serde_json::to_string(scenario).unwrap_or_default();
            println!("{} with restarts (first without, then with):\n{difference}\n{json}\n", scenario.id);
        }
    }
    true
}

/// The difference between both outcomes of each.
fn differences(judge: &mut Judge, scenarios: &[Scenario]) -> Result<Vec<Option<(Pair, String)>>, Failure> {
    let theirs = judge.run(scenarios)?;
    let difference = |(scenario, result): (&Scenario, Outcome)| {
        let ours = run::run(families::find(&scenario.topology)?, scenario).ok()?;
        match verdict(scenario, &result, &ours) {
            Verdict::Differs(difference) => Some((Pair { scenario: scenario.clone(), result }, difference)),
            _ => None,
        }
    };
    Ok(scenarios.iter().zip(theirs).map(difference).collect())
}

/// Shrinks a scenario that differs, and prints what is left.
fn explain(judge: &mut Judge, scenario: Scenario) -> Result<(), Failure> {
    let mut failure = None;
    let smallest = shrink::shrink(scenario, &mut |candidates| match differences(judge, candidates) {
        Ok(differences) => differences.iter().map(Option::is_some).collect(),
        Err(error) => {
            failure = Some(error);
            vec![false; candidates.len()]
        }
    });
    if let Some(error) = failure {
        return Err(error);
    }
    if let Some(Some((pair, difference))) = differences(judge, &[smallest])?.pop() {
        println!("{} {}: {difference}\n{}", pair.scenario.topology, pair.scenario.id, shrink::as_test(&pair));
    }
    Ok(())
}

fn table(found: &BTreeMap<String, Found>, seconds: f64) -> String {
    let mut text = format!(
        "{:24}{:>10}{:>10}{:>10}{:>16}{:>10}\n",
        "topology", "compared", "failing", "differ", "with restarts", "differ"
    );
    let (mut compared, mut differ) = (0, 0);
    for (name, found) in found {
        let _ = writeln!(
            text,
            "{name:24}{:>10}{:>10}{:>10}{:>16}{:>10}",
            found.compared, found.failing, found.differ, found.restarted, found.restarts_differ
        );
        for (deviation, count) in &found.deviate {
            let _ = writeln!(text, "  {count} deviate as they should: {deviation}");
        }
        for (reason, count) in &found.unjudged {
            let _ = writeln!(text, "  {count} not compared: {reason}");
        }
        for (missing, count) in &found.missing {
            let _ = writeln!(text, "  {count} COULD NOT BE COMPARED: {missing}");
        }
        compared += found.compared;
        differ += found.differ;
    }
    let _ = write!(text, "{compared} scenarios compared in {seconds:.1} s, {differ} differ");
    text
}

/// Records pairs of one topology in `vectors/`: those that show most, each as different from the others as can be.
pub fn record(wanted: &Wanted, count: usize) -> Result<(), Failure> {
    let name = wanted.topology.as_deref().ok_or("say which topology: --record NAME N")?;
    if families::find(name).is_none() {
        return Err(format!("kappa has no family for {name}: a vector that nothing checks is none").into());
    }
    let mut judge = Judge::start()?;
    let candidates = scenarios(&judge, name, wanted.seed, count * 20)?;
    let outcomes = judge.run(&candidates)?;
    let judged = |(scenario, theirs): &(Scenario, Outcome)| {
        let ours = families::find(name).and_then(|family| run::run(family, scenario).ok());
        ours.is_some_and(|ours| !matches!(verdict(scenario, theirs, &ours), Verdict::Unjudged(_)))
    };
    // First the scenarios whose parameters were not seen yet, among them those with most outputs for their length.
    let mut pairs: Vec<Pair> = candidates
        .into_iter()
        .zip(outcomes)
        .filter(judged)
        .map(|(scenario, result)| Pair { scenario, result })
        .collect();
    let weight = |pair: &Pair| (pair.result.outputs.len().min(20), std::cmp::Reverse(pair.scenario.steps.len()));
    pairs.sort_by_key(|pair| std::cmp::Reverse(weight(pair)));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, Pair)> = Vec::new();
    for pair in pairs {
        let shape = format!("{:?} {}", shape(&pair.scenario), pair.result.error.is_some());
        let times = seen.entry(shape).or_default();
        ranked.push((*times, pair));
        *times += 1;
    }
    ranked.sort_by_key(|(times, _)| *times);
    let path = vectors::directory().join(format!("{name}.jsonl"));
    let mut text = String::new();
    for (_, pair) in ranked.iter().take(count) {
        text.push_str(&serde_json::to_string(pair)?);
        text.push('\n');
    }
    std::fs::write(&path, text)?;
    println!("{} pairs in {}", ranked.len().min(count), path.display());
    Ok(())
}

/// The parameters without their numbers.
fn shape(scenario: &Scenario) -> Vec<(String, String)> {
    let plain = |value: &serde_json::Value| if value.is_number() { "n".to_owned() } else { value.to_string() };
    scenario.params.0.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
}
