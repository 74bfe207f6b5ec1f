//! A batch sorted by the partitions its records go to, so that each partition's go out by one call.
//!
//! **Invariants:** records of one partition keep their order; a partition is in `used` exactly when it has records
//! waiting; nothing waits between calls.

use crate::log::TopicHandle;
use crate::log::kafka::sys::Parcel;

/// Records of a batch, by partition.
#[derive(Debug, Default)]
pub(super) struct Parcels {
    /// For each topic its partitions', indices into the batch.
    waiting: Vec<Vec<Vec<u32>>>,
    used: Vec<(TopicHandle, i32)>,
    pub(super) parcel: Parcel,
}

impl Parcels {
    /// Puts a record to its partition.
    pub(super) fn put(&mut self, topic: TopicHandle, partition: i32, index: usize) {
        let (at, number) = (topic.0 as usize, partition as usize);
        if self.waiting.len() <= at {
            self.waiting.resize_with(at + 1, Vec::new);
        }
        let partitions = &mut self.waiting[at];
        if partitions.len() <= number {
            partitions.resize_with(number + 1, Vec::new);
        }
        let records = &mut partitions[number];
        if records.is_empty() {
            self.used.push((topic, partition));
        }
        records.push(index as u32);
    }

    /// Takes one partition's records out; give the list back with [`Parcels::done`].
    pub(super) fn take(&mut self) -> Option<(TopicHandle, i32, Vec<u32>)> {
        let (topic, partition) = self.used.pop()?;
        Some((topic, partition, std::mem::take(&mut self.waiting[topic.0 as usize][partition as usize])))
    }

    /// Gives a list back, for its memory.
    pub(super) fn done(&mut self, topic: TopicHandle, partition: i32, mut records: Vec<u32>) {
        records.clear();
        self.waiting[topic.0 as usize][partition as usize] = records;
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        while let Some((topic, partition, records)) = self.take() {
            self.done(topic, partition, records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_a_partition_keep_their_order_and_nothing_stays() {
        let mut parcels = Parcels::default();
        let (a, b) = (TopicHandle(0), TopicHandle(3));
        for (index, (topic, partition)) in [(a, 1), (b, 0), (a, 1), (a, 0), (b, 0)].into_iter().enumerate() {
            parcels.put(topic, partition, index);
        }
        let mut seen = Vec::new();
        while let Some((topic, partition, records)) = parcels.take() {
            seen.push((topic.0, partition, records.clone()));
            parcels.done(topic, partition, records);
        }
        seen.sort();
        assert_eq!(seen, [(0, 0, vec![3]), (0, 1, vec![0, 2]), (3, 0, vec![1, 4])]);
        parcels.put(a, 1, 7);
        parcels.clear();
        assert_eq!(parcels.take(), None);
    }
}
