//! An application's topology on a real log: physical topics, partition counts, tasks and their numbers.
//!
//! Invariants:
//! - A pure function of the plan, the application id and the partition counts of the user's topics: every process of a
//!   version numbers its tasks alike.
//! - Task `n` is partition `n` of the task topic; the tasks of one sub-topology are consecutive.

use super::feeders::feeders;
use crate::Error;
use crate::topology::{ChangelogSource, SourcePlan, StoreKind, StorePlan, SubTopologyPlan, TopicRef, TopologyPlan};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A topic with its physical name and partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicLayout {
    /// The topic as the topology names it.
    pub reference: TopicRef,
    /// The physical name.
    pub topic: Arc<str>,
    /// Its partitions.
    pub partitions: i32,
    /// For a changelog, what kind of store it is of.
    pub kind: StoreKind,
}

/// A sub-topology on the log.
#[derive(Debug, Clone)]
pub struct SubTopologyLayout {
    /// Its name.
    pub name: String,
    /// The number of its tasks: the greatest partition count of its sources.
    pub tasks: i32,
    /// The task number of its partition 0.
    pub first_task: usize,
    /// What it reads, in the plan's order.
    pub sources: Vec<TopicLayout>,
    /// What it writes, in the plan's order.
    pub outputs: Vec<TopicLayout>,
    /// For each store, in the plan's order: its name and where its changes are logged.
    pub stores: Vec<(String, ChangelogSource)>,
    /// The sub-topologies that its tasks are not to run ahead of.
    pub feeders: Vec<usize>,
}

/// The whole application on the log.
#[derive(Debug, Clone)]
pub struct AppLayout {
    /// The application id: consumer group and prefix of all that is the application's own.
    pub application_id: String,
    /// The sub-topologies, in the plan's order.
    pub sub_topologies: Vec<SubTopologyLayout>,
    /// The topics of global tables with their partitions, in the plan's order.
    pub globals: Vec<(Arc<str>, i32)>,
}

/// One task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// Index of the sub-topology.
    pub sub_topology: usize,
    /// The partition.
    pub partition: i32,
}

impl AppLayout {
    /// Lays a plan out over the user's topics, given their partition counts (`None`: missing).
    pub fn new(
        application_id: &str,
        plan: &TopologyPlan,
        external_partitions: &BTreeMap<String, Option<i32>>,
    ) -> Result<Self, Error> {
        let mut problems = Vec::new();
        for (topic, partitions) in external_partitions {
            if partitions.is_none() {
                problems.push(format!("topic {topic} does not exist; create it, or mend its name in the topology"));
            }
        }
        if !problems.is_empty() {
            return Err(Error::Topics { problems });
        }
        let counts = Counts::resolve(plan, external_partitions, &mut problems);
        if !problems.is_empty() {
            return Err(Error::Topics { problems });
        }
        let mut sub_topologies: Vec<SubTopologyLayout> = Vec::new();
        let mut first_task = 0;
        let mut feeders = feeders(plan);
        for (index, sub) in plan.sub_topologies.iter().enumerate() {
            let layout = |reference: &TopicRef| TopicLayout {
                reference: reference.clone(),
                topic: reference.physical(application_id).into(),
                partitions: counts.of(reference),
                kind: kind_of(sub, reference),
            };
            let tasks = counts.tasks[index];
            sub_topologies.push(SubTopologyLayout {
                name: sub.name.clone(),
                tasks,
                first_task,
                sources: sub.sources.iter().map(|source| layout(&source.topic)).collect(),
                outputs: sub.outputs.iter().map(layout).collect(),
                stores: sub.stores.iter().map(|store| (store.name.clone(), store.changelog)).collect(),
                feeders: std::mem::take(&mut feeders[index]),
            });
            first_task += tasks as usize;
        }
        let partitions = |topic: &String| external_partitions.get(topic).copied().flatten().unwrap_or(0);
        let globals =
            plan.globals.iter().map(|global| (global.topic.as_str().into(), partitions(&global.topic))).collect();
        Ok(Self { application_id: application_id.to_owned(), sub_topologies, globals })
    }

