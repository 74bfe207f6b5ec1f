//! Who gets which task: even, sticky, and the same for the same input.

use std::collections::{BTreeMap, BTreeSet};

/// Shares tasks `0..tasks` out among members that hold some already.
///
/// Counts differ by at most one; members that hold most keep the larger shares, so no assignment as
/// even moves fewer tasks.
pub(super) fn assign(tasks: i32, held: &BTreeMap<String, BTreeSet<i32>>) -> BTreeMap<String, BTreeSet<i32>> {
    if held.is_empty() {
        return BTreeMap::new();
    }
    let mut order: Vec<(&String, &BTreeSet<i32>)> = held.iter().collect();
    order.sort_by(|(left_id, left), (right_id, right)| right.len().cmp(&left.len()).then(left_id.cmp(right_id)));
    let (share, larger) = (tasks as usize / order.len(), tasks as usize % order.len());
    let mut free: BTreeSet<i32> = (0..tasks).collect();
    let mut shares = Vec::with_capacity(order.len());
    for (place, (id, tasks_held)) in order.into_iter().enumerate() {
        let size = share + usize::from(place < larger);
        let kept: BTreeSet<i32> = tasks_held.iter().filter(|task| free.contains(task)).take(size).copied().collect();
        free.retain(|task| !kept.contains(task));
        shares.push((id.clone(), size, kept));
    }
    let mut rest = free.into_iter();
    let fill = |(id, size, mut tasks): (String, usize, BTreeSet<i32>)| {
        let lacking = size - tasks.len();
        tasks.extend(rest.by_ref().take(lacking));
        (id, tasks)
    };
    shares.into_iter().map(fill).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(members: &[(&str, &[i32])]) -> BTreeMap<String, BTreeSet<i32>> {
        members.iter().map(|(id, tasks)| ((*id).to_owned(), tasks.iter().copied().collect())).collect()
    }

    fn moved(before: &BTreeMap<String, BTreeSet<i32>>, after: &BTreeMap<String, BTreeSet<i32>>) -> usize {
        after.iter().map(|(id, tasks)| tasks.difference(before.get(id).unwrap_or(&BTreeSet::new())).count()).sum()
    }

    #[test]
    fn growing_and_shrinking_moves_the_minimum() {
        let one = assign(12, &held(&[("a", &[])]));
        assert_eq!(one["a"].len(), 12);
        let with_two = BTreeMap::from([("a".to_owned(), one["a"].clone()), ("b".to_owned(), BTreeSet::new())]);
        let two = assign(12, &with_two);
        assert_eq!(moved(&with_two, &two), 6);
        let mut with_three = two.clone();
        with_three.insert("c".to_owned(), BTreeSet::new());
        let three = assign(12, &with_three);
        assert_eq!(moved(&with_three, &three), 4);
        let mut without_a = three.clone();
        without_a.remove("a");
        assert_eq!(moved(&without_a, &assign(12, &without_a)), 4);
    }

    #[test]
    fn every_task_has_exactly_one_member() {
        let after = assign(7, &held(&[("a", &[0, 1, 2, 9]), ("b", &[2, 3]), ("c", &[])]));
        let mut all: Vec<i32> = after.values().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..7).collect::<Vec<_>>());
        assert!(after.values().all(|tasks| (2..=3).contains(&tasks.len())));
    }

    #[test]
    fn more_members_than_tasks_leaves_some_idle() {
        let after = assign(1, &held(&[("a", &[]), ("b", &[0])]));
        assert_eq!(after, held(&[("a", &[]), ("b", &[0])]));
    }
}
