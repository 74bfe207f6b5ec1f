//! Which sub-topologies feed which: a task that reads several topics, one of them written by other tasks of the application, is not to
//! run ahead of those (the worker's alignment).

use crate::topology::{SubTopologyPlan, TopicRef, TopologyPlan};

/// For each sub-topology those that its records come through, directly or through others, where they have to be kept in time with
/// what it reads beside.
pub(super) fn feeders(plan: &TopologyPlan) -> Vec<Vec<usize>> {
    let subs = &plan.sub_topologies;
    let of = |sub: usize| {
        let mut found: Vec<usize> = Vec::new();
        let mut next = if merges(&subs[sub]) { vec![sub] } else { Vec::new() };
        while let Some(to) = next.pop() {
            for from in (0..subs.len()).filter(|from| feeds(&subs[*from], &subs[to])) {
                if from != sub && !found.contains(&from) {
                    found.push(from);
                    next.push(from);
                }
            }
        }
        found
    };
    (0..subs.len()).map(of).collect()
}

fn feeds(from: &SubTopologyPlan, to: &SubTopologyPlan) -> bool {
    let repartitioned = to.sources.iter().filter(|source| matches!(source.topic, TopicRef::Repartition(_)));
    repartitioned.filter(|source| source.aligned).any(|source| from.outputs.contains(&source.topic))
}

/// Whether a sub-topology reads several topics of records.
fn merges(sub: &SubTopologyPlan) -> bool {
    sub.sources.iter().filter(|source| !matches!(source.topic, TopicRef::Control(_))).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{SourcePlan, SubTopologyPlan, TopologyPlan};

    fn plan(subs: &[(&[TopicRef], &[TopicRef])]) -> TopologyPlan {
        let sub = |(sources, outputs): &(&[TopicRef], &[TopicRef])| SubTopologyPlan {
            name: "sub".into(),
            sources: sources.iter().map(|topic| source(topic.clone())).collect(),
            outputs: outputs.to_vec(),
            stores: vec![],
            copartitioned: vec![],
        };
        TopologyPlan {
            sub_topologies: subs.iter().map(sub).collect(),
            views: vec![],
            globals: vec![],
            fingerprint: "1".into(),
        }
    }

    fn source(topic: TopicRef) -> SourcePlan {
        SourcePlan { topic, partitions: Some(1), aligned: true }
    }

    fn external(name: &str) -> TopicRef {
        TopicRef::External(name.into())
    }

    fn repartition(name: &str) -> TopicRef {
        TopicRef::Repartition(name.into())
    }

    #[test]
    fn a_join_waits_for_all_that_its_records_come_through() {
        // orders → by customer → checked → joined with customers
        let orders: (&[_], &[_]) = (&[external("orders")], &[repartition("by-customer")]);
        let checked: (&[_], &[_]) = (&[repartition("by-customer")], &[repartition("checked")]);
        let joined: (&[_], &[_]) = (&[external("customers"), repartition("checked")], &[external("out")]);
        let feeders = feeders(&plan(&[orders, joined, checked]));
        assert_eq!(feeders, [vec![], vec![2, 0], vec![]], "a task with one input takes it as it comes");
    }

    #[test]
    fn those_that_feed_each_other_wait_for_each_other() {
        let left: (&[_], &[_]) = (&[external("items"), repartition("answers")], &[repartition("questions")]);
        let right: (&[_], &[_]) = (&[external("sellers"), repartition("questions")], &[repartition("answers")]);
        assert_eq!(feeders(&plan(&[left, right])), [[1], [0]]);
    }

    #[test]
    fn whoever_takes_records_in_any_order_waits_for_nobody() {
        let left: (&[_], &[_]) = (&[external("items"), repartition("answers")], &[repartition("questions")]);
        let right: (&[_], &[_]) = (&[external("sellers"), repartition("questions")], &[repartition("answers")]);
        let mut plan = plan(&[left, right]);
        plan.sub_topologies[1].sources[1].aligned = false;
        assert_eq!(feeders(&plan), [vec![1], vec![]]);
    }

    #[test]
    fn changelogs_and_commands_feed_nobody() {
        let commands = TopicRef::Control("commands".into());
        let one: (&[_], &[_]) = (&[external("in"), commands], &[TopicRef::Changelog("counts".into()), external("out")]);
        let two: (&[_], &[_]) = (&[external("out"), external("other")], &[]);
        let none: [Vec<usize>; 2] = [vec![], vec![]];
        assert_eq!(feeders(&plan(&[one, two])), none, "other applications write to topics of the user's");
    }
}