    /// The topics of the user's that a plan reads or writes.
    pub fn external_topics(plan: &TopologyPlan) -> Vec<String> {
        let sources = plan.sub_topologies.iter().flat_map(|sub| sub.sources.iter().map(|source| &source.topic));
        let outputs = plan.sub_topologies.iter().flat_map(|sub| &sub.outputs);
        let mut topics: Vec<String> = sources
            .chain(outputs)
            .filter_map(|reference| match reference {
                TopicRef::External(topic) => Some(topic.clone()),
                _ => None,
            })
            .chain(plan.globals.iter().map(|global| global.topic.clone()))
            .collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// The number of all tasks.
    pub fn task_count(&self) -> usize {
        self.sub_topologies.last().map_or(0, |sub| sub.first_task + sub.tasks as usize)
    }

    /// Whether all tasks read the same one topic.
    pub fn reads_one_topic(&self) -> bool {
        self.sub_topologies.iter().map(|sub| sub.sources.len()).sum::<usize>() <= 1
    }

    /// The task with that number.
    pub fn task(&self, number: usize) -> Option<TaskId> {
        self.sub_topologies.iter().enumerate().find_map(|(index, sub)| {
            let partition = number.checked_sub(sub.first_task)?;
            (partition < sub.tasks as usize).then_some(TaskId { sub_topology: index, partition: partition as i32 })
        })
    }

    /// The task's name, `<sub-topology>-<partition>`.
    pub fn task_name(&self, task: TaskId) -> String {
        format!("{}-{}", self.sub_topologies[task.sub_topology].name, task.partition)
    }

    /// The topic whose partitions are shared out among the members of the group.
    pub fn task_topic(&self) -> String {
        format!("{}-tasks", self.application_id)
    }
}

/// Partition counts of internal topics, by Kafka Streams' rules (`RepartitionTopics`, `CopartitionedTopicsEnforcer`).
struct Counts {
    known: BTreeMap<TopicRef, i32>,
    tasks: Vec<i32>,
}

impl Counts {
    fn resolve(plan: &TopologyPlan, external: &BTreeMap<String, Option<i32>>, problems: &mut Vec<String>) -> Self {
        let mut known: BTreeMap<TopicRef, i32> = external
            .iter()
            .filter_map(|(topic, partitions)| partitions.map(|count| (TopicRef::External(topic.clone()), count)))
            .collect();
        for source in plan.sub_topologies.iter().flat_map(|sub| &sub.sources) {
            if let (TopicRef::Repartition(_), Some(count)) = (&source.topic, source.partitions) {
                known.insert(source.topic.clone(), count);
            }
        }
        loop {
            let mut changed = false;
            for sub in &plan.sub_topologies {
                for group in &sub.copartitioned {
                    changed |= Self::copartition(sub, group, plan, &mut known);
                }
                for source in records(sub) {
                    if !known.contains_key(&source.topic)
                        && !sub.copartitioned.iter().any(|group| group.iter().any(|at| sub.sources[*at] == *source))
                        && let Some(count) = upstream(plan, &known, &source.topic)
                    {
                        known.insert(source.topic.clone(), count);
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let mut tasks = Vec::new();
        for sub in &plan.sub_topologies {
            for source in records(sub) {
                if !known.contains_key(&source.topic) {
                    problems.push(format!(
                        "the partition count of {:?} can't be derived: it feeds itself; give it one with repartition(partitions)",
                        source.topic
                    ));
                    known.insert(source.topic.clone(), 1);
                }
            }
            Self::check_copartitioned(sub, &known, problems);
            tasks.push(records(sub).map(|source| known[&source.topic]).max().unwrap_or(1));
        }
        for (sub, tasks) in plan.sub_topologies.iter().zip(&tasks) {
            // Every task takes commands.
            let control = sub.sources.iter().filter(|source| matches!(source.topic, TopicRef::Control(_)));
            known.extend(control.map(|source| (source.topic.clone(), *tasks)));
            for output in &sub.outputs {
                match output {
                    TopicRef::Changelog(_) => {
                        known.insert(output.clone(), *tasks);
                    }
                    TopicRef::View(_) => {
                        let count = known.entry(output.clone()).or_insert(*tasks);
                        *count = (*count).max(*tasks);
                    }
                    TopicRef::External(_) | TopicRef::Repartition(_) | TopicRef::Control(_) => {}
                }
            }
        }
        Self { known, tasks }
    }

    /// Repartition topics in a co-partitioned set take the count of the user's topics in it, or the greatest of what their
    /// upstreams suggest.
    fn copartition(
        sub: &SubTopologyPlan,
        group: &[usize],
        plan: &TopologyPlan,
        known: &mut BTreeMap<TopicRef, i32>,
    ) -> bool {
        let fixed = group.iter().filter_map(|at| known.get(&sub.sources[*at].topic).copied()).max();
        let count = fixed.or_else(|| {
            let suggested: Option<Vec<i32>> =
                group.iter().map(|at| upstream(plan, known, &sub.sources[*at].topic)).collect();
            suggested.and_then(|counts| counts.into_iter().max())
        });
        let Some(count) = count else { return false };
        let mut changed = false;
        for at in group {
            let topic = &sub.sources[*at].topic;
            if !known.contains_key(topic) {
                known.insert(topic.clone(), count);
                changed = true;
            }
        }
        changed
    }

    fn check_copartitioned(sub: &SubTopologyPlan, known: &BTreeMap<TopicRef, i32>, problems: &mut Vec<String>) {
        for group in &sub.copartitioned {
            let counts: Vec<(String, i32)> = group
                .iter()
                .map(|at| &sub.sources[*at].topic)
                .map(|topic| (topic_text(topic), known.get(topic).copied().unwrap_or(0)))
                .collect();
            if counts.windows(2).any(|pair| pair[0].1 != pair[1].1) {
                let list: Vec<String> =
                    counts.iter().map(|(topic, count)| format!("{topic} has {count} partitions")).collect();
                problems.push(format!(
                    "{}: joined topics must have the same number of partitions, but {}; repartition() the stream, or create the \
                     topics alike",
                    sub.name,
                    list.join(", ")
                ));
            }
        }
    }

    fn of(&self, topic: &TopicRef) -> i32 {
        self.known.get(topic).copied().unwrap_or(1)
    }
}

/// What kind of store a topic is the changelog of.
fn kind_of(sub: &SubTopologyPlan, topic: &TopicRef) -> StoreKind {
    let logs = |store: &&StorePlan| match store.changelog {
        ChangelogSource::Own { output } => sub.outputs.get(output) == Some(topic),
        ChangelogSource::Input { .. } | ChangelogSource::None => false,
    };
    sub.stores.iter().find(logs).map_or(StoreKind::KeyValue, |store| store.kind)
}

/// The sources of a sub-topology that records come from.
fn records(sub: &SubTopologyPlan) -> impl Iterator<Item = &SourcePlan> {
    sub.sources.iter().filter(|source| !matches!(source.topic, TopicRef::Control(_)))
}

/// The greatest task count of the sub-topologies that write a repartition topic, once all are known.
fn upstream(plan: &TopologyPlan, known: &BTreeMap<TopicRef, i32>, topic: &TopicRef) -> Option<i32> {
    let writers = plan.sub_topologies.iter().filter(|sub| sub.outputs.contains(topic));
    let counts: Option<Vec<i32>> = writers
        .map(|sub| {
            let sources: Option<Vec<i32>> = records(sub).map(|source| known.get(&source.topic).copied()).collect();
            sources.and_then(|counts| counts.into_iter().max())
        })
        .collect();
    counts.and_then(|counts| counts.into_iter().max())
}

fn topic_text(topic: &TopicRef) -> String {
    match topic {
        TopicRef::External(name) => name.clone(),
        TopicRef::Repartition(name) => format!("repartition topic {name}"),
        TopicRef::Changelog(name) => format!("changelog {name}"),
        TopicRef::View(name) => format!("view {name}"),
        TopicRef::Control(name) => format!("control topic {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::StorePlan;

    fn source(topic: TopicRef) -> SourcePlan {
        SourcePlan { topic, partitions: None, aligned: true }
    }

    /// flights (keyed anew) → repartition → joined with the table airports → view.
    fn plan() -> TopologyPlan {
        let by_airport = TopicRef::Repartition("by-airport".into());
        TopologyPlan {
            sub_topologies: vec![
                SubTopologyPlan {
                    name: "delays".into(),
                    sources: vec![source(TopicRef::External("airports".into())), source(by_airport.clone())],
                    outputs: vec![TopicRef::Changelog("delays".into()), TopicRef::View("delays-by-airport".into())],
                    stores: vec![StorePlan {
                        name: "delays".into(),
                        changelog: ChangelogSource::Own { output: 0 },
                        kind: StoreKind::KeyValue,
                    }],
                    copartitioned: vec![vec![0, 1]],
                },
                SubTopologyPlan {
                    name: "flights".into(),
                    sources: vec![source(TopicRef::External("flights".into()))],
                    outputs: vec![by_airport],
                    stores: vec![],
                    copartitioned: vec![],
                },
            ],
            views: vec!["delays-by-airport".into()],
            globals: vec![],
            fingerprint: "1".into(),
        }
    }

    fn counts(list: &[(&str, Option<i32>)]) -> BTreeMap<String, Option<i32>> {
        list.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect()
    }

    #[test]
    fn a_repartition_topic_takes_the_count_of_the_table_it_is_joined_with() {
        let layout = AppLayout::new("flights-v1", &plan(), &counts(&[("airports", Some(3)), ("flights", Some(8))]))
            .expect("fits");
        assert_eq!(layout.task_count(), 3 + 8);
        assert_eq!(layout.sub_topologies[1].outputs[0].partitions, 3);
        assert_eq!(&*layout.sub_topologies[1].outputs[0].topic, "flights-v1-by-airport-repartition");
        assert_eq!(layout.sub_topologies[0].outputs[0].partitions, 3);
        assert_eq!(layout.task(2), Some(TaskId { sub_topology: 0, partition: 2 }));
        assert_eq!(layout.task(3), Some(TaskId { sub_topology: 1, partition: 0 }));
        assert_eq!(layout.task(11), None);
    }

    #[test]
    fn missing_topics_are_named_all_at_once() {
        let error = AppLayout::new("flights-v1", &plan(), &counts(&[("airports", None), ("flights", None)]))
            .expect_err("missing")
            .to_string();
        assert!(error.contains("topic airports does not exist") && error.contains("topic flights does not"), "{error}");
    }

    #[test]
    fn joined_topics_with_different_counts_are_refused() {
        let mut plan = plan();
        plan.sub_topologies[0].sources[1].topic = TopicRef::External("flights".into());
        let error = AppLayout::new("flights-v1", &plan, &counts(&[("airports", Some(3)), ("flights", Some(8))]))
            .expect_err("refused")
            .to_string();
        assert!(error.contains("airports has 3 partitions, flights has 8 partitions"), "{error}");
    }
}
