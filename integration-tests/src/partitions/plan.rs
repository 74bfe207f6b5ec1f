//! What is fed when, and what the test driver makes of it.

use super::operators::is_timed;
use crate::oracle::run::{Built, run_built};
use crate::oracle::{BuildError, Family, Input, Outcome, Scenario, Step};
use crate::random::Random;
use kappa_core::partitioner;
use kappa_core::topology::TopicRef;
use std::collections::BTreeMap;

/// Partitions of the user's topics.
pub const PARTITIONS: i32 = 3;

/// When records come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feeding {
    /// All before the start.
    AtOnce,
    /// Each when the one before has been processed to the end.
    OneByOne,
}

/// What is to be done with a scenario.
#[derive(Debug)]
pub struct Plan {
    /// The topology.
    pub built: Built,
    /// When records come.
    pub feeding: Feeding,
    /// Each key's results come in one order.
    pub in_order: bool,
    /// The records with their partitions, in the order in which they are fed.
    pub records: Vec<(Input, i32)>,
    /// What single-partition runs make of them.
    pub expected: Vec<Outcome>,
}

impl Plan {
    /// Plans a scenario, whose steps may be put in another order; `None` where a run of it fails, as it may want to.
    pub fn new(family: &dyn Family, scenario: &mut Scenario, mut random: Random) -> Result<Option<Self>, String> {
        let mut built = match Built::new(family, scenario) {
            Ok(built) => built,
            Err(BuildError::Missing(what)) => return Err(what),
            Err(BuildError::Topology(_)) => return Ok(None),
        };
        let (repartitions, timed) = (built.repartitions(), is_timed(scenario));
        let global = !built.topology.plan().globals.is_empty();
        if repartitions && timed {
            in_order_of_time(scenario);
            // Stores are asked for all keys and times.
            built = Built::new(family, scenario).map_err(|error| format!("{error:?}"))?;
        }
        let may_be_at_once = !repartitions && !global;
        let feeding = if may_be_at_once && random.below(2) == 0 { Feeding::AtOnce } else { Feeding::OneByOne };
        let records: Vec<(Input, i32)> = (scenario.steps.iter().zip(0..))
            .filter_map(|(step, number)| match step {
                Step::Record(input) => Some((input.clone(), partition_of(input, number))),
                _ => None,
            })
            .collect();
        let parts = match feeding {
            Feeding::AtOnce => (0..PARTITIONS).map(|partition| merged(&built, &records, partition)).collect(),
            Feeding::OneByOne if timed && !repartitions => {
                (0..PARTITIONS).map(|partition| of_partition(&records, partition)).collect()
            }
            Feeding::OneByOne => vec![records.iter().map(|(input, _)| input.clone()).collect::<Vec<_>>()],
        };
        let mut expected = Vec::new();
        for part in parts {
            let part = Scenario { steps: part.into_iter().map(Step::Record).collect(), ..scenario.clone() };
            let outcome = run_built(&built, &part, None, true)?;
            if outcome.error.is_some() {
                return Ok(None);
            }
            expected.push(outcome);
        }
        Ok(Some(Self { built, feeding, in_order: !(repartitions && timed), records, expected }))
    }
}

/// Records without a key go round robin.
fn partition_of(input: &Input, number: i32) -> i32 {
    input.key.as_ref().map_or(number % PARTITIONS, |key| partitioner::partition(key.as_bytes(), PARTITIONS))
}

fn of_partition(records: &[(Input, i32)], partition: i32) -> Vec<Input> {
    records.iter().filter(|(_, of)| *of == partition).map(|(input, _)| input.clone()).collect()
}

/// The order in which the task of a partition takes records that are all there: of the heads of its inputs the one with the
/// smallest timestamp, of the first input where they are equal.
fn merged(built: &Built, records: &[(Input, i32)], partition: i32) -> Vec<Input> {
    let all = of_partition(records, partition);
    let sources = built.topology.plan().sub_topologies.iter().flat_map(|sub| &sub.sources);
    let mut queues: Vec<_> = sources
        .filter_map(|source| match &source.topic {
            TopicRef::External(topic) => Some(all.iter().filter(move |input| input.topic == *topic).peekable()),
            _ => None,
        })
        .collect();
    let mut order = Vec::new();
    loop {
        let heads = queues.iter_mut().enumerate();
        let next = heads.filter_map(|(index, queue)| queue.peek().map(|input| (input.ts, index))).min();
        let Some((_, index)) = next else { return order };
        order.extend(queues[index].next().cloned());
    }
}

/// Records in order of their times; behind them, on all inputs and in all partitions, some that close whatever is open.
fn in_order_of_time(scenario: &mut Scenario) {
    let time = |step: &Step| match step {
        Step::Record(input) => input.ts,
        _ => 0,
    };
    scenario.steps.sort_by_key(time);
    // No two at once: what has expired exactly when a record comes depends on whether one of the same time came before it, in whichever
    // partition.
    let mut after_ms = i64::MIN;
    for step in &mut scenario.steps {
        if let Step::Record(input) = step {
            input.ts = input.ts.max(after_ms);
            after_ms = input.ts + 1;
        }
    }
    let ends_ms = scenario.steps.iter().map(time).max().unwrap_or(0) + 1_000_000_000;
    let mut topics: Vec<String> = Vec::new();
    for step in &scenario.steps {
        if let Step::Record(input) = step
            && !topics.contains(&input.topic)
        {
            topics.push(input.topic.clone());
        }
    }
    for topic in topics {
        // Keys and values that lie in all partitions, whichever of them the records are grouped by.
        for text in ["0", "1", "2", "3", "4", "5", "6"] {
            let (key, value) = (Some(text.to_owned()), Some(text.to_owned()));
            let last = Input { topic: topic.clone(), key, value, ts: ends_ms, headers: BTreeMap::new() };
            scenario.steps.push(Step::Record(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_records_reach_all_partitions() {
        let mut reached = [false; PARTITIONS as usize];
        for text in ["0", "1", "2", "3", "4", "5", "6"] {
            reached[partitioner::partition(text.as_bytes(), PARTITIONS) as usize] = true;
        }
        assert_eq!(reached, [true; PARTITIONS as usize]);
    }
}
